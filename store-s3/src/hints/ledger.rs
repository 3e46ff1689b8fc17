//! The messages that were received and are not dealt with yet. No I/O: what is to be done is returned.

use core::time::Duration;
use std::collections::BTreeMap;

/// How long a message stays hidden from other readers after it was received, and after each time that is extended.
pub(super) const HIDDEN: Duration = Duration::from_secs(30);

/// Of this, how much may pass before it is extended.
const EXTENDED_AFTER: Duration = Duration::from_secs(15);

/// How many messages are under way at most. Those behind them stay in the queue.
pub(super) const UNDER_WAY_MAX: usize = 64;

/// A message as the queue knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Handle {
    /// What it is called, however often it is received.
    pub(super) id: String,
    /// What it is called this time.
    pub(super) receipt: String,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    messages: BTreeMap<String, UnderWay>,
    /// The message of each hint that was given away and is not done.
    hints: BTreeMap<u64, String>,
    given: u64,
}

#[derive(Debug)]
struct UnderWay {
    receipt: String,
    hints: usize,
    hidden_since: Duration,
}

impl Ledger {
    /// Notes a message and gives numbers to its hints. None when it is under way already and has come again: whoever is
    /// told twice looks twice.
    pub(super) fn receive(&mut self, handle: Handle, hints: usize, now: Duration) -> Vec<u64> {
        if let Some(known) = self.messages.get_mut(&handle.id) {
            // SUBTLE: deleting by an older receipt is answered with success, and the message comes again.
            known.receipt = handle.receipt;
            known.hidden_since = now;
            return Vec::new();
        }
        let numbers: Vec<u64> = (self.given + 1..).take(hints).collect();
        self.given += hints as u64;
        self.hints.extend(numbers.iter().map(|number| (*number, handle.id.clone())));
        self.messages.insert(handle.id, UnderWay { receipt: handle.receipt, hints, hidden_since: now });
        numbers
    }

    /// A hint is done. Returns its message when that was the last of its hints: it may be deleted.
    pub(super) fn done(&mut self, hint: u64) -> Option<Handle> {
        let id = self.hints.remove(&hint)?;
        let message = self.messages.get_mut(&id)?;
        message.hints -= 1;
        if message.hints > 0 {
            return None;
        }
        self.messages.remove(&id).map(|message| Handle { id, receipt: message.receipt })
    }

    /// Those whose time is to be extended now, at most ten. They count as extended.
    pub(super) fn due_for_extension(&mut self, now: Duration) -> Vec<Handle> {
        let due = self.messages.iter_mut().filter(|(_, message)| message.is_due(now)).take(10);
        due.map(|(id, message)| {
            message.hidden_since = now;
            Handle { id: id.clone(), receipt: message.receipt.clone() }
        })
        .collect()
    }

    /// When the next is to be extended; none while nothing is under way.
    pub(super) fn extends_next(&self) -> Option<Duration> {
        self.messages.values().map(|message| message.hidden_since + EXTENDED_AFTER).min()
    }

    /// Forgets a message that others may receive again. What becomes of its hints does not matter any more.
    pub(super) fn forget(&mut self, id: &str) {
        self.messages.remove(id);
        self.hints.retain(|_, of| of != id);
    }

    pub(super) fn under_way(&self) -> usize {
        self.messages.len()
    }
}

impl UnderWay {
    fn is_due(&self, now: Duration) -> bool {
        now >= self.hidden_since + EXTENDED_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(id: &str, receipt: &str) -> Handle {
        Handle { id: id.to_owned(), receipt: receipt.to_owned() }
    }

    const START: Duration = Duration::from_secs(100);

    #[test]
    fn a_message_may_go_when_its_last_hint_is_done() {
        let mut ledger = Ledger::default();
        let first = ledger.receive(handle("a", "1"), 2, START);
        let second = ledger.receive(handle("b", "2"), 1, START);
        assert_eq!((first.len(), second.len(), ledger.under_way()), (2, 1, 2));
        assert_eq!(ledger.done(first[0]), None);
        assert_eq!(ledger.done(first[0]), None, "it is done once");
        assert_eq!(ledger.done(second[0]), Some(handle("b", "2")));
        assert_eq!(ledger.done(first[1]), Some(handle("a", "1")));
        assert_eq!((ledger.under_way(), ledger.extends_next()), (0, None));
        assert!(ledger.hints.is_empty());
    }

    #[test]
    fn a_message_that_comes_again_is_deleted_by_its_newest_receipt() {
        let mut ledger = Ledger::default();
        let hints = ledger.receive(handle("a", "old"), 1, START);
        assert!(ledger.receive(handle("a", "new"), 1, START).is_empty(), "it is told once");
        assert_eq!(ledger.done(hints[0]), Some(handle("a", "new")));
        let again = ledger.receive(handle("a", "newer"), 1, START);
        assert_eq!(again.len(), 1, "after that it is a message like any other");
        assert!(again != hints, "and its hint another hint");
    }

    #[test]
    fn the_time_of_what_is_under_way_is_extended_in_time() {
        let mut ledger = Ledger::default();
        let hints = ledger.receive(handle("a", "1"), 1, START);
        assert!(ledger.due_for_extension(START + EXTENDED_AFTER / 2).is_empty());
        let due = ledger.extends_next().expect("one is under way");
        assert!(due < START + HIDDEN, "before others see it");
        assert_eq!(ledger.due_for_extension(due), [handle("a", "1")]);
        assert!(ledger.due_for_extension(due).is_empty(), "once");
        assert_eq!(ledger.extends_next(), Some(due + EXTENDED_AFTER));
        ledger.forget("a");
        assert_eq!((ledger.extends_next(), ledger.done(hints[0])), (None, None));
    }

    #[test]
    fn ten_are_extended_at_a_time() {
        let mut ledger = Ledger::default();
        for number in 0..25 {
            ledger.receive(handle(&format!("{number:02}"), "1"), 1, START);
        }
        let later = START + HIDDEN;
        let batches = [(); 4].map(|()| ledger.due_for_extension(later).len());
        assert_eq!(batches, [10, 10, 5, 0]);
    }
}
