//! Live views of a replica: leaderboards, and watching what changes.
//! Layer 5.

use core::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};
use std::sync::Arc;

use futures_util::Stream;

use crate::{
    error::{Error, ErrorKind},
    key::check_path,
    keyspace::{Board, Event, Ranked, Watcher},
    replica::Replica,
};

impl Replica {
    /// The leaderboard of the counters whose paths begin with `prefix`; of all counters, where it is empty.
    ///
    /// It exists as long as somebody holds a handle of this prefix, and all of them share it. Keep one for as long as it is
    /// read: the first handle looks at every object under the prefix, about two seconds for a million, and this call does not
    /// return before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when no path can begin with `prefix`.
    pub fn leaderboard(&self, prefix: &str) -> Result<Leaderboard, Error> {
        check_prefix(prefix)?;
        Ok(Leaderboard { board: self.engine().keyspace.board(prefix), replica: self.clone() })
    }

    /// The first `count` counters of the leaderboard of `prefix`, found without making it: for whoever asks once.
    ///
    /// Counters that change meanwhile are seen as they were before or as they are then.
    ///
    /// # Cost
    ///
    /// A look at every object, those that are not under the prefix too: some tenths of a second for a million. A
    /// [`leaderboard`](Self::leaderboard) costs more to make, and then next to nothing to read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when no path can begin with `prefix`.
    pub fn top(&self, prefix: &str, count: usize) -> Result<Vec<Ranked>, Error> {
        check_prefix(prefix)?;
        Ok(self.engine().keyspace.top(prefix, count))
    }

    /// Watches the objects of every kind whose paths begin with `prefix`; all objects, where it is empty.
    ///
    /// Whatever begins to change after this call is told, wherever it was changed. What is there already is not told: read it
    /// with [`scan`](Self::scan) after this call, and nothing is missed.
    #[must_use = "what is not held watches nothing"]
    pub fn watch(&self, prefix: &str) -> Watch {
        Watch { watcher: self.engine().keyspace.watch(prefix), replica: self.clone() }
    }
}

/// Nothing, or what a path can begin with.
fn check_prefix(prefix: &str) -> Result<(), Error> {
    if prefix.is_empty() {
        return Ok(());
    }
    check_path(prefix).map_err(|invalid| Error::new(ErrorKind::Invalid, format!("{invalid}: prefix={prefix:?}")))
}

/// The counters under a prefix in the order of their values: a handle, cheap to clone.
///
/// Both kinds of counters are on it, the greatest value first, and equal values in the order of their paths. A counter is on
/// it as long as it is live, at zero too, and gone when it is deleted. The board is kept up by each change, local or not, in
/// the moment in which it is made, so what it says of a counter and what the counter says are the same.
///
/// # Cost
///
/// A read is O(log n) and what it returns: the first 100 of 1,000,000 take some microseconds, and no I/O is waited for. Each
/// change of a counter under the prefix costs O(log n) more, half a microsecond among 1,000 counters and four among 1,000,000
/// that are changed in no order, and all of them take turns. `benches/leaderboard.rs` measures it.
///
/// Memory for each counter: 24 bytes, its value and a reference to its path, in nodes that are filled to two thirds on
/// average and never below a quarter: about 40 bytes.
#[derive(Clone)]
pub struct Leaderboard {
    board: Arc<Board>,
    replica: Replica,
}

impl Leaderboard {
    /// The first `count` counters.
    #[must_use]
    pub fn top(&self, count: usize) -> Vec<Ranked> {
        self.board.top(count)
    }

    /// Where the counter at `path` stands, if it is on the board. Of two counters at one path, the one that stands better.
    #[must_use]
    pub fn rank(&self, path: &str) -> Option<Ranked> {
        self.replica.engine().keyspace.rank(&self.board, path)
    }

    /// The counter at `path`, with up to `count` before it and up to `count` behind it, in order; nothing if it is not on the
    /// board.
    #[must_use]
    pub fn around(&self, path: &str, count: usize) -> Vec<Ranked> {
        self.replica.engine().keyspace.around(&self.board, path, count)
    }

    /// The sum of all values on the board. Cost: O(1).
    #[must_use]
    pub fn sum(&self) -> i128 {
        self.board.sum()
    }

    /// How many counters are on the board. Cost: O(1).
    #[must_use]
    pub fn len(&self) -> usize {
        self.board.len()
    }

    /// True when no counter is on the board.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.board.is_empty()
    }

    /// What the paths of its counters begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.board.prefix()
    }

    /// How many entries and branches of its tree the board has looked at since it was made, in changes and in reads: what it
    /// costs, counted.
    #[must_use]
    pub fn visited(&self) -> u64 {
        self.board.visited()
    }
}

impl fmt::Debug for Leaderboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Leaderboard").field(&self.board).finish()
    }
}

/// What changes under a prefix, told to one reader at its own pace. Dropping it ends the watch.
///
/// An object that changes several times before it is told is told once, with the value of that moment. A change that leaves
/// what a reader sees as it was is not told: an add of what is in the set, the write of a register that loses, the purge of
/// what was deleted. A value can nevertheless be the one that was told last, when it changed back and forth meanwhile.
///
/// # Limits
///
/// At most [`WATCH_KEYS_MAX`](crate::WATCH_KEYS_MAX) objects wait. One more, and all of them are given up: the reader gets
/// one [`Event::Lagged`], and then what changes afterwards. To be up to date again it reads everything under the prefix.
///
/// # Cost
///
/// For each change under the prefix some hundred nanoseconds, and reading the object when it is told: of a set, a reference
/// to each element.
pub struct Watch {
    watcher: Watcher,
    replica: Replica,
}

impl Watch {
    /// Waits for the next event. `None` when the replica has stopped for good and all has been told.
    ///
    /// It can be dropped at any time, and nothing is lost. It needs no particular runtime.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|context| self.poll_event(context)).await
    }

    /// What the paths of the objects begin with that it watches.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.watcher.prefix()
    }

    fn poll_event(&mut self, context: &Context<'_>) -> Poll<Option<Event>> {
        self.replica.engine().keyspace.poll_watch(&mut self.watcher, context)
    }
}

impl Stream for Watch {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll_event(context)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.watcher).finish()
    }
}
