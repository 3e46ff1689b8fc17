//! How much does the simulator play in a second of processor time?
//!
//! Method: whole stories of fixed seeds; then three regions with the settings of production and no faults, in each of which
//! something is changed ten times in every second; then the first 2,000 events of 10,000 stories. Every check of every step is on,
//! and each must hold. Stories are drawn within the clock. Times are processor times of the one thread that plays, so it does
//! not matter what else the machine does but for its caches. An event is what `docs/simulator.md` says.
//!
//! Bar: 1,000,000 events in a second is the goal and 500,000 the least; 10,000 times real time; and 120 s for the short stories,
//! which is a minute on two cores. It fails where the least is missed, unless it is only tried out: without `--bench`, or with
//! `--test`, everything is tiny and nothing is judged.

use std::{process::ExitCode, time::Duration};

use replica::Settings;
use sim::{Act, Did, Faults, Object, Outcome, Sort, Step, Story, generate, play, play_beginning};

/// That of the command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(unreachable_pub, reason = "it is a part of a library, too")]
#[path = "support/clock.rs"]
mod clock;

/// What a number of plays came to.
#[derive(Default)]
struct Played {
    stories: u64,
    events: u64,
    lasted: Duration,
    changes: usize,
}

fn main() -> ExitCode {
    let has = |flag: &str| std::env::args().any(|argument| argument == flag);
    let is_full = has("--bench") && !has("--test");
    let sized = |full: u64, tiny: u64| if is_full { full } else { tiny };
    let mut is_missed = false;
    println!("| what | bar | measured | stories | events | virtual time | processor time | |");
    println!("|---|---|---|---|---|---|---|---|");
    let mut row = |what: &str, bar: &str, measured: String, least: bool, took: Duration, played: &Played| {
        let verdict = match (is_full, least) {
            (false, _) => "not judged",
            (true, true) => "ok",
            (true, false) => "MISSED",
        };
        is_missed |= is_full && !least;
        let Played { stories, events, lasted, .. } = played;
        let (lasted, took) = (lasted.as_secs(), took.as_secs_f64());
        println!("| {what} | {bar} | {measured} | {stories} | {events} | {lasted} s | {took:.1} s | {verdict} |");
    };

    let (took, whole) = clock::timed(|| of((0..sized(300, 3)).map(|seed| play(&generate(seed, 3)))));
    let rate = whole.events as f64 / took.as_secs_f64();
    let bar = "1,000,000 in a second, at least 500,000";
    row("events of whole stories", bar, format!("{rate:.0} in a second"), rate >= 500_000.0, took, &whole);

    let seconds = sized(120, 10);
    let (took, busy) = clock::timed(|| of([play_beginning(&changing(seconds), sized(5_000, 500))].into_iter()));
    assert!(busy.lasted <= Duration::from_secs(seconds), "it breaks off while everybody writes");
    // Before they are open nothing is changed, and that time does not count.
    let writing = Duration::from_secs_f64(busy.changes as f64 / 30.0);
    assert!(busy.lasted < writing + Duration::from_secs(3), "ten changes in each second and region, and none refused");
    let times = writing.as_secs_f64() / took.as_secs_f64();
    let what = "three regions, ten changes in each second and region";
    row(what, "10,000 times real time", format!("{times:.0} times"), times >= 10_000.0, took, &busy);

    let beginnings = (0..sized(10_000, 5)).map(|seed| play_beginning(&generate(seed, 3), 2_000));
    let (took, short) = clock::timed(|| of(beginnings));
    let each = short.events / short.stories;
    let measured = format!("{:.1} s, {each} events each", took.as_secs_f64());
    row("10,000 stories of 2,000 events", "120 s", measured, took <= Duration::from_secs(120), took, &short);

    if is_missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn of(outcomes: impl Iterator<Item = Outcome>) -> Played {
    let mut played = Played::default();
    for outcome in outcomes {
        assert_eq!(outcome.failure, None, "what is measured holds");
        played.stories += 1;
        played.events += outcome.trace.events;
        played.lasted += outcome.lasted;
        played.changes += outcome.changes;
    }
    played
}

/// Ten changes in each second and region, of objects of every sort.
fn changing(seconds: u64) -> Story {
    let change = |number: u64, region: usize| {
        let object: Object = (format!("o/{}", number % 20), Sort::ALL[(number % 5) as usize]);
        let value = (number / 20 % 8) as u16;
        let did = match object.1 {
            Sort::Grows | Sort::Counter => Did::Count(1),
            Sort::Last | Sort::Every => Did::Write(value),
            Sort::Set => Did::Put(value),
        };
        let at = Duration::from_millis(1_000 + number * 100);
        Step { at, region, act: Act::Change(vec![(object, did)]) }
    };
    Story {
        seed: 0,
        regions: 3,
        settings: Settings::default(),
        faults: Faults::none(),
        hints: None,
        quiet_from: Duration::from_secs(seconds + 1),
        steps: (0..seconds * 10).flat_map(|number| (0..3).map(move |region| change(number, region))).collect(),
    }
}
