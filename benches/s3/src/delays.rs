//! How long after a change in one region is it seen in the other?

use std::{process::ExitCode, time::Duration};

use benches::report::Table;
use replica::Settings;
use tokio::{
    join,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    Scale,
    world::{READER, WRITER, World},
};

/// Between two changes. Its beat falls on every phase of the flush.
const PERIOD: Duration = Duration::from_millis(97);

/// How long after a change it was seen: as said by `add`, and as said by `durable`.
struct Seen {
    what: String,
    bar: Duration,
    since_add: Vec<Duration>,
    since_durable: Vec<Duration>,
}

pub(crate) async fn measure(scale: Scale) -> ExitCode {
    let time = scale.of(Duration::from_secs(60), Duration::from_secs(4));
    let far = Duration::from_millis(80);
    let (heard, polled, heard_far, polled_far) = join!(
        watched(time, Duration::ZERO, true),
        watched(time, Duration::ZERO, false),
        watched(time, far, true),
        watched(time, far, false),
    );
    println!("\nFrom a change in one region to its being seen in the other\n");
    let heads = ["what", "changes", "bar (p99 since `add`)", "p50 since `add`", "p99", "p50 since `durable`", "p99"];
    let mut table = Table::new(&heads, !scale.is_quick);
    for mut seen in [heard, polled, heard_far, polled_far] {
        seen.since_add.sort_unstable();
        seen.since_durable.sort_unstable();
        let worst = of_hundred(&seen.since_add, 99);
        let met = worst <= seen.bar;
        let cells = [
            seen.what.clone(),
            seen.since_add.len().to_string(),
            shown(seen.bar),
            shown(of_hundred(&seen.since_add, 50)),
            shown(worst),
            shown(of_hundred(&seen.since_durable, 50)),
            shown(of_hundred(&seen.since_durable, 99)),
        ];
        table.row(&cells.each_ref().map(String::as_str), table.speed(met));
    }
    table.finish()
}

async fn watched(time: Duration, latency: Duration, hears: bool) -> Seen {
    let world = World::provisioned(latency).await;
    let mut settings = Settings::default();
    // With hints nothing comes by polling, and without them it is the interval that it says.
    settings.poll_max = if hears { Duration::from_secs(600) } else { settings.poll_min };
    if hears {
        settings.poll_min = settings.poll_max;
    }
    let writer = world.open(WRITER, &settings, false).await;
    let reader = world.open(READER, &settings, hears).await;
    let mut watch = reader.watch("likes");
    let likes = reader.pn_counter("likes").expect("a path");
    // When the reader has first seen each number of likes, or more.
    let seen = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(_change) = watch.next().await {
            let value = usize::try_from(likes.value()).expect("it counts up");
            seen.resize(value.max(seen.len()), Instant::now());
        }
        seen
    });
    let likes = writer.pn_counter("likes").expect("a path");
    let mut changes = JoinSet::new();
    let until = Instant::now() + time;
    while Instant::now() < until {
        let written = likes.add(1).expect("room");
        let added = Instant::now();
        changes.spawn(async move {
            let number = usize::try_from(written.value()).expect("it counts up");
            written.durable().await.expect("it is written");
            (number, added, Instant::now())
        });
        sleep(PERIOD).await;
    }
    let changes = changes.join_all().await;
    reader.wait_for(&writer.token()).await.expect("it arrives");
    let allowed = if hears { Duration::from_millis(500) } else { settings.poll_max + Duration::from_secs(2) };
    let how = if hears { "hints" } else { "polling each second" };
    for replica in [writer, reader] {
        replica.close().await.expect("it ends");
    }
    let seen = seen.await.expect("it was watched");
    let since = |(number, added, durable): (usize, Instant, Instant)| {
        (seen[number - 1] - added, seen[number - 1].saturating_duration_since(durable))
    };
    let (since_add, since_durable) = changes.into_iter().map(since).unzip();
    Seen {
        what: format!("{how}, {} ms for each request", latency.as_millis()),
        bar: settings.flush_interval + allowed,
        since_add,
        since_durable,
    }
}

/// The smallest that so many of a hundred are not above.
fn of_hundred(sorted: &[Duration], share: usize) -> Duration {
    sorted[(sorted.len() * share).div_ceil(100).max(1) - 1]
}

fn shown(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}
