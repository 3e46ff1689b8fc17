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
        debug_assert!(POINTS.iter().any(|point| point.name == name), "{name} is a point");
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
        POINTS.iter().map(|point| (point.name, point.what, self.times(point.name)))
    }

    /// The points that were not reached.
    #[must_use]
    pub fn never_reached(&self) -> Vec<&'static str> {
        self.all().filter(|(.., times)| *times == 0).map(|(name, ..)| name).collect()
    }

    /// The points that so many stories of three regions should have reached, and did not: all of them in [`ALL_WITHIN`], those
    /// of [`REACHED_SOON`] in [`SOON_WITHIN`], and none in fewer.
    #[must_use]
    pub fn missing(&self, stories: u64) -> Vec<&'static str> {
        match stories {
            ALL_WITHIN.. => self.never_reached(),
            SOON_WITHIN.. => REACHED_SOON.iter().copied().filter(|name| self.times(name) == 0).collect(),
            _ => Vec::new(),
        }
    }
}

/// A situation that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// What it is called.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
    /// True for a fault that meets a state of the protocol, which a story hardly comes to by either alone.
    pub is_conjunction: bool,
}

const fn plain(name: &'static str, what: &'static str) -> Situation {
    Situation { name, what, is_conjunction: false }
}

/// Of a fault and a state of the protocol.
const fn both(name: &'static str, what: &'static str) -> Situation {
    Situation { name, what, is_conjunction: true }
}

/// How many stories of three regions reach every point: whoever has played so many and has not is told.
pub const ALL_WITHIN: u64 = 20_000;

/// How many reach those of [`REACHED_SOON`].
pub const SOON_WITHIN: u64 = 2_000;

/// Every point.
pub const POINTS: &[Situation] = &[
    // Creates whose answer is not what became of them.
    both("own segment answered Exists", "a segment was created, and its writer was told that the slot was taken"),
    both("own seal answered Exists", "an opener's seal was created, and it was told that the slot was taken"),
    both("own manifest answered Exists", "a manifest was created, and its writer was told that it was there"),
    both("a segment's answer is lost", "a segment was created, and its writer cannot know"),
    both("a seal's answer is lost", "a log was taken over, and the opener cannot know"),
    both("a manifest's answer is lost", "a snapshot was complete, and its writer cannot know"),
    both("a conflict on a segment", "a 409 for a segment, which had no effect"),
    both("a conflict on a seal", "a 409 for a seal, which had no effect"),
    both("a seal fails without a word", "a 5xx for a seal, which had no effect"),
    both("a segment is throttled", "too many requests, while the log waits"),
    both("a manifest is refused", "a full disk or a missing right, with all parts written"),
    both("a segment is created twice", "a repeated segment met its own first attempt"),
    both("a manifest is created twice", "a repeated manifest met its own first attempt"),
    plain("a deletion's answer is lost", "collected, and the collector cannot know"),
    plain("a segment is deleted twice", "a deletion came again, or from two processes"),
    // Requests that outlive their process, and processes that outlive their log.
    both("a segment lands without its process", "a segment was under way when its process ended, and arrived"),
    both("a seal lands without its process", "a seal was under way when its opener ended, and arrived"),
    both("a manifest lands without its process", "a manifest was under way when its process ended, and arrived"),
    both("a deletion lands without its process", "a deletion was under way when its process ended, and arrived"),
    both("a zombie's segment lands", "a process that has been replaced was faster than the seal"),
    both("a zombie's create meets a seal", "a process that has been replaced found its slot sealed"),
    both("a seal meets another object", "two openers, or an opener and a writer, wanted one slot"),
    plain("a late seal lands", "a delayed seal arrived"),
    both("a late seal meets another object", "a delayed seal found its slot taken"),
    both("a slot holds another object", "a delayed seal arrived where something else had been collected"),
    both("a create lands again", "a delayed create arrived where the same had been collected"),
    both("two processes collect one log", "each had deleted of it within ten seconds of the other"),
    both("a zombie collects", "a process that has been replaced deleted of its log"),
    plain("a zombie changes something", "a process that has been replaced took a change"),
    plain("a process is frozen", "a process did nothing for a while, with requests under way"),
    both("a frozen process goes on after its log was taken over", "it woke as a zombie"),
    both(
        "a frozen process goes on after its log was collected",
        "it woke as a zombie, and what it had written was gone",
    ),
    // Processes that end at a request.
    both("a process ends at its seal", "before an opener's seal was sent, or after it was there"),
    both("a process ends at a segment", "before a segment was sent, or before anybody was told"),
    both("a process ends at a part of a snapshot", "between two parts, or between the last and the manifest"),
    both(
        "a process ends at a manifest",
        "with all parts there and no manifest, or with the manifest and nothing promised",
    ),
    both("a process ends between a manifest and its check", "before the parts were listed once more"),
    both("a process ends while it lists a log", "while it collects, or looks a log over"),
    both("a process ends while it reads a log", "while it pulls"),
    both("a process ends while it reads a snapshot", "while it catches up through one, or compares"),
    both("a process ends while it finds the end of its log", "while it opens, before its seal or behind it"),
    both("a process ends while it recovers its log", "while it opens, behind its seal"),
    both("a process ends while it recovers a snapshot", "while it opens, with a part of its snapshot read"),
    both("a process ends in a collection", "with a part of what may go deleted"),
    both("a process ends in a collection while another collects", "of another log, within two seconds"),
    // Buckets.
    plain("a bucket is away", "out of reach for everybody"),
    plain("a bucket takes writes and answers no reads", "the log grows, and nobody can look, its writer included"),
    plain("a bucket answers reads and takes no writes", "peers read on, and the writer's changes wait"),
    plain("a bucket is emptied", "nothing of a log is left"),
    plain("a bucket is rolled back", "an earlier state of a log is back"),
    both("a bucket is rolled back under its replica", "the process goes on writing behind the hole"),
    both("a rolled back log is taken over", "its opener could ask nobody who had read more"),
    both("an opener finds its history lost", "a peer had read what the own log does not have"),
    both("a reader notices a rollback", "a log was not what had been read of it"),
    both("a replica that lost its history is replaced", "evicted, and another name opened in its region"),
    both("a collection while a peer is cut off", "a segment went while somebody could not read"),
    both("a collection while a peer is opening", "a segment went while somebody recovered or began"),
    both("an object is damaged where it lies", "every reader finds the same wrong bytes"),
    // What replicas come to.
    plain("a replica is behind what it had published", "a recovery alone brought back less than it once knew"),
    plain("a replica lags by more than a minute", "a log is known to go on, and is not applied"),
    both("a new replica serves before it has read all", "its bootstrap had no time"),
    both("no snapshot covers what was collected", "a slot is gone, and what replaces it is not in reach"),
    both("a reader stops at a later version", "an object of a later format stopped its log, and no other"),
    both("a reader stops at a damaged object", "an object read wrongly twice stopped its log for now"),
    plain("a process is fenced", "its log is another's"),
    plain("an evicted replica is told", "by its peers or by a final seal"),
    plain("a change is refused by back-pressure", "too much waits, or memory is full, or a promise is not kept yet"),
    plain("a change is refused for a clock behind", "the hybrid clock would have to run too far ahead"),
    plain("a change is refused", "for another reason"),
    plain("a change is refused by a fenced process", "a zombie that knows it"),
    plain("a change is refused by an evicted replica", "it knows that it does not count any more"),
    plain("a change is refused by a closed replica", "it is being closed, or was"),
    plain("a replica is closed", "with all that it had written, and a snapshot"),
    both("a running replica finds its history lost", "a peer has read of its log what it does not have"),
    both("a list makes a log look lost", "a stale or partial list looked like a rollback, for a while"),
    both(
        "two histories of one log refuse each other",
        "a rolled back log was followed by some and refused by others, to the end",
    ),
    plain("a removal waits for its add", "a view in which a removal is there and its add is not"),
    plain("an observer has a closed view", "who only reads was held against the oracle"),
    plain("a token is followed", "written in one region, read in another that waited for the token"),
    plain("two regions have one frontier", "their values were compared"),
    plain("a newcomer reads logs alone", "every delta merged from the beginning"),
    plain("a newcomer reads a snapshot", "a state merged, and the deltas behind it"),
    plain("all is at rest", "nothing was written for long, and the buckets were counted"),
    // Inside the engine.
    plain("a removal ahead of its add", "a removal was applied before what it removes"),
    plain("an add behind its removal", "an add arrived that had been removed before"),
    plain("a purge", "a dead tally was dropped"),
    plain("a bootstrap", "a new replica began with a peer's snapshot"),
    both("a snapshot past a collected slot", "a slot was gone, and a snapshot was merged"),
    plain("a snapshot to the end of an evicted log", "less of it had been read than counts"),
    plain("a snapshot over pending changes", "merged while own changes waited to be written"),
    plain("a log learnt from a third", "a snapshot had more of a log than was read of it"),
    both("a snapshot read anew", "it failed or was collected while it was read"),
    both("a manifest of another history", "refused whole, for a contradiction in a lineage"),
    plain("a recovery from a snapshot", "and the log behind it"),
    both("a recovery with one snapshot", "the other one was not written yet, or was passed over"),
    both("a snapshot passed over", "a recovery took the older one"),
    both("a recovery finds a gap", "a part of the own log was gone"),
    both("a promise said again", "a process ended between its snapshot and its acknowledgement"),
    both("short of its promise", "a view below what its log has acknowledged takes no writes"),
    both("an opener loses the slot", "somebody appended or sealed first"),
    both("an end of a log collected while it was read", "listed as the newest object, and gone: the log had gone on"),
    both("a void seal of one's own", "something lay beyond it"),
    both("a void seal met", "a reader did not follow it"),
    both("an epoch ahead of the clock", "an opener's clock was behind the log"),
    both("a taken slot is one's own", "read back, and the same bytes"),
    both("a taken slot is empty", "told that it was taken, and nothing was there"),
    both("a taken slot was misread", "another's object at the first look, and one's own at the second"),
    plain("damaged on its way", "read again, and whole"),
    both("a log looks like another", "nothing where something had been read"),
    plain("a wrong word of more", "a hint or a peer spoke of more than there is"),
    both("overtaken by a peer's word", "a peer had read what another process wrote to the own log"),
    both("evicted while it was read", "an eviction arrived between a request and its answer"),
    plain("an eviction raised", "a later end of an evicted log counts"),
    plain("more of an evicted log declared", "who had read beyond its end said so"),
    both("an evicted log is not whole", "it was not sealed, because somebody had read more"),
    both("an evicted writer is faster", "it took the slot of its final seal"),
    plain("a full segment", "cut by a change that had no room"),
    plain("changes while a snapshot is written", "what changed left its old state to it"),
    both("two writes of one time", "concurrent, and only the replicas' ids decide between them"),
    plain("digests agree", "two snapshots of the same changes were compared"),
];

/// Points that a few hundred stories reach again and again, so that a short run can demand them.
pub const REACHED_SOON: &[&str] = &[
    "own segment answered Exists",
    "a segment's answer is lost",
    "a conflict on a segment",
    "a segment is created twice",
    "a zombie changes something",
    "a frozen process goes on after its log was taken over",
    "a process ends at a part of a snapshot",
    "a process ends between a manifest and its check",
    "a process ends while it recovers its log",
    "a process ends while it recovers a snapshot",
    "a bucket is away",
    "a bucket takes writes and answers no reads",
    "a bucket answers reads and takes no writes",
    "a bucket is rolled back",
    "an opener finds its history lost",
    "a reader notices a rollback",
    "a replica that lost its history is replaced",
    "a collection while a peer is cut off",
    "a collection while a peer is opening",
    "a change is refused by back-pressure",
    "a removal waits for its add",
    "an observer has a closed view",
    "a token is followed",
    "two regions have one frontier",
    "a newcomer reads a snapshot",
    "all is at rest",
    "a removal ahead of its add",
    "a purge",
    "a snapshot past a collected slot",
    "a taken slot is one's own",
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
        Point::TailCollected => "an end of a log collected while it was read",
        Point::TakenSlotIsEmpty => "a taken slot is empty",
        Point::TakenSlotIsOurs => "a taken slot is one's own",
        Point::TakenSlotWasMisread => "a taken slot was misread",
        Point::TieOfTimes => "two writes of one time",
        Point::VoidSealMet => "a void seal met",
        Point::WrongWordOfMore => "a wrong word of more",
    }
}
