//! Are requests and bytes what `docs/operations.md` says they are?

use std::{process::ExitCode, time::Duration};

use benches::report::Table;
use replica::{Replica, Settings};
use servers::{Meter, Random};
use tokio::{join, time::Instant};

use crate::{
    Scale,
    world::{READER, WRITER, World},
};

/// How far a count may be from what the documentation says: one in ten, and one request for the edges of the time.
const TOLERANCE: f64 = 0.1;

/// How many counters are counted.
const PATHS: usize = 100_000;

/// What was counted while a writer changed something so often.
struct Counted {
    what: String,
    seconds: f64,
    /// The request, how many there should have been, and how many there were.
    requests: Vec<(&'static str, f64, u64)>,
    /// Bytes of a segment: what they should be, and what they were.
    bytes: Option<(f64, f64)>,
}

pub(crate) async fn measure(scale: Scale) -> ExitCode {
    let time = scale.of(Duration::from_secs(60), Duration::from_secs(6));
    let (rare, some, many, polled, idle) = join!(
        writing("one change in 5 s, hints", time, Duration::from_secs(5), 1, 240.0, true),
        writing("100 changes a second, hints", time, Duration::from_millis(50), 5, 1_000.0, true),
        writing("3,000 changes a second, hints", time, Duration::from_millis(20), 60, 20_500.0, true),
        writing("100 changes a second, polling", time, Duration::from_millis(50), 5, 1_000.0, false),
        idle(time),
    );
    println!("\nRequests in {} s, and bytes of a segment\n", time.as_secs());
    let mut table = Table::new(&["what", "request", "documented", "counted"], !scale.is_quick);
    for counted in [rare, some, many, polled, idle] {
        for (request, expected, count) in &counted.requests {
            let expected = expected * counted.seconds;
            let met = (*count as f64 - expected).abs() <= (expected * TOLERANCE).max(1.0);
            let cells = [&counted.what, *request, &format!("{expected:.0}"), &count.to_string()];
            table.row(&cells, table.speed(met));
        }
        if let Some((expected, bytes)) = counted.bytes {
            let met = (bytes - expected).abs() <= expected * TOLERANCE;
            let cells = [&counted.what, "bytes of a PUT", &format!("{expected:.0}"), &format!("{bytes:.0}")];
            table.row(&cells, table.speed(met));
        }
    }
    table.finish()
}

/// So many changes in each period, of random counters; and the documented rates and bytes of it.
async fn writing(what: &str, time: Duration, period: Duration, changes: u64, bytes: f64, hears: bool) -> Counted {
    let world = World::provisioned(Duration::ZERO).await;
    let mut settings = Settings::default();
    if hears {
        settings.poll_min = Duration::from_secs(600);
        settings.poll_max = Duration::from_secs(600);
    }
    let writer = world.open(WRITER, &settings, false).await;
    let reader = world.open(READER, &settings, hears).await;
    let random = Random::new(1);
    write(&writer, &random, changes);
    reader.wait_for(&writer.token()).await.expect("it arrives");
    tokio::time::sleep(Duration::from_secs(2)).await;

    for meter in [world.s3.meter(), world.sqs.meter()] {
        meter.reset();
    }
    let before = world.account.deliveries().counts().arrived;
    let began = Instant::now();
    let mut next = began;
    while began.elapsed() < time {
        write(&writer, &random, changes);
        next += period;
        tokio::time::sleep_until(next).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    // What is under way ends.
    writer.flush().await.expect("it is written");
    reader.wait_for(&writer.token()).await.expect("it arrives");
    tokio::time::sleep(Duration::from_millis(500)).await;

    let meter = world.s3.meter();
    let puts = meter.of("PutObject");
    let segments = f64::min(1.0 / period.as_secs_f64(), 1.0);
    let mut requests = vec![("PUT", segments, puts.requests), ("GET", 2.0 * segments, meter.of("GetObject").requests)];
    if hears {
        let arrived = world.account.deliveries().counts().arrived - before;
        requests.push(("SQS receive", segments, world.sqs.meter().of("ReceiveMessage").requests));
        requests.push(("SQS delete", segments, deletes(world.sqs.meter())));
        requests.push(("delivery", segments, arrived));
    }
    let of_each = puts.bytes_in as f64 / puts.requests as f64;
    closed([writer, reader]).await;
    Counted { what: what.to_owned(), seconds, requests, bytes: Some((bytes, of_each)) }
}

/// Nothing is written, and each wait is a second: the documented numbers are for each wait.
async fn idle(time: Duration) -> Counted {
    let world = World::provisioned(Duration::ZERO).await;
    let mut settings = Settings::default();
    settings.poll_min = Duration::from_secs(1);
    settings.poll_max = Duration::from_secs(1);
    let writer = world.open(WRITER, &settings, false).await;
    write(&writer, &Random::new(1), 1);
    writer.flush().await.expect("it is written");
    let reader = world.open(READER, &settings, true).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    for meter in [world.s3.meter(), world.sqs.meter()] {
        meter.reset();
    }
    tokio::time::sleep(time).await;
    let seconds = time.as_secs_f64();
    let meter = world.s3.meter();
    // One region has never written, so it has no log that could go on.
    let requests = vec![
        ("PUT", 0.0, meter.of("PutObject").requests),
        ("GET", 1.0, meter.of("GetObject").requests),
        ("SQS receive", 1.0 / 20.0, world.sqs.meter().of("ReceiveMessage").requests),
    ];
    closed([writer, reader]).await;
    Counted { what: "nothing changes, polling each second".to_owned(), seconds, requests, bytes: None }
}

fn deletes(meter: &Meter) -> u64 {
    meter.of("DeleteMessage").requests + meter.of("DeleteMessageBatch").requests
}

fn write(replica: &Replica, random: &Random, changes: u64) {
    for _ in 0..changes {
        let path = benches::corpus::path(random.below(PATHS));
        replica.pn_counter(&path).and_then(|counter| counter.add(1)).expect("room");
    }
}

async fn closed(replicas: [Replica; 2]) {
    for replica in replicas {
        replica.close().await.expect("it ends");
    }
}
