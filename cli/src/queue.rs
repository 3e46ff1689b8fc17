//! The queue of a region: its hints, what it says of itself, and `dlq`: its dead letters.

use std::process::ExitCode;

use operations::moment;
use serde::Serialize;
use serde_json::json;
use store_s3::{DeadLetters, Queue, QueueUrl, Source, SqsHints};

use crate::{
    args::Dlq,
    config::{Place, Region},
    failure::{Failure, Outcome, told},
    output::{Output, bytes, counted},
    session::Session,
};

/// The hints of a region, if it has a queue.
pub(crate) async fn hints(regions: &[Region], here: usize) -> Outcome<Option<SqsHints>> {
    let Some(url) = &regions[here].hints else { return Ok(None) };
    let queue = Queue::connect(url).await;
    // A name or a permission that is wrong stays so. A service that is away comes back, and the hints wait for it.
    match queue.state().await {
        Err(error) if error.outcome == replica::ports::Outcome::Refused => {
            Err(Failure::failed(format!("region {}: {}", regions[here].name, told(&error))))
        }
        _ => Ok(Some(SqsHints::listen(queue, sources(regions, here)))),
    }
}

/// The buckets that a region's queue tells of: those of the others.
fn sources(regions: &[Region], here: usize) -> Vec<Source> {
    let others = regions.iter().enumerate().filter(|(number, _)| *number != here);
    let on_s3 = others.filter_map(|(_, region)| match &region.place {
        Place::S3(url) => Some(Source { bucket: url.bucket().to_owned(), prefix: url.prefix().to_owned() }),
        _ => None,
    });
    on_s3.collect()
}

/// What is in a region's queue.
#[derive(Serialize)]
pub(crate) struct ShownQueue {
    queue: String,
    waiting: Option<u64>,
    under_way: Option<u64>,
    dead_letters: Option<u64>,
    wrong: Option<String>,
}

/// The same, if the region has one.
pub(crate) async fn shown(region: &Region) -> Option<ShownQueue> {
    let url = region.hints.as_ref()?;
    let queue = Queue::connect(url).await;
    let mut shown =
        ShownQueue { queue: url.name().to_owned(), waiting: None, under_way: None, dead_letters: None, wrong: None };
    match queue.state().await {
        Err(error) => shown.wrong = Some(told(&error)),
        Ok(state) => {
            (shown.waiting, shown.under_way) = (Some(state.waiting), Some(state.under_way));
            let letters = async { DeadLetters::of(queue).await?.count().await };
            match letters.await {
                Ok(letters) => shown.dead_letters = Some(letters),
                Err(error) => shown.wrong = Some(told(&error)),
            }
        }
    }
    Some(shown)
}

impl ShownQueue {
    /// In lines.
    pub(crate) fn print(&self, out: &mut Output) -> Outcome<()> {
        let count = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
        out.line(format_args!(
            "\nqueue {}: {} waiting, {} under way, {} dead letters",
            self.queue,
            count(self.waiting),
            count(self.under_way),
            count(self.dead_letters)
        ))?;
        match &self.wrong {
            Some(says) => out.line(format_args!("hints: {says}")),
            None => Ok(()),
        }
    }
}

#[derive(Serialize)]
struct ShownLetter<'a> {
    id: &'a str,
    sent: String,
    received: u32,
    bytes: usize,
    reason: &'a str,
    start: &'a str,
}

pub(crate) async fn dead_letters(session: &Session, what: &Dlq, out: &mut Output) -> Outcome {
    let letters = DeadLetters::of(Queue::connect(url(session)?).await).await?;
    match what {
        Dlq::List { limit } => {
            let found = letters.list(*limit, &sources(&session.regions, session.here)).await?;
            for letter in &found {
                let (id, received, reason, start) = (&*letter.id, letter.times, &*letter.reason, &*letter.start);
                let sent = moment(letter.sent_ms);
                if out.is_json() {
                    out.object(&ShownLetter { id, sent, received, bytes: letter.bytes, reason, start })?;
                } else {
                    let size = bytes(letter.bytes as u64);
                    out.line(format_args!("{sent}  {id}  {size}, received {received} times: {reason}\n    {start}"))?;
                }
            }
            let count = letters.count().await?;
            if !out.is_json() {
                out.line(format_args!("{} in {}", counted(count, "message"), letters.name()))?;
            }
        }
        Dlq::Replay { limit } => {
            let replayed = letters.replay(*limit).await?;
            if out.is_json() {
                out.object(&json!({"sent": replayed.sent, "doubled": replayed.doubled}))?;
            } else {
                out.line(format_args!("{} sent back", counted(replayed.sent, "message")))?;
            }
            if replayed.doubled > 0 {
                let says = format!(
                    "{} of them could not be deleted here, and are in both queues",
                    counted(replayed.doubled, "message")
                );
                session.warnings().say(&says);
            }
        }
        Dlq::Purge => {
            let count = letters.purge().await?;
            if out.is_json() {
                out.object(&json!({"deleted": count}))?;
            } else {
                out.line(format_args!("about {} deleted from {}", counted(count, "message"), letters.name()))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn url(session: &Session) -> Outcome<&QueueUrl> {
    let region = session.region();
    region.hints.as_ref().ok_or_else(|| {
        Failure::usage(format!("no queue is configured for {}: give it `hints = \"sqs://...\"`", region.name))
    })
}
