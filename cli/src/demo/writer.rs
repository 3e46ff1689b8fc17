//! A region's writer: does one step after the other, each with the mark that says which was the last.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use replica::{Batch, Error, ErrorKind, MarkValue, Position, Replica, Written};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::script::{Act, Change, Script};

/// How many steps a region does in a second.
pub(crate) const STEPS_PER_SECOND: u64 = 2_000;

/// How often it does some.
const TICK: Duration = Duration::from_millis(10);

/// How long is waited when the replica takes nothing at the moment.
const BACK_OFF: Duration = Duration::from_millis(20);

/// How far a region's writer is. It outlives the writer, as the memory of a client does.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The last step that was done, durable or not.
    pub(crate) done: AtomicU64,
    /// The last step that the replica has said is durable.
    pub(crate) durable: AtomicU64,
}

/// Changes that the next step shall be, and who wants to know that they are made.
pub(crate) type Asked = (Vec<Change>, oneshot::Sender<()>);

/// One who writes in a region.
pub(crate) struct Writer {
    pub(crate) replica: Replica,
    pub(crate) script: Arc<Script>,
    pub(crate) region: usize,
    /// What all paths and marks of this run begin with.
    pub(crate) prefix: String,
    pub(crate) progress: Arc<Progress>,
}

/// The last step in a segment that is on its way to the bucket.
struct Waiting {
    number: u64,
    position: Position,
    durable: Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>,
}

impl Writer {
    /// The name of the mark that says how many steps a region has done.
    pub(crate) fn mark(prefix: &str) -> String {
        format!("{prefix}steps")
    }

    /// Goes on behind the last step that is durable, until nobody can ask for anything any more.
    pub(crate) async fn run(self, mut asked: mpsc::Receiver<Asked>) -> Result<(), Error> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut last = Instant::now();
        let mut owed = 0.0;
        let mut waiting: VecDeque<Waiting> = VecDeque::new();
        loop {
            let durable = async {
                match waiting.front_mut() {
                    Some(first) => (&mut first.durable).await.map(|()| first.number),
                    None => std::future::pending().await,
                }
            };
            let written = tokio::select! {
                durable = durable => {
                    self.progress.durable.store(durable?, Ordering::Relaxed);
                    waiting.pop_front();
                    None
                }
                asked = asked.recv() => {
                    let Some((changes, done)) = asked else { return Ok(()) };
                    self.script.ask(self.region, self.next(), changes);
                    let written = self.step().await?;
                    let _gone = done.send(());
                    Some(written)
                }
                now = ticks.tick() => {
                    // Nobody who was held up makes up for more than a moment.
                    owed += (now - last).min(TICK * 10).as_secs_f64() * STEPS_PER_SECOND as f64;
                    last = now;
                    let mut written = None;
                    while owed >= 1.0 {
                        owed -= 1.0;
                        written = Some(self.step().await?);
                    }
                    written
                }
            };
            let Some((number, written)) = written else { continue };
            let position = written.position();
            match waiting.back_mut().filter(|last| last.position == position) {
                Some(last) => last.number = number,
                None => waiting.push_back(Waiting { number, position, durable: Box::pin(written.durable()) }),
            }
        }
    }

    fn next(&self) -> u64 {
        self.progress.done.load(Ordering::Relaxed) + 1
    }

    /// Does the next step: its changes and the mark are one batch.
    async fn step(&self) -> Result<(u64, Written), Error> {
        let number = self.next();
        let changes = self.script.step(self.region, number);
        let mark = Self::mark(&self.prefix);
        loop {
            let written = self.replica.batch(|batch| {
                changes.iter().for_each(|change| put(batch, &self.prefix, change));
                batch.mark(&mark, MarkValue::Number(number));
                Ok(())
            });
            match written {
                Ok(written) => {
                    self.progress.done.store(number, Ordering::Relaxed);
                    return Ok((number, written));
                }
                Err(error) if error.kind() == ErrorKind::Backpressure => sleep(BACK_OFF).await,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Adds a change to a batch, below a prefix.
pub(crate) fn put(batch: &mut Batch<'_>, prefix: &str, change: &Change) {
    let path = &*format!("{prefix}{}", change.path);
    match &change.act {
        Act::Increment(amount) => drop(batch.g_counter(path).add(*amount)),
        Act::Count(amount) => drop(batch.pn_counter(path).add(*amount)),
        Act::Write(text) => drop(batch.lww_register::<str>(path).set(text)),
        Act::WriteBeside(text) => drop(batch.mv_register::<str>(path).set(text)),
        Act::Add(element) => drop(batch.or_set::<str>(path).add(element)),
        Act::Remove(element) => drop(batch.or_set::<str>(path).remove(element)),
        Act::Delete(kind) => batch.delete_kind(path, *kind),
    }
}
