//! How fast are changes written, and how fast does a new replica read all that there is, and in how much memory?

use std::{process::ExitCode, time::Duration};

use benches::{
    corpus::path,
    report::{Table, thousands},
};
use replica::{Replica, Settings};
use servers::{Fault, Random, Rule};
use tokio::time::Instant;

use crate::{
    Scale, newcomer,
    world::{WRITER, World},
};

/// Of content that does not compress.
const CONTENT_BYTES: usize = 1_024;

pub(crate) async fn measure(scale: Scale) -> ExitCode {
    println!("\nWriting, and beginning anew\n");
    let mut table = Table::new(&["what", "bar", "measured"], !scale.is_quick);
    for latency in [Duration::ZERO, Duration::from_millis(80)] {
        flush(&mut table, scale, latency).await;
    }
    let (counters, registers) = scale.of((1_000_000, 200_000), (20_000, 2_000));
    bootstrap(&mut table, Content::Counters, counters, Duration::ZERO).await;
    bootstrap(&mut table, Content::Registers, registers, Duration::ZERO).await;
    bootstrap(&mut table, Content::Registers, registers, Duration::from_millis(80)).await;
    table.finish()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Counters,
    Registers,
}

impl Content {
    /// Writes so many objects, in pieces that fit into what may wait.
    async fn fill(self, replica: &Replica, count: usize) {
        let random = Random::new(7);
        let mut content = vec![0; CONTENT_BYTES];
        for number in 0..count {
            let path = path(number);
            let written = match self {
                Self::Counters => replica.pn_counter(&path).and_then(|counter| counter.add(1)).map(drop),
                Self::Registers => {
                    content.fill_with(|| random.below(256) as u8);
                    replica.lww_register::<[u8]>(&path).and_then(|register| register.set(&content)).map(drop)
                }
            };
            written.expect("room");
            if number % 20_000 == 19_999 {
                replica.flush().await.expect("it is written");
            }
        }
        replica.flush().await.expect("it is written");
    }
}

async fn flush(table: &mut Table, scale: Scale, latency: Duration) {
    let world = World::provisioned(latency).await;
    let writer = world.open(WRITER, &Settings::default(), false).await;
    world.s3.meter().reset();
    let from = Instant::now();
    Content::Registers.fill(&writer, scale.of(100_000, 1_000)).await;
    let took = from.elapsed();
    let puts = world.s3.meter().of("PutObject");
    let what = format!("flush of {} segments, {} ms for each request", puts.requests, latency.as_millis());
    table.row(&[&what, "", &speed(puts.bytes_in, took)], None);
    writer.close().await.expect("it ends");
}

async fn bootstrap(table: &mut Table, content: Content, count: usize, latency: Duration) {
    let world = World::provisioned(Duration::ZERO).await;
    let writer = world.open(WRITER, &Settings::default(), false).await;
    content.fill(&writer, count).await;
    writer.close().await.expect("it leaves a snapshot");
    if !latency.is_zero() {
        world.s3.faults().add(Rule::new(Fault::Delay { least: latency, most: latency }));
    }
    world.s3.meter().reset();
    let told = newcomer::start(&world, &world.url(WRITER).to_string()).await;
    assert_eq!(told.objects, count, "all is there");
    let gets = world.s3.meter().of("GetObject");
    let kind = if content == Content::Counters { "counters" } else { "registers of 1 KiB" };
    let what = format!("bootstrap of {} {kind}, {} ms for each request", thousands(count), latency.as_millis());
    let per_second = gets.bytes_out as f64 / told.opened_in.as_secs_f64();
    // What takes the time of a counter is its place in memory, not its bytes.
    let bar = (content == Content::Registers && latency.is_zero()).then_some(per_second >= 50e6);
    let measured = format!("{}, {:.2} s", speed(gets.bytes_out, told.opened_in), told.opened_in.as_secs_f64());
    let met = bar.and_then(|met| table.speed(met));
    table.row(&[&what, if bar.is_some() { "50 MB/s" } else { "" }, &measured], met);
    let ratio = told.peak as f64 / told.after as f64;
    let memory = format!("{ratio:.2} times ({} of {} MiB)", told.peak >> 20, told.after >> 20);
    let what = format!("resident memory at most, beside that after, {} {kind}", thousands(count));
    table.row(&[&what, "1.5 times", &memory], table.speed(ratio <= 1.5));
}

fn speed(bytes: u64, took: Duration) -> String {
    format!("{:.1} MB/s ({:.1} MB)", bytes as f64 / took.as_secs_f64() / 1e6, bytes as f64 / 1e6)
}
