//! Each fault alone: what one write to the log comes to when its request meets it.
//!
//! In a storm one cannot tell which fault led to which answer. Here a replica writes one change for each fault, and only the
//! create of that one segment meets it.

use std::time::Duration;

use replica::Replica;
use servers::{Fault, Refusal, Rule};
use tokio::time::{sleep, timeout};

use crate::{
    counting::{Counted, Counter, Outcomes},
    store::{REGIONS, World},
    worker::settings,
};

/// What became of one write.
#[derive(Debug)]
pub(crate) struct Met {
    pub(crate) fault: String,
    pub(crate) injected: u64,
    /// What its requests came to, in the order of names.
    pub(crate) outcomes: Outcomes,
    pub(crate) retries: u64,
    /// How many objects the log has got by it.
    pub(crate) segments: usize,
    /// How long until it was durable.
    pub(crate) took: Duration,
}

const FAULTS: [Fault; 15] = [
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
    Fault::WrongLength(7),
];

/// Plays each of them on a log of its own, and demands that every change is in it once.
pub(crate) async fn each_fault_alone(world: &World) -> Result<Vec<Met>, String> {
    let Some(server) = world.server() else { return Ok(Vec::new()) };
    let region = REGIONS[0];
    let counter = Counter::default();
    let bucket = Counted { bucket: world.direct(region).await?, counter: counter.clone() };
    let mut settings = settings();
    // Nothing but the log is to be written meanwhile.
    settings.snapshot_interval = Duration::from_secs(3_600);
    let replica = Replica::builder("singly", bucket).settings(settings).open().await;
    let replica = replica.map_err(|error| format!("a replica does not open: {error}"))?;
    let log = |world: &World| {
        let keys = world.keys_in(region).unwrap_or_default();
        keys.into_iter().filter(|key| key.starts_with("v1/log/singly/")).count()
    };
    let counted = replica.pn_counter("singly").map_err(|error| error.to_string())?;
    let mut met = Vec::new();
    for (number, fault) in FAULTS.into_iter().enumerate() {
        let (before, in_log) = (counter.counted(), log(world));
        let (injected, name) = (server.faults().injected(), fault.name());
        server.faults().add(Rule::new(fault).on("PutObject").key("v1/log/singly/").times(1));
        let began = tokio::time::Instant::now();
        let written = counted.add(1).map_err(|error| error.to_string())?;
        let durable = timeout(Duration::from_secs(60), written.durable()).await;
        durable.map_err(|_| format!("{name}: it is never durable"))?.map_err(|error| format!("{name}: {error}"))?;
        let took = began.elapsed();
        server.faults().clear();
        let outcomes = less(&counter.counted(), &before);
        let creates: u64 = outcomes.iter().filter(|(what, _)| what.starts_with("create")).map(|(_, times)| times).sum();
        let segments = log(world) - in_log;
        if segments != 1 || counted.value() != number as i128 + 1 {
            return Err(format!("{name}: the log has grown by {segments}, and {} is counted", counted.value()));
        }
        let of_fault = |all: &std::collections::BTreeMap<&str, u64>| all.get(name).copied().unwrap_or(0);
        met.push(Met {
            fault: what(fault),
            injected: of_fault(&server.faults().injected()) - of_fault(&injected),
            outcomes,
            retries: creates.saturating_sub(1),
            segments,
            took,
        });
        sleep(Duration::from_millis(1)).await;
    }
    replica.close().await.map_err(|error| format!("a replica does not close: {error}"))?;
    if let Some(never) = met.iter().find(|met| met.injected != 1) {
        return Err(format!("{} was injected {} times", never.fault, never.injected));
    }
    // What was counted is what a newcomer reads, too.
    let observer = Replica::builder("observer", world.direct(region).await?).observe().await;
    let observer = observer.map_err(|error| format!("an observer does not open: {error}"))?;
    let value = observer.pn_counter("singly").map_err(|error| error.to_string())?.value();
    if value != FAULTS.len() as i128 {
        return Err(format!("{value} of {} changes are read", FAULTS.len()));
    }
    Ok(met)
}

fn what(fault: Fault) -> String {
    match fault {
        Fault::RefuseAfterEffect(refusal) => format!("{} after its effect", refusal.code()),
        fault => fault.name().to_owned(),
    }
}

/// What was counted since.
fn less(now: &Outcomes, before: &Outcomes) -> Outcomes {
    let since = |(what, times): (&String, &u64)| (what.clone(), times - before.get(what).unwrap_or(&0));
    now.iter().map(since).filter(|(what, times)| *times > 0 && !what.starts_with("list")).collect()
}
