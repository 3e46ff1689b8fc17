//! Chaos, end to end: three regions, each a process of its own, over real HTTP, with everything in between going wrong.
//!
//! What holds in the simulator must hold where nothing is simulated: sockets, the SDK's client, threads, SIGKILL.
//! Processes
//! write without a pause and say what the bucket has acknowledged. Meanwhile connections are cut, delayed and reset,
//! the
//! store fails and lies about it, buckets are away, processes are killed and doubled. Then it gets quiet, and three
//! replicas are
//! opened that must agree with each other and with what was acknowledged; nobody but this program kept the truth.

mod counting;
mod fleet;
mod link;
mod report;
mod settle;
mod singly;
mod store;
mod truth;
mod weather;
mod worker;

use std::{process::ExitCode, time::Duration};

use clap::Parser;

/// Three regions as processes over real HTTP, and everything in between going wrong.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// For how many seconds things go wrong
    #[arg(long, value_name = "N", default_value_t = 90)]
    seconds: u64,
    /// The same in minutes
    #[arg(long, value_name = "M", conflicts_with = "seconds")]
    minutes: Option<u64>,
    /// Draws what goes wrong [default: another one each time]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// The address of an S3 server, in place of the one in this process
    #[arg(long, value_name = "URL")]
    s3: Option<String>,
}

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no runtime: {error}");
            return ExitCode::from(2);
        }
    };
    // A process of a region is this program again.
    if let Some(orders) = worker::Orders::from_environment() {
        return runtime.block_on(worker::work(orders));
    }
    let options = Options::parse();
    let lasts = Duration::from_secs(options.minutes.map_or(options.seconds, |minutes| minutes * 60));
    match runtime.block_on(run(&options, lasts)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(says) => {
            eprintln!("FAILED: {says}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options, lasts: Duration) -> Result<(), String> {
    let seed = options.seed.unwrap_or_else(|| nanoseconds() % 1_000_000);
    println!("chaos --seconds {} --seed {seed}", lasts.as_secs());
    // A server from elsewhere may still have the buckets of another run with this seed.
    let world = store::World::start(options.s3.as_deref(), seed, nanoseconds()).await?;
    if options.s3.is_none() {
        report::singly(&singly::each_fault_alone().await?);
    }
    let mut fleet = fleet::Fleet::start(&world)?;
    let weather = weather::blow(&world, &mut fleet, seed, lasts).await?;
    let (truth, outcomes) = fleet.stop().await?;
    let held = settle::settle(&world).await?;
    report::chaos(&weather, &world, &truth, &outcomes);
    truth.check(&held)?;
    report::no_refusal(&world, &outcomes)?;
    report::enough(&weather, &world, &truth, &outcomes, lasts)?;
    println!("every region holds the same: {}", truth.in_short(&held));
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "which storm it is to be is not part of it")]
fn nanoseconds() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}
