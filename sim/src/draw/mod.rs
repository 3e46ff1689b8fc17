//! A run as a space-time diagram: a line for each region, time to the right, an arrow for each segment that was applied.
//! Layer 5.
//!
//! After Lamport, *Time, Clocks, and the Ordering of Events in a Distributed System*, 1978. An arrow leads from where a segment got
//! into its bucket to where another region has applied it. It is one SVG without scripts or links, light or dark as the reader's
//! screen is.

mod axis;
mod paper;
mod scene;

use std::fmt::Write as _;

use self::{
    axis::Axis,
    paper::{Paper, wrapped},
    scene::{Kind, Scene},
};
use crate::{play::Outcome, story::Story};

/// From the left edge to where time begins: the names stand there.
const LEFT: f64 = 70.0;
/// Between two regions.
const LANE: f64 = 118.0;
/// How wide it is if it can be: a screen.
const WIDE: f64 = 1_180.0;
/// Between two lines of text.
const LINE: f64 = 19.0;
/// How many lines of what was seen are shown.
const SEEN_MAX: usize = 14;

/// Draws a story as it was played aloud.
#[must_use]
pub fn draw(story: &Story, outcome: &Outcome, about: &str) -> String {
    let scene = Scene::of(story, outcome);
    let axis = Axis::new(scene.times(), LEFT + 10.0, WIDE - LEFT - 40.0);
    let wide = (axis.end() + 30.0).max(WIDE);
    let mut paper = Paper::new(wide);
    let y = heading(&mut paper, story, about, 30.0);
    let top = y + 76.0;
    let bottom = top + LANE * (story.regions - 1) as f64;
    lanes(&mut paper, story, &scene, &axis, top);
    moments(&mut paper, &scene, &axis, (top - 44.0, bottom + 44.0));
    arrows(&mut paper, &scene, &axis, top);
    marks(&mut paper, &scene, &axis, top);
    let y = ticks(&mut paper, &scene, &axis, bottom + 56.0);
    let y = legend(&mut paper, y + 34.0);
    let y = steps(&mut paper, story, y + 24.0);
    let y = verdict(&mut paper, outcome, y + 18.0);
    paper.finish(y + 10.0)
}

fn lane(top: f64, region: usize) -> f64 {
    top + LANE * region as f64
}

fn heading(paper: &mut Paper, story: &Story, about: &str, y: f64) -> f64 {
    paper.text(20.0, y, "title", about);
    let faults = &story.faults;
    let words = format!("Seed {} of the run, {} regions. ", story.seed, story.regions);
    let told = story.to_string();
    let settings = told.lines().filter(|line| line.ends_with('.')).skip(1).collect::<Vec<_>>().join(" ");
    let takes = format!("Requests take {} to {} ms. ", faults.latency.0.as_millis(), faults.latency.1.as_millis());
    let mut y = y + 4.0;
    for line in wrapped(&format!("{words}{takes}{settings}"), 165) {
        y += LINE;
        paper.text(20.0, y, "small faint", &line);
    }
    y
}

/// The lines of the regions, thick where a process is open, and the times at which they cannot reach a bucket.
fn lanes(paper: &mut Paper, story: &Story, scene: &Scene, axis: &Axis, top: f64) {
    for region in 0..story.regions {
        let y = lane(top, region);
        paper.line((LEFT, y), (axis.end(), y), "down");
        paper.text(20.0, y + 5.0, &format!("name c{region}"), &format!("r{region}"));
    }
    for life in &scene.lives {
        let y = lane(top, life.region) + 13.0 * life.depth as f64;
        if let Some(open) = life.open {
            paper.line((axis.x(life.from), y), (axis.x(open), y), &format!("opening s{}", life.region));
            let class = if life.depth > 0 { "zombie" } else { "up" };
            paper.line((axis.x(open), y), (axis.x(life.until), y), &format!("{class} s{}", life.region));
        } else {
            paper.line((axis.x(life.from), y), (axis.x(life.until), y), &format!("opening s{}", life.region));
        }
    }
    for (index, cut) in scene.cuts.iter().enumerate() {
        let y = lane(top, cut.region) - 9.0;
        let (from, until) = (axis.x(cut.from), axis.x(cut.until));
        paper.band(from, y, (until - from).max(3.0), 18.0, "cut");
        let under = lane(top, cut.region) + 30.0 + 12.0 * (index % 2) as f64;
        paper.note((from, under), "tiny cuttext", &format!("r{} cannot reach r{}'s bucket", cut.region, cut.bucket));
    }
}

/// When it gets quiet, and when the check failed: lines through all regions.
fn moments(paper: &mut Paper, scene: &Scene, axis: &Axis, (top, bottom): (f64, f64)) {
    for (time, class, says) in &scene.moments {
        let x = axis.x(*time);
        paper.line((x, top), (x, bottom), class);
        paper.note_left_if_needed((x, top - 5.0), &format!("small {class}text"), says);
    }
    for x in axis.breaks() {
        paper.line((x - 3.0, bottom + 14.0), (x + 1.0, bottom + 6.0), "axis");
        paper.line((x + 1.0, bottom + 14.0), (x + 5.0, bottom + 6.0), "axis");
    }
}

fn arrows(paper: &mut Paper, scene: &Scene, axis: &Axis, top: f64) {
    for arrow in &scene.arrows {
        let from = (axis.x(arrow.sent), lane(top, arrow.author));
        let to = (axis.x(arrow.applied), lane(top, arrow.reader));
        let class = if arrow.is_empty { "ack".to_owned() } else { format!("arrow s{}", arrow.author) };
        paper.arrow(from, to, &class, if arrow.is_empty { "ackhead" } else { "head" }, arrow.author);
    }
}

fn marks(paper: &mut Paper, scene: &Scene, axis: &Axis, top: f64) {
    for mark in &scene.marks {
        let (x, y) = (axis.x(mark.at), lane(top, mark.region) + 13.0 * mark.depth as f64);
        let color = format!("f{}", mark.region);
        match &mark.kind {
            Kind::Segment { is_empty: true } => paper.square(x, y, 2.5, "ackfill"),
            Kind::Segment { .. } => paper.square(x, y, 4.5, &color),
            Kind::Seal => paper.band(x - 1.75, y - 10.0, 3.5, 20.0, "seal"),
            Kind::Snapshot => paper.diamond(x, y, 6.0, &color),
            Kind::Open => paper.triangle(x, y, &color),
            Kind::Gone => paper.cross(x, y, 7.0, "gone"),
            Kind::Ended(why) => {
                paper.cross(x, y, 6.0, "endedmark");
                paper.note((x + 8.0, y + 26.0), "tiny", why);
            }
            Kind::Step { number, is_fault } => {
                paper.badge((x, y - 21.0), *number, if *is_fault { "badfault" } else { "badge" });
            }
            Kind::Fault(name) => {
                paper.warning(x, y - 8.0);
                paper.note((x + 6.0, y - 14.0), "tiny faulttext", name);
            }
        }
    }
}

fn ticks(paper: &mut Paper, scene: &Scene, axis: &Axis, y: f64) -> f64 {
    paper.line((LEFT, y), (axis.end(), y), "axis");
    let mut wanted = axis.wanted();
    wanted.extend(scene.moments.iter().map(|(time, ..)| (*time, 0)));
    wanted.sort();
    // The important ones first, each where there is room.
    let mut taken: Vec<f64> = Vec::new();
    for rank in 0..=1 {
        for (time, _) in wanted.iter().filter(|(_, of)| *of == rank) {
            let x = axis.x(*time);
            if taken.iter().all(|other| (other - x).abs() > 58.0) {
                taken.push(x);
                paper.line((x, y), (x, y + 5.0), "axis");
                paper.middle(x, y + 18.0, "tiny faint", &format!("{:.2} s", time.as_secs_f64()));
            }
        }
    }
    y + 18.0
}

fn legend(paper: &mut Paper, y: f64) -> f64 {
    let mut x = 20.0;
    let mut put = |paper: &mut Paper, width: f64, sign: &dyn Fn(&mut Paper, f64, f64), says: &str| {
        if x + width > WIDE {
            return;
        }
        sign(paper, x + 8.0, y - 4.0);
        paper.text(x + 22.0, y, "tiny faint", says);
        x += width;
    };
    put(paper, 178.0, &|paper, x, y| paper.square(x, y, 4.5, "f0"), "segment in its bucket, and");
    put(
        paper,
        152.0,
        &|paper, x, y| paper.arrow((x - 6.0, y - 5.0), (x + 9.0, y + 4.0), "arrow s0", "head", 0),
        "where it was applied",
    );
    put(paper, 92.0, &|paper, x, y| paper.square(x, y, 2.5, "ackfill"), "one without changes");
    x += 46.0;
    let mut put = |paper: &mut Paper, width: f64, sign: &dyn Fn(&mut Paper, f64, f64), says: &str| {
        sign(paper, x + 8.0, y - 4.0);
        paper.text(x + 22.0, y, "tiny faint", says);
        x += width;
    };
    put(paper, 88.0, &|paper, x, y| paper.diamond(x, y, 6.0, "f0"), "snapshot");
    put(paper, 62.0, &|paper, x, y| paper.band(x - 1.75, y - 8.0, 3.5, 16.0, "seal"), "seal");
    put(paper, 96.0, &|paper, x, y| paper.triangle(x, y, "f0"), "takes writes");
    put(paper, 112.0, &|paper, x, y| paper.cross(x, y, 6.0, "gone"), "process is gone");
    put(paper, 62.0, &|paper, x, y| paper.warning(x, y), "fault");
    put(paper, 120.0, &|paper, x, y| paper.badge((x, y), 1, "badge"), "step of the story");
    put(paper, 120.0, &|paper, x, y| paper.band(x - 7.0, y - 6.0, 14.0, 12.0, "cut"), "cannot reach a bucket");
    y
}

/// The steps in words, by their numbers.
fn steps(paper: &mut Paper, story: &Story, y: f64) -> f64 {
    let columns = if story.steps.len() > 16 { 2 } else { 1 };
    let rows = story.steps.len().div_ceil(columns);
    for (index, step) in story.steps.iter().enumerate() {
        let (column, row) = (index / rows.max(1), index % rows.max(1));
        let (x, y) = (30.0 + column as f64 * (WIDE / 2.0), y + 8.0 + (row + 1) as f64 * (LINE + 3.0));
        let is_fault = step.act.is_fault();
        paper.badge((x, y - 4.0), index + 1, if is_fault { "badfault" } else { "badge" });
        let mut words = String::new();
        let _ = write!(words, "{:.3} s", step.at.as_secs_f64());
        paper.text(x + 18.0, y, "small faint", &words);
        let most = if columns == 2 { 68 } else { 150 };
        paper.text(x + 92.0, y, "small", &paper::cut(&format!("r{} {}", step.region, step.act), most));
    }
    if story.steps.is_empty() {
        paper.text(30.0, y + LINE, "small faint", "No steps: regions are opened, and that is all.");
        return y + LINE;
    }
    y + 8.0 + rows as f64 * (LINE + 3.0)
}

/// What must hold and what was seen, or that all is well.
fn verdict(paper: &mut Paper, outcome: &Outcome, y: f64) -> f64 {
    let Some(failure) = &outcome.failure else {
        paper.text(20.0, y + LINE, "strong", "Every check held.");
        return y + LINE;
    };
    let mut y = y + LINE;
    paper.text(20.0, y, "strong failtext", &format!("FAILED at {:.3} s: {}", failure.at.as_secs_f64(), failure.check));
    for (name, says) in [("must hold", failure.must), ("was seen", &failure.seen)] {
        y += 4.0;
        let lines: Vec<String> = says.lines().flat_map(|line| wrapped(line.trim(), 150)).collect();
        for (index, line) in lines.iter().take(SEEN_MAX).enumerate() {
            y += LINE;
            if index == 0 {
                paper.text(20.0, y, "small faint", name);
            }
            paper.text(100.0, y, "small", line);
        }
        if lines.len() > SEEN_MAX {
            y += LINE;
            paper.text(100.0, y, "small faint", &format!("... and {} lines more", lines.len() - SEEN_MAX));
        }
    }
    y
}
