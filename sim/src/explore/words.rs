//! All words up to a length: every order, and every duplication, in which changes can be made and heard of.
//! Layer 5.
//!
//! A letter is something that a replica does, and takes as long as it takes: it makes a change, which is in its bucket
//! before the next letter; it hears of another one's log, and reads all that is there; it comes back from its own
//! bucket alone. Nothing is heard of otherwise until the word has ended. Reading a part of what is there is in it too:
//! it is as if the rest was written later, and that is another word.
//!
//! Words that are the same history are played once. Of those that differ by the order of letters that know nothing of
//! each other, or by the names of replicas, the least one is played ([`Alphabet::is_least`]). A change that changes
//! nothing is no letter, and neither is a second hearing of nothing new.

use std::{collections::BTreeSet, time::Duration};

use super::{Explored, phases::still};
use crate::{
    history::{Did, Sort},
    story::{Act, Step, Story},
};

/// What words are made of.
#[derive(Debug)]
pub(super) struct Alphabet {
    replicas: usize,
    /// What a replica can do to the one object that there is.
    changes: &'static [Change],
    sort: Sort,
    /// How a replica can come back, cut off from the others.
    returns: &'static [Return],
    /// True where each change is in a snapshot, and out of the log, before the next letter.
    is_collected: bool,
    /// The longest words.
    letters: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    /// One is counted.
    Count,
    /// The one element is put in.
    Put,
    /// It is taken out.
    Take,
    /// A value is written that was not written before.
    Write,
    /// The object is deleted.
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Return {
    /// It crashes, and is opened again.
    Crash,
    /// It is closed, which takes a snapshot, and opened again.
    Close,
}

/// What a replica does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Letter {
    replica: usize,
    does: Does,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Does {
    Change(Change),
    Hear(usize),
    Return(Return),
}

/// Letters in their order.
pub(super) type Word = Vec<Letter>;

/// Words of so many letters begin a branch.
const BRANCH: usize = 2;

const TWO: Alphabet = Alphabet {
    replicas: 2,
    // Of a set of one element, to delete it is to take that out.
    changes: &[Change::Put, Change::Take],
    sort: Sort::Set,
    returns: &[],
    is_collected: false,
    letters: 9,
};

pub(super) const SETS: Alphabet = TWO;
pub(super) const COUNTERS: Alphabet =
    Alphabet { changes: &[Change::Count, Change::Delete], sort: Sort::Counter, letters: 9, ..TWO };
pub(super) const REGISTERS: Alphabet =
    Alphabet { changes: &[Change::Write, Change::Delete], sort: Sort::Last, letters: 8, ..TWO };
pub(super) const THREE: Alphabet = Alphabet { replicas: 3, changes: &[Change::Put, Change::Take], letters: 7, ..TWO };
pub(super) const RECOVERIES: Alphabet =
    Alphabet { changes: &[Change::Put, Change::Take], returns: &[Return::Crash, Return::Close], letters: 6, ..TWO };
pub(super) const STATES: Alphabet =
    Alphabet { changes: &[Change::Count, Change::Delete], sort: Sort::Counter, is_collected: true, letters: 8, ..TWO };

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Alphabet {
    /// Plays the short words, and gives those that begin a branch.
    pub(super) fn short(&self, explored: &mut Explored) -> Vec<Word> {
        let mut begun = Vec::new();
        self.each(&mut Vec::new(), BRANCH, &mut |word| {
            self.play(word, explored);
            if word.len() == BRANCH {
                begun.push(word.clone());
            }
            !explored.is_over()
        });
        begun
    }

    /// Plays the words that begin with this one and are longer.
    pub(super) fn behind(&self, word: &Word, explored: &mut Explored) {
        self.each(&mut word.clone(), self.letters, &mut |longer| {
            if longer.len() > word.len() {
                self.play(longer, explored);
            }
            !explored.is_over()
        });
    }

    /// This word and all that begin with it, up to a length, as long as `go_on` says so.
    fn each(&self, word: &mut Word, letters: usize, go_on: &mut impl FnMut(&Word) -> bool) -> bool {
        if !go_on(word) {
            return false;
        }
        if word.len() == letters {
            return true;
        }
        for letter in self.all() {
            word.push(letter);
            let goes_on = !self.is_least(word) || self.each(word, letters, go_on);
            word.pop();
            if !goes_on {
                return false;
            }
        }
        true
    }

    fn all(&self) -> impl Iterator<Item = Letter> {
        (0..self.replicas).flat_map(move |replica| {
            let changes = self.changes.iter().map(|change| Does::Change(*change));
            let hears = (0..self.replicas).filter(move |other| *other != replica).map(Does::Hear);
            let returns = self.returns.iter().map(|returns| Does::Return(*returns));
            changes.chain(hears).chain(returns).map(move |does| Letter { replica, does })
        })
    }

    /// False for a word that is the same history as a lesser one, or as a shorter one, because of its last letter.
    ///
    /// Words are compared letter by letter, those by their replica first. Of all words that come from each other by
    /// swapping neighbours that know nothing of each other, and by naming replicas otherwise, the least has no
    /// neighbours that could be swapped for less, and names replicas in the order in which they come: who hears before
    /// of whom it hears.
    fn is_least(&self, word: &[Letter]) -> bool {
        let Some((last, before)) = word.split_last() else { return true };
        if before.last().is_some_and(|other| last < other && self.are_apart(*other, *last)) {
            return false;
        }
        let mut named = 0;
        for letter in word {
            let source = if let Does::Hear(of) = letter.does { Some(of) } else { None };
            for replica in [letter.replica].into_iter().chain(source) {
                if replica > named {
                    return false;
                }
                named = named.max(replica + 1);
            }
        }
        self.means_something(before, *last)
    }

    /// True for letters of which neither knows whether the other comes before it. Times decide between writes to a
    /// register.
    fn are_apart(&self, one: Letter, other: Letter) -> bool {
        let hears_of =
            |letter: Letter, of: Letter| letter.does == Does::Hear(of.replica) && !matches!(of.does, Does::Hear(_));
        let is_change = |letter: Letter| matches!(letter.does, Does::Change(_));
        let are_timed = matches!(self.sort, Sort::Last | Sort::Every) && is_change(one) && is_change(other);
        one.replica != other.replica && !hears_of(one, other) && !hears_of(other, one) && !are_timed
    }

    /// False for a change that finds nothing to change, and for hearing of nothing new more than once in a word.
    fn means_something(&self, before: &[Letter], last: Letter) -> bool {
        match last.does {
            Does::Change(Change::Take | Change::Delete) => self.has_something(before, last.replica),
            Does::Hear(of) if !is_new(before, last.replica, of) => {
                let repeats = |index: &usize| match before[*index].does {
                    Does::Hear(of) => !is_new(&before[..*index], before[*index].replica, of),
                    _ => false,
                };
                !(0..before.len()).any(|index| repeats(&index))
            }
            _ => true,
        }
    }

    /// False if the object is surely not there in a replica's view.
    ///
    /// Only what the replica can know of decides, so that letters which know nothing of each other can be swapped.
    fn has_something(&self, word: &[Letter], replica: usize) -> bool {
        // Of each replica, which letters it has read, and which may have reached it, by way of third ones too.
        let mut read = vec![BTreeSet::new(); self.replicas];
        let mut reached = vec![BTreeSet::new(); self.replicas];
        let mut observed = Vec::with_capacity(word.len());
        for (index, letter) in word.iter().enumerate() {
            observed.push(read[letter.replica].clone());
            if let Does::Hear(of) = letter.does {
                read[letter.replica].extend((0..index).filter(|other| word[*other].replica == of));
                let theirs = reached[of].clone();
                reached[letter.replica].extend(theirs);
            } else {
                read[letter.replica].insert(index);
                reached[letter.replica].insert(index);
            }
        }
        let adds =
            |index: &usize| matches!(word[*index].does, Does::Change(Change::Put | Change::Count | Change::Write));
        let removes = |index: &usize| matches!(word[*index].does, Does::Change(Change::Take | Change::Delete));
        let returns = |index: &usize| matches!(word[*index].does, Does::Return(_));
        let (read, reached) = (&read[replica], &reached[replica]);
        // Who comes back may have forgotten what it had heard, removals included, and who merges a snapshot hears of
        // third ones: then whatever was ever added may be there.
        if self.is_collected || reached.iter().any(returns) {
            return reached.iter().any(adds);
        }
        let is_gone = |add: &usize| read.iter().any(|other| removes(other) && observed[*other].contains(add));
        read.iter().any(|index| adds(index) && !is_gone(index))
    }

    fn play(&self, word: &[Letter], explored: &mut Explored) {
        let outcome = explored.play(&self.story(word));
        explored.note(word.len(), &outcome);
    }

    /// The word as a story.
    pub(super) fn story(&self, word: &[Letter]) -> Story {
        let mut story = still(self.replicas);
        let settings = &mut story.settings;
        // Whatever a replica does by itself it does when the word has ended.
        let seldom = if self.is_collected { ms(400_000) * self.letters as u32 } else { ms(100_000) };
        (settings.poll_min, settings.poll_max) = (seldom, seldom);
        (settings.discovery_interval, settings.snapshot_interval) = (seldom * 10, seldom * 10);
        if self.is_collected {
            settings.snapshot_interval = ms(100_000);
            (settings.retention, settings.max_lag) = (ms(1), ms(1));
        }
        let mut at = ms(600);
        for replica in 0..self.replicas {
            for other in (0..self.replicas).filter(|other| *other != replica) {
                story.steps.push(Step { at, region: replica, act: Act::Hear(other) });
            }
        }
        at = ms(1_000);
        for (index, letter) in word.iter().enumerate() {
            let then = |act| Step { at, region: letter.replica, act };
            match letter.does {
                Does::Change(change) => {
                    let did = change.did(index);
                    story.steps.push(then(Act::Change(vec![(("a".to_owned(), self.sort), did)])));
                    at += if self.is_collected { ms(350_000) } else { ms(200) };
                }
                Does::Hear(of) => {
                    story.steps.push(then(Act::Hear(of)));
                    at += ms(400);
                }
                Does::Return(how) => {
                    story.steps.push(then(if how == Return::Close { Act::Close } else { Act::Crash }));
                    at += ms(200);
                    let others = (0..self.replicas).filter(|other| *other != letter.replica);
                    let cut = others.map(|from| Act::Cut { from, lasts: CUT_OFF });
                    for act in [Act::Open].into_iter().chain(cut) {
                        story.steps.push(Step { at, region: letter.replica, act });
                    }
                    at += CUT_OFF + ms(200);
                }
            }
        }
        story.quiet_from = at;
        story
    }
}

/// How long who comes back is cut off from the others: it opens meanwhile.
const CUT_OFF: Duration = ms(3_000);

/// False if a replica surely knows all of another one's log.
fn is_new(word: &[Letter], replica: usize, of: usize) -> bool {
    let heard = |letter: &Letter| letter.replica == replica && letter.does == Does::Hear(of);
    let since = word.iter().rposition(heard).map_or(0, |index| index + 1);
    let adds = |letter: &Letter| letter.replica == of && !matches!(letter.does, Does::Hear(_));
    let forgets = |letter: &Letter| letter.replica == replica && matches!(letter.does, Does::Return(_));
    word[since..].iter().any(|letter| adds(letter) || forgets(letter))
}

impl Change {
    const fn did(self, index: usize) -> Did {
        match self {
            Self::Count => Did::Count(1 << index),
            Self::Put => Did::Put(1),
            Self::Take => Did::Take(1),
            Self::Write => Did::Write(index as u16),
            Self::Delete => Did::Delete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Alphabet {
        /// Every word that comes from this one by swapping neighbours and by naming replicas otherwise.
        fn same(&self, word: &Word) -> BTreeSet<Word> {
            let mut same = BTreeSet::new();
            let mut left = vec![word.clone()];
            while let Some(word) = left.pop() {
                if !same.insert(word.clone()) {
                    continue;
                }
                for index in 1..word.len() {
                    if self.are_apart(word[index - 1], word[index]) {
                        let mut swapped = word.clone();
                        swapped.swap(index - 1, index);
                        left.push(swapped);
                    }
                }
                for replica in 1..self.replicas {
                    let other = |name: usize| match name {
                        0 => replica,
                        name if name == replica => 0,
                        name => name,
                    };
                    let renamed = word.iter().map(|letter| Letter {
                        replica: other(letter.replica),
                        does: if let Does::Hear(of) = letter.does { Does::Hear(other(of)) } else { letter.does },
                    });
                    left.push(renamed.collect());
                }
            }
            same
        }

        /// Every word of so many letters of which each means something.
        fn whole(&self, letters: usize) -> Vec<Word> {
            let mut words = vec![Vec::new()];
            for _ in 0..letters {
                let longer = |word: &Word| {
                    let longer = self.all().filter(|letter| self.means_something(word, *letter));
                    longer.map(|letter| word.iter().copied().chain([letter]).collect()).collect::<Vec<Word>>()
                };
                words = words.iter().flat_map(longer).collect();
            }
            words
        }

        fn is_played(&self, word: &Word) -> bool {
            (1..=word.len()).all(|length| self.is_least(&word[..length]))
        }
    }

    #[test]
    fn of_words_that_are_the_same_history_the_least_is_played() {
        for alphabet in [&SETS, &COUNTERS, &REGISTERS, &THREE, &RECOVERIES, &STATES] {
            for word in alphabet.whole(4) {
                let least = alphabet.same(&word).into_iter().next().unwrap_or_default();
                assert!(alphabet.is_played(&least), "{least:?} stands for {word:?}");
            }
        }
    }

    #[test]
    fn every_word_up_to_the_length_is_visited_once() {
        for alphabet in [&SETS, &THREE, &RECOVERIES] {
            let mut visited = Vec::new();
            alphabet.each(&mut Vec::new(), 4, &mut |word| {
                visited.push(word.clone());
                true
            });
            let all: Vec<Word> = (0..=4).flat_map(|letters| alphabet.whole(letters)).collect();
            let played: BTreeSet<&Word> = all.iter().filter(|word| alphabet.is_played(word)).collect();
            assert_eq!(visited.len(), played.len());
            assert!(visited.iter().all(|word| played.contains(word)));
        }
    }

    #[test]
    fn a_second_hearing_is_a_letter_once() {
        let [put, hear] =
            [(0, Does::Change(Change::Put)), (1, Does::Hear(0))].map(|(replica, does)| Letter { replica, does });
        assert!(SETS.is_played(&vec![put, hear]));
        assert!(SETS.is_played(&vec![put, hear, hear]));
        assert!(!SETS.is_played(&vec![put, hear, hear, hear]));
        assert!(SETS.is_played(&vec![put, hear, hear, put, hear]));
    }
}
