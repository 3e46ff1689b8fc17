//! Sometimes-points: situations in which runs must have been, or they have shown nothing about them.
//! Layer 0.
//!
//! A simulator can pass by never going where it is hard. So each situation that matters has a name here, runs count how often
//! they were in it, and whoever plays many demands that each was reached: [`Points::never_reached`].

use std::collections::BTreeMap;

use replica::planted::Point;

/// How often each point was reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Points(BTreeMap<&'static str, u64>);

impl Points {
    /// Notes that a point was reached.
    ///
    /// # Panics
    ///
    /// When it is not in [`POINTS`].
    pub(crate) fn reach(&mut self, name: &'static str) {
        debug_assert!(POINTS.iter().any(|(point, _)| *point == name), "{name} is a point");
        *self.0.entry(name).or_default() += 1;
    }

    /// Notes those that the engine has told of.
    pub(crate) fn reach_inside(&mut self, reached: &BTreeMap<Point, u64>) {
        for (point, times) in reached {
            *self.0.entry(name_of(*point)).or_default() += times;
        }
    }

    /// Adds what another run has reached.
    pub fn merge(&mut self, other: &Self) {
        for (name, times) in &other.0 {
            *self.0.entry(name).or_default() += times;
        }
    }

    /// How often a point was reached.
    #[must_use]
    pub fn times(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Every point, what it is, and how often it was reached, in the order of [`POINTS`].
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        POINTS.iter().map(|(name, what)| (*name, *what, self.times(name)))
    }

    /// The points that were not reached.
    #[must_use]
    pub fn never_reached(&self) -> Vec<&'static str> {
        self.all().filter(|(.., times)| *times == 0).map(|(name, ..)| name).collect()
    }
}

/// Every point: its name, and what it is. Most are conjunctions of a fault and a state of the protocol.
pub const POINTS: &[(&str, &str)] = &[
    // Creates whose answer is not what became of them.
    ("own segment answered Exists", "a segment was created, and its writer was told that the slot was taken"),
    ("own seal answered Exists", "an opener's seal was created, and it was told that the slot was taken"),
    ("own manifest answered Exists", "a manifest was created, and its writer was told that it was there"),
    ("a segment's answer is lost", "a segment was created, and its writer cannot know"),
    ("a seal's answer is lost", "a log was taken over, and the opener cannot know"),
    ("a manifest's answer is lost", "a snapshot was complete, and its writer cannot know"),
    ("a conflict on a segment", "a 409 for a segment, which had no effect"),
    ("a conflict on a seal", "a 409 for a seal, which had no effect"),
    ("a seal fails without a word", "a 5xx for a seal, which had no effect"),
    ("a segment is throttled", "too many requests, while the log waits"),
    ("a manifest is refused", "a full disk or a missing right, with all parts written"),
    ("a segment is created twice", "a repeated segment met its own first attempt"),
    ("a manifest is created twice", "a repeated manifest met its own first attempt"),
    ("a deletion's answer is lost", "collected, and the collector cannot know"),
    ("a segment is deleted twice", "a deletion came again, or from two processes"),
    // Requests that outlive their process, and processes that outlive their log.
    ("a segment lands without its process", "a segment was under way when its process ended, and arrived"),
    ("a seal lands without its process", "a seal was under way when its opener ended, and arrived"),
    ("a manifest lands without its process", "a manifest was under way when its process ended, and arrived"),
    ("a deletion lands without its process", "a deletion was under way when its process ended, and arrived"),
    ("a zombie's segment lands", "a process that has been replaced was faster than the seal"),
    ("a zombie's create meets a seal", "a process that has been replaced found its slot sealed"),
    ("a seal meets another object", "two openers, or an opener and a writer, wanted one slot"),
    ("a late seal lands", "a delayed seal arrived"),
    ("a late seal meets another object", "a delayed seal found its slot taken"),
    ("a slot holds another object", "a delayed seal arrived where something else had been collected"),
    ("a create lands again", "a delayed create arrived where the same had been collected"),
    ("a zombie collects", "a process that has been replaced deleted of its log"),
    ("a zombie changes something", "a process that has been replaced took a change"),
    ("a process is frozen", "a process did nothing for a while, with requests under way"),
    ("a frozen process goes on after its log was taken over", "it woke as a zombie"),
    ("a frozen process goes on after its log was collected", "it woke as a zombie, and what it had written was gone"),
    // Processes that end at a request.
    ("a process ends at its seal", "before an opener's seal was sent, or after it was there"),
    ("a process ends at a segment", "before a segment was sent, or before anybody was told"),
    ("a process ends at a part of a snapshot", "between two parts, or between the last and the manifest"),
    ("a process ends at a manifest", "with all parts there and no manifest, or with the manifest and nothing promised"),
    ("a process ends between a manifest and its check", "before the parts were listed once more"),
    ("a process ends while it lists a log", "while it collects, or looks a log over"),
    ("a process ends while it reads a log", "while it pulls"),
    ("a process ends while it reads a snapshot", "while it catches up through one, or compares"),
    ("a process ends while it finds the end of its log", "while it opens, before its seal or behind it"),
    ("a process ends while it recovers its log", "while it opens, behind its seal"),
    ("a process ends while it recovers a snapshot", "while it opens, with a part of its snapshot read"),
    ("a process ends in a collection", "with a part of what may go deleted"),
    // Buckets.
    ("a bucket is away", "out of reach for everybody"),
    ("a bucket takes writes and answers no reads", "the log grows, and nobody can look, its writer included"),
    ("a bucket answers reads and takes no writes", "peers read on, and the writer's changes wait"),
    ("a bucket is emptied", "nothing of a log is left"),
    ("a bucket is rolled back", "an earlier state of a log is back"),
    ("a bucket is rolled back under its replica", "the process goes on writing behind the hole"),
    ("a rolled back log is taken over", "its opener could ask nobody who had read more"),
    ("an opener finds its history lost", "a peer had read what the own log does not have"),
    ("a reader notices a rollback", "a log was not what had been read of it"),
    ("a replica that lost its history is replaced", "evicted, and another name opened in its region"),
    ("a collection while a peer is cut off", "a segment went while somebody could not read"),
    ("a collection while a peer is opening", "a segment went while somebody recovered or began"),
    // What replicas come to.
    ("a replica is behind what it had published", "a recovery alone brought back less than it once knew"),
    ("a replica lags by more than a minute", "a log is known to go on, and is not applied"),
    ("a new replica serves before it has read all", "its bootstrap had no time"),
    ("no snapshot covers what was collected", "a slot is gone, and what replaces it is not in reach"),
    ("a reader stops at a later version", "an object of a later format stopped its log, and no other"),
    ("a reader stops at a damaged object", "an object read wrongly twice stopped its log for now"),
    ("a process is fenced", "its log is another's"),
    ("an evicted replica is told", "by its peers or by a final seal"),
    ("a change is refused by back-pressure", "too much waits, or memory is full, or a promise is not kept yet"),
    ("a change is refused for a clock behind", "the hybrid clock would have to run too far ahead"),
    ("a change is refused", "for another reason"),
    ("a change is refused by a fenced process", "a zombie that knows it"),
    ("a change is refused by an evicted replica", "it knows that it does not count any more"),
    ("a change is refused by a closed replica", "it is being closed, or was"),
    ("a replica is closed", "with all that it had written, and a snapshot"),
    ("a running replica finds its history lost", "a peer has read of its log what it does not have"),
    ("a list makes a log look lost", "a stale or partial list looked like a rollback, for a while"),
    (
        "two histories of one log refuse each other",
        "a rolled back log was followed by some and refused by others, to the end",
    ),
    ("a replica ends otherwise", "for a reason that it says"),
    ("a removal waits for its add", "a view in which a removal is there and its add is not"),
    ("an observer has a closed view", "who only reads was held against the oracle"),
    ("a token is followed", "written in one region, read in another that waited for the token"),
    ("two regions have one frontier", "their values were compared"),
    ("a newcomer reads logs alone", "every delta merged from the beginning"),
    ("a newcomer reads a snapshot", "a state merged, and the deltas behind it"),
    ("all is at rest", "nothing was written for long, and the buckets were counted"),
    // Inside the engine.
    ("a removal ahead of its add", "a removal was applied before what it removes"),
    ("an add behind its removal", "an add arrived that had been removed before"),
    ("a purge", "a dead tally was dropped"),
    ("a bootstrap", "a new replica began with a peer's snapshot"),
    ("a snapshot past a collected slot", "a slot was gone, and a snapshot was merged"),
    ("a snapshot to the end of an evicted log", "less of it had been read than counts"),
    ("a snapshot over pending changes", "merged while own changes waited to be written"),
    ("a log learnt from a third", "a snapshot had more of a log than was read of it"),
    ("a snapshot read anew", "it failed or was collected while it was read"),
    ("a manifest of another history", "refused whole, for a contradiction in a lineage"),
    ("a recovery from a snapshot", "and the log behind it"),
    ("a recovery with one snapshot", "the other one was not written yet, or was passed over"),
    ("a snapshot passed over", "a recovery took the older one"),
    ("a recovery finds a gap", "a part of the own log was gone"),
    ("a promise said again", "a process ended between its snapshot and its acknowledgement"),
    ("short of its promise", "a view below what its log has acknowledged takes no writes"),
    ("an opener loses the slot", "somebody appended or sealed first"),
    ("a void seal of one's own", "something lay beyond it"),
    ("a void seal met", "a reader did not follow it"),
    ("an epoch ahead of the clock", "an opener's clock was behind the log"),
    ("a taken slot is one's own", "read back, and the same bytes"),
    ("a taken slot is empty", "told that it was taken, and nothing was there"),
    ("a taken slot was misread", "another's object at the first look, and one's own at the second"),
    ("damaged on its way", "read again, and whole"),
    ("a log looks like another", "nothing where something had been read"),
    ("a wrong word of more", "a hint or a peer spoke of more than there is"),
    ("overtaken by a peer's word", "a peer had read what another process wrote to the own log"),
    ("evicted while it was read", "an eviction arrived between a request and its answer"),
    ("an eviction raised", "a later end of an evicted log counts"),
    ("more of an evicted log declared", "who had read beyond its end said so"),
    ("an evicted log is not whole", "it was not sealed, because somebody had read more"),
    ("an evicted writer is faster", "it took the slot of its final seal"),
    ("a full segment", "cut by a change that had no room"),
    ("changes while a snapshot is written", "what changed left its old state to it"),
    ("digests agree", "two snapshots of the same changes were compared"),
];

/// The name of what the engine tells of.
const fn name_of(point: Point) -> &'static str {
    match point {
        Point::AddBehindItsRemoval => "an add behind its removal",
        Point::Bootstrap => "a bootstrap",
        Point::ChangesWhileFrozen => "changes while a snapshot is written",
        Point::DamagedOnItsWay => "damaged on its way",
        Point::DigestsAgree => "digests agree",
        Point::EpochAheadOfTheClock => "an epoch ahead of the clock",
        Point::EvictedLogIsNotWhole => "an evicted log is not whole",
        Point::EvictedWhileRead => "evicted while it was read",
        Point::EvictedWriterIsFaster => "an evicted writer is faster",
        Point::EvictionRaised => "an eviction raised",
        Point::LogIsAnother => "a log looks like another",
        Point::LogLearntFromAThird => "a log learnt from a third",
        Point::ManifestOfAnotherHistory => "a manifest of another history",
        Point::MoreOfAnEvictedDeclared => "more of an evicted log declared",
        Point::OpenerFindsHistoryLost => "an opener finds its history lost",
        Point::OpenerLosesTheSlot => "an opener loses the slot",
        Point::OvertakenByAPeersWord => "overtaken by a peer's word",
        Point::OwnSealIsVoid => "a void seal of one's own",
        Point::PromiseSaidAgain => "a promise said again",
        Point::Purge => "a purge",
        Point::RecoveryFindsAGap => "a recovery finds a gap",
        Point::RecoveryFromASnapshot => "a recovery from a snapshot",
        Point::RecoveryWithOneSnapshot => "a recovery with one snapshot",
        Point::RemovalAheadOfItsAdd => "a removal ahead of its add",
        Point::SegmentFull => "a full segment",
        Point::ShortOfItsPromise => "short of its promise",
        Point::SnapshotMergedOverPending => "a snapshot over pending changes",
        Point::SnapshotPassedOver => "a snapshot passed over",
        Point::SnapshotPastACollectedSlot => "a snapshot past a collected slot",
        Point::SnapshotReadAnew => "a snapshot read anew",
        Point::SnapshotToTheEndOfAnEvicted => "a snapshot to the end of an evicted log",
        Point::TakenSlotIsEmpty => "a taken slot is empty",
        Point::TakenSlotIsOurs => "a taken slot is one's own",
        Point::TakenSlotWasMisread => "a taken slot was misread",
        Point::VoidSealMet => "a void seal met",
        Point::WrongWordOfMore => "a wrong word of more",
    }
}
