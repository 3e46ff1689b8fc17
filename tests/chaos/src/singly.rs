//! Each fault alone: what one segment of a log comes to when the request that writes or reads it meets the fault.
//!
//! In a storm one cannot tell which fault led to which answer. Here a replica writes one change for each fault of
//! writing, and
//! only the create of that one segment meets it; and a replica is opened for each fault of reading, and only the read
//! of the
//! last segment meets it.

use std::time::Duration;

use replica::{Replica, Settings};
use servers::{Fault, Faults, Refusal, Rule, S3Server};
use tokio::time::{Instant, timeout};

use crate::{
    counting::{Counted, Counter, Outcomes},
    store::{REGIONS, World},
    worker::settings,
};

/// What became of one segment.
#[derive(Debug)]
pub(crate) struct Met {
    pub(crate) fault: String,
    pub(crate) injected: u64,
    /// What the requests for it came to, in the order of names.
    pub(crate) outcomes: Outcomes,
    pub(crate) retries: u64,
    /// What the log has gained, or what was read of it.
    pub(crate) effect: &'static str,
    /// How long until it was durable, or until a replica was open that had read it.
    pub(crate) took: Duration,
}

const ON_WRITING: [Fault; 14] = [
    Fault::Refuse(Refusal::InternalError),
    Fault::Refuse(Refusal::ServiceUnavailable),
    Fault::Refuse(Refusal::SlowDown),
    Fault::Refuse(Refusal::ConditionalRequestConflict),
    Fault::Refuse(Refusal::AccessDenied),
    Fault::Refuse(Refusal::SignatureDoesNotMatch),
    Fault::Refuse(Refusal::ExpiredToken),
    Fault::Refuse(Refusal::RequestTimeTooSkewed),
    Fault::Refuse(Refusal::RequestTimeout),
    Fault::RefuseAfterEffect(Refusal::InternalError),
    Fault::ResetBefore,
    Fault::ResetInRequest,
    Fault::AnswerLost,
    Fault::FlipRequest,
];

const ON_READING: [Fault; 14] = [
    Fault::Refuse(Refusal::InternalError),
    Fault::Refuse(Refusal::ServiceUnavailable),
    Fault::Refuse(Refusal::SlowDown),
    Fault::Refuse(Refusal::AccessDenied),
    Fault::Refuse(Refusal::SignatureDoesNotMatch),
    Fault::Refuse(Refusal::ExpiredToken),
    Fault::Refuse(Refusal::RequestTimeTooSkewed),
    Fault::ResetBefore,
    Fault::AnswerLost,
    Fault::ResetInAnswer,
    Fault::FlipAnswer,
    Fault::WrongChecksum,
    Fault::WrongLength(7),
    Fault::SlowAnswer { pieces: 5, pause: Duration::from_millis(50) },
];

/// Who writes, and in which bucket.
const WRITER: &str = "singly";
const LOG: &str = "v1/log/singly/";
const REGION: &str = REGIONS[0];

/// How long any of it may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of the segments that were written, and of those that were read.
#[derive(Debug)]
pub(crate) struct Alone {
    pub(crate) writing: Vec<Met>,
    pub(crate) reading: Vec<Met>,
}

/// Plays each fault, and demands that it has no effect on what is there in the end.
pub(crate) async fn each_fault_alone() -> Result<Alone, String> {
    // In a world of its own: in another one a replica that has gone would be waited for.
    let world = World::start(None, 0, 0).await?;
    let server = world.server().ok_or("the store is not in this process")?;
    let counter = Counter::default();
    let bucket = Counted::about(LOG.to_owned(), world.direct(REGION).await?, &counter);
    let writer = Replica::builder(WRITER, bucket).settings(only_the_log()).open().await;
    let writer = writer.map_err(|error| format!("a replica does not open: {error}"))?;
    let writing = write(&world, server, &writer, &counter).await?;
    // A replica that closes leaves a snapshot, and then nobody has to read the log.
    let reading = read(&world, server).await?;
    writer.close().await.map_err(|error| format!("a replica does not close: {error}"))?;
    Ok(Alone { writing, reading })
}

/// Demands that the log grows by one segment for each change, and that the change is counted once.
async fn write(world: &World, server: &S3Server, writer: &Replica, counter: &Counter) -> Result<Vec<Met>, String> {
    let counted = writer.pn_counter("singly").map_err(|error| error.to_string())?;
    let mut met = Vec::new();
    for (fault, number) in ON_WRITING.into_iter().zip(1..) {
        let name = fault.name();
        let (before, in_log) = (counter.counted(), world.keys_in(REGION, LOG).len());
        let alone = Injected::on(server.faults(), fault, "PutObject", LOG);
        let began = Instant::now();
        let written = counted.add(1).map_err(|error| error.to_string())?;
        let durable = timeout(PATIENCE, written.durable()).await;
        durable.map_err(|_| format!("{name}: it is never durable"))?.map_err(|error| format!("{name}: {error}"))?;
        let took = began.elapsed();
        let injected = alone.times();
        let segments = world.keys_in(REGION, LOG).len() - in_log;
        if segments != 1 || counted.value() != number {
            return Err(format!("{name}: the log has grown by {segments}, and {} is counted", counted.value()));
        }
        let outcomes = less(&counter.counted(), &before);
        let retries = requests(&outcomes, "create").saturating_sub(1);
        met.push(Met { fault: what(fault), injected, outcomes, retries, effect: "one segment more", took });
    }
    each_was_noticed(met)
}

/// Demands that a newcomer reads every change, once.
async fn read(world: &World, server: &S3Server) -> Result<Vec<Met>, String> {
    let last = world.keys_in(REGION, LOG).pop().ok_or("there is nothing to read")?;
    let mut met = Vec::new();
    for fault in ON_READING {
        let name = fault.name();
        let counter = Counter::default();
        let bucket = Counted::about(last.clone(), world.direct(REGION).await?, &counter);
        let alone = Injected::on(server.faults(), fault, "GetObject", &last);
        let began = Instant::now();
        let observer = Replica::builder("observer", bucket).settings(only_the_log()).observe().await;
        let observer = observer.map_err(|error| format!("{name}: an observer does not open: {error}"))?;
        let caught_up = timeout(PATIENCE, observer.catch_up()).await;
        let took = began.elapsed();
        let injected = alone.times();
        let value = observer.pn_counter("singly").map_err(|error| error.to_string())?.value();
        if caught_up != Ok(true) || value != ON_WRITING.len() as i128 {
            return Err(format!("{name}: {value} of {} changes are read", ON_WRITING.len()));
        }
        let outcomes = counter.counted();
        let retries = requests(&outcomes, "get").saturating_sub(1);
        met.push(Met { fault: what(fault), injected, outcomes, retries, effect: "every change read once", took });
    }
    each_was_noticed(met)
}

/// Nothing but the log is written meanwhile.
fn only_the_log() -> Settings {
    let mut settings = settings();
    settings.snapshot_interval = Duration::from_secs(3_600);
    settings
}

/// A fault, once, and no other, until it is dropped.
struct Injected<'a> {
    faults: &'a Faults,
    name: &'static str,
    before: u64,
}

impl<'a> Injected<'a> {
    fn on(faults: &'a Faults, fault: Fault, operation: &str, key: &str) -> Self {
        let mut alone = Self { faults, name: fault.name(), before: 0 };
        alone.before = alone.times();
        faults.add(Rule::new(fault).on(operation).key(key).times(1));
        alone
    }

    fn times(&self) -> u64 {
        self.faults.injected().get(self.name).copied().unwrap_or(0) - self.before
    }
}

impl Drop for Injected<'_> {
    fn drop(&mut self) {
        self.faults.clear();
    }
}

/// Demands that each fault came once, and was noticed, unless it does nothing but take time.
fn each_was_noticed(met: Vec<Met>) -> Result<Vec<Met>, String> {
    let is_slow = |met: &Met| met.fault == "SlowAnswer";
    match met.iter().find(|met| met.injected != 1 || (met.retries == 0 && !is_slow(met))) {
        Some(Met { fault, injected, retries, .. }) => {
            Err(format!("{fault}: it was not injected once and noticed: times={injected} retries={retries}"))
        }
        None => Ok(met),
    }
}

fn what(fault: Fault) -> String {
    match fault {
        Fault::RefuseAfterEffect(refusal) => format!("{} after its effect", refusal.code()),
        fault => fault.name().to_owned(),
    }
}

fn requests(outcomes: &Outcomes, request: &str) -> u64 {
    outcomes.iter().filter(|(what, _)| what.starts_with(request)).map(|(_, times)| times).sum()
}

/// What was counted since, without the lists: they are made all the time.
fn less(now: &Outcomes, before: &Outcomes) -> Outcomes {
    let since = |(what, times): (&String, &u64)| (what.clone(), times - before.get(what).unwrap_or(&0));
    now.iter().map(since).filter(|(what, times)| *times > 0 && !what.starts_with("list")).collect()
}
