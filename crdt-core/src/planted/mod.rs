//! What only the simulator switches on: faults planted on purpose, and a list of the places that were reached.
//! Layer 0.
//!
//! A simulator that has never missed a fault may be one that cannot see any. Each [`Mutant`] is such a fault, asked for where
//! it would be made, and each [`Point`] a situation in which a run must have been, or it has shown nothing about it. Without
//! the feature `planted` no mutant is ever there, no point is kept, and the compiler leaves nothing of either.

/// A fault that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the simulator's list says what each does and which check must find it")]
pub enum Mutant {
    AbsenceIsNoState,
    AckBeforeDurable,
    AcksNotApplied,
    AcksWhatIsApplied,
    BoardMissesMerges,
    ChecksumIgnored,
    ClockBackOnRestart,
    ClockNotMerged,
    CollectsPastTheOlder,
    CollectsUnasked,
    ContextNotStrict,
    CounterWraps,
    DeadNeverPurged,
    DeadNotReburied,
    DeclaredBeforeTheSeal,
    DeltaSpeaksOfAll,
    EarlyByDotAlone,
    EarlyForgotten,
    EarlyNotInTheSnapshot,
    EpochReused,
    EvictedReadOn,
    FirstPageOnly,
    FrontierJoinsHeaders,
    FrontierNotedLate,
    HintIgnored,
    HistoryUnchecked,
    LoserDropped,
    LoserRead,
    LostSealClaims,
    ManifestBeforeTheLog,
    MarksInTheNextSegment,
    NamedPartsCollected,
    NeedsBeforeTheMerge,
    NeedsEmptySegments,
    NewestIsPromised,
    OlderSnapshotCollected,
    OnlyHereKept,
    OtherKeyAccepted,
    OwedForgottenByMerges,
    OwnEntriesExempt,
    OwnLogTakenAsSeen,
    OwnPutUnchecked,
    OwnSuccessIsAFence,
    PartsThoughtUnchanged,
    ProbeSkipped,
    PublishedGoesBack,
    PurgeHitsTheYounger,
    PurgedUnacknowledged,
    RemovalNamesNoDots,
    ReplayStopsAtTheFirstSeal,
    SealNotRechecked,
    SealsCollected,
    SnapshotIsFuzzy,
    SnapshotMissesAKey,
    SnapshotOverwrites,
    TalliesRelayed,
    TieByArrival,
    TokenAheadOfTheBucket,
    TotalsAddedOnMerge,
    TwoLivesOfOneBirth,
    UnknownIsDone,
    WriteYieldsToTheFuture,
}

/// A situation inside the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the simulator's list says what each is")]
pub enum Point {
    AddBehindItsRemoval,
    Bootstrap,
    ChangesWhileFrozen,
    DamagedOnItsWay,
    DigestsAgree,
    EpochAheadOfTheClock,
    EvictedLogIsNotWhole,
    EvictedWhileRead,
    EvictedWriterIsFaster,
    EvictionRaised,
    LogIsAnother,
    LogLearntFromAThird,
    ManifestOfAnotherHistory,
    MoreOfAnEvictedDeclared,
    OpenerFindsHistoryLost,
    OpenerLosesTheSlot,
    OvertakenByAPeersWord,
    OwnSealIsVoid,
    PromiseSaidAgain,
    Purge,
    RecoveryFindsAGap,
    RecoveryFromASnapshot,
    RecoveryWithOneSnapshot,
    RemovalAheadOfItsAdd,
    SegmentFull,
    ShortOfItsPromise,
    SnapshotMergedOverPending,
    SnapshotPassedOver,
    SnapshotPastACollectedSlot,
    SnapshotReadAnew,
    SnapshotToTheEndOfAnEvicted,
    TailCollected,
    TakenSlotIsEmpty,
    TakenSlotIsOurs,
    TakenSlotWasMisread,
    TieOfTimes,
    VoidSealMet,
    WrongWordOfMore,
}

/// Whether this fault is planted in what this thread runs.
#[cfg(not(feature = "planted"))]
#[inline]
#[must_use]
pub const fn is_planted(_: Mutant) -> bool {
    false
}

/// Notes that this thread has been here.
#[cfg(not(feature = "planted"))]
#[inline]
pub const fn reached(_: Point) {}

#[cfg(feature = "planted")]
mod switched_on;

#[cfg(feature = "planted")]
pub use switched_on::{is_planted, plant, reached, take_reached};
