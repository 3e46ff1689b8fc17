//! A source that `apply --resume` remembers: how far it is done, and that nobody else does it.
//!
//! Both are marks of the replica, in the segments with what the lines did. One replica at a time has a source: it says so in a
//! mark of no lines, waits until that is durable, and only then asks who else has said so. Of two that begin at once at least
//! one sees the other, and withdraws.

use replica::{Batch, MarkValue, Marked, Replica};

use crate::{
    failure::{Failure, Outcome},
    groups::Begun,
};

/// In the place of a number of lines: whoever has made this mark has withdrawn. No source has so many.
const WITHDRAWN: u64 = u64::MAX;

/// The marks of a source.
pub(crate) struct Source {
    name: String,
    lines: String,
    hash: String,
}

impl Source {
    pub(crate) fn new(name: &str) -> Outcome<Self> {
        if name.is_empty() || name.len() > 200 || name.contains(char::is_control) {
            return Err(Failure::usage("the name of a source has 1 to 200 bytes without control characters"));
        }
        Ok(Self { name: name.to_owned(), lines: format!("apply/{name}/lines"), hash: format!("apply/{name}/hash") })
    }

    /// Where this replica left it, if it has done any of it.
    pub(crate) fn begun(&self, replica: &Replica) -> Option<Begun> {
        match (replica.mark(&self.lines)?.value, replica.mark(&self.hash)?.value) {
            (MarkValue::Number(lines), MarkValue::Hash(hash)) if !matches!(lines, 0 | WITHDRAWN) => {
                Some(Begun { lines, hash })
            }
            _ => None,
        }
    }

    /// Notes how many lines are done, and their hash, in the batch that does the last of them.
    pub(crate) fn note(&self, batch: &mut Batch<'_>, lines: u64, hash: [u8; 32]) {
        batch.mark(&self.lines, MarkValue::Number(lines));
        batch.mark(&self.hash, MarkValue::Hash(hash));
    }

    /// Takes the source for this replica, or fails because another one has it.
    pub(crate) async fn claim(&self, replica: &Replica) -> Outcome<()> {
        self.refuse_if_taken(replica).await?;
        self.say(replica, 0).await?;
        // SUBTLE: once more, now that whoever asks from here on is refused. Somebody else may have asked before.
        let Err(refused) = self.refuse_if_taken(replica).await else { return Ok(()) };
        // What is withdrawn keeps nobody from beginning it; what is not could keep both from it for ever.
        self.say(replica, WITHDRAWN).await?;
        Err(refused)
    }

    /// Makes a mark in the place of a number of lines, durably.
    async fn say(&self, replica: &Replica, lines: u64) -> Outcome<()> {
        replica.batch(|batch| {
            batch.mark(&self.lines, MarkValue::Number(lines));
            Ok(())
        })?;
        Ok(replica.flush().await?)
    }

    async fn refuse_if_taken(&self, replica: &Replica) -> Outcome<()> {
        let name = &self.name;
        let marked = replica.marked_by(&self.lines).await.map_err(|error| {
            Failure::from(error)
                .and("; the first lines of a source are applied when every bucket can be asked who has begun it")
        })?;
        let taken = marked.iter().find(|marked| marked.value != MarkValue::Number(WITHDRAWN));
        let Some(Marked { replica, region, value, .. }) = taken else { return Ok(()) };
        let says = if *value == MarkValue::Number(0) {
            format!(
                "the source {name} is being begun by the replica {replica} in {region}; nothing of it was applied here"
            )
        } else {
            format!("the source {name} was begun by the replica {replica} in {region}")
        };
        Err(Failure::failed(format!("{says}; go on there: `--region {region} --replica {replica}`")))
    }
}
