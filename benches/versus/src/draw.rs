//! The ratios as a picture: for each work, how many times as much each of the others takes.

use serde_json::Value;

use crate::report::figure;

const WIDTH: f64 = 860.0;
const MARGIN: f64 = 22.0;
/// Where the bars begin and end.
const LEFT: f64 = 330.0;
const RIGHT: f64 = 770.0;
const ROW: f64 = 21.0;
const HEADING: f64 = 30.0;
const TOP: f64 = 86.0;

const STYLE: &str = r#"
    text { font: 13px ui-sans-serif, system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #24292f }
    .title { font-size: 17px; font-weight: 600 }
    .work { font-weight: 600 }
    .soft { fill: #57606a }
    .number { font-weight: 600 }
    .ground { fill: #ffffff }
    .more { fill: #0969da }
    .less { fill: #bc4c00 }
    .grid { stroke: #d0d7de }
    .one { stroke: #57606a; stroke-width: 1.5 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .soft { fill: #9198a1 }
      .ground { fill: #0d1117 }
      .more { fill: #58a6ff }
      .less { fill: #f0883e }
      .grid { stroke: #30363d }
      .one { stroke: #9198a1 }
    }
"#;

/// What one of the others takes for a work.
struct Bar {
    work: String,
    against: String,
    ratio: f64,
}

/// Draws the rows of a report that have a peer.
///
/// # Errors
///
/// What is wrong with the JSON.
pub(crate) fn picture(json: &str) -> Result<String, String> {
    let rows: Vec<Value> = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let bars: Vec<Bar> = rows.iter().filter_map(Bar::of).collect();
    if bars.is_empty() {
        return Err("no row has a peer".to_owned());
    }
    // Each work once, where it comes first.
    let mut works: Vec<Vec<&Bar>> = Vec::new();
    for bar in &bars {
        match works.iter_mut().find(|work| work[0].work == bar.work) {
            Some(work) => work.push(bar),
            None => works.push(vec![bar]),
        }
    }
    let decades = |pick: fn(f64, f64) -> f64| bars.iter().map(|bar| bar.ratio.log10()).fold(0.0, pick);
    let (lowest, highest) = (decades(f64::min).floor(), decades(f64::max).ceil().max(1.0));
    let place = |decade: f64| LEFT + (decade - lowest) / (highest - lowest) * (RIGHT - LEFT);
    let height = TOP + works.len() as f64 * HEADING + bars.len() as f64 * ROW + MARGIN;

    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-labelledby=\"title\">\n  <title id=\"title\">{}</title>\n  <style>{STYLE}  </style>\n\
         \x20 <rect class=\"ground\" width=\"{WIDTH}\" height=\"{height}\"/>\n",
        "How many times as much others take for the same work"
    );
    let text = |class: &str, anchor: &str, x: f64, y: f64, shown: &str| {
        format!(
            "  <text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>\n",
            escaped(shown)
        )
    };
    picture += &text("title", "start", MARGIN, 32.0, "How many times as much others take for the same work");
    let legend =
        "Archipelago is the line at 1x; to the right of it the others take more. Each step of the scale is ten times.";
    picture += &text("soft", "start", MARGIN, 54.0, legend);
    for decade in lowest as i32..=highest as i32 {
        let (x, class) = (place(f64::from(decade)), if decade == 0 { "one" } else { "grid" });
        let bottom = height - MARGIN;
        picture +=
            &format!("  <line class=\"{class}\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>\n");
        picture += &text("soft", "middle", x, TOP - 8.0, &format!("{}x", figure(10_f64.powi(decade))));
    }
    let mut y = TOP;
    for work in works {
        y += HEADING;
        // On the ground, so that no line of the scale runs through it.
        let shown = work[0].work.replace('`', "");
        let (width, top) = (shown.len() as f64 * 7.4, y - 19.0);
        picture +=
            &format!("  <rect class=\"ground\" x=\"{MARGIN}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"18\"/>\n");
        picture += &text("work", "start", MARGIN, y - 6.0, &shown);
        for bar in work {
            let (one, end) = (place(0.0), place(bar.ratio.log10()));
            let (x, width) = (one.min(end), (end - one).abs().max(1.0));
            let class = if bar.ratio >= 1.0 { "more" } else { "less" };
            let (top, base) = (y + 3.0, y + 15.0);
            picture += &text("", "end", LEFT - 8.0, base, &bar.against);
            picture += &format!(
                "  <rect class=\"{class}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"15\" rx=\"2\"/>\n"
            );
            picture += &text("number", "start", one.max(end) + 6.0, base, &format!("{}x", figure(bar.ratio)));
            y += ROW;
        }
    }
    picture += "</svg>\n";
    Ok(picture)
}

impl Bar {
    fn of(row: &Value) -> Option<Self> {
        let text = |name: &str| row[name].as_str().map(str::to_owned);
        let ratio = row["ratio"].as_f64().filter(|ratio| *ratio > 0.0);
        Some(Self { work: text("work")?, against: text("against")?, ratio: ratio? })
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
