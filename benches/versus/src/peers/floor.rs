//! The floor: a plain hash map that nobody else can write to. It is also what every answer is checked against.

#![expect(clippy::disallowed_types, reason = "it is what anybody would take, as it comes")]

use std::collections::HashMap;

use benches::corpus::Act;

/// What stands under one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// A counter's sum.
    Number(i64),
    /// A register's text.
    Text(String),
    /// An element that is in its set.
    There,
}

/// What a change comes to in a flat map: a key, and what stands there now, if anything.
pub(crate) type Write = (String, Option<Cell>);

/// A map of paths to values; each element of a set has a key of its own, below its set's.
#[derive(Debug, Default)]
pub(crate) struct Floor(pub(crate) HashMap<String, Cell>);

impl Floor {
    /// Does it, and nothing else.
    ///
    /// # Panics
    ///
    /// When something else than a counter is counted at.
    pub(crate) fn act(&mut self, path: &str, act: &Act) {
        match act {
            Act::Count(amount) => match self.0.get_mut(path) {
                Some(Cell::Number(sum)) => *sum += amount,
                Some(other) => panic!("{path} is {other:?}"),
                None => drop(self.0.insert(path.to_owned(), Cell::Number(*amount))),
            },
            Act::Write(text) => drop(self.0.insert(path.to_owned(), Cell::Text(text.clone()))),
            Act::Add(element) => drop(self.0.insert(below(path, element), Cell::There)),
            Act::Remove(element) => drop(self.0.remove(&below(path, element))),
        }
    }

    /// Does it, and tells what a flat map has to be told.
    pub(crate) fn write(&mut self, path: &str, act: &Act) -> Write {
        self.act(path, act);
        let key = match act {
            Act::Count(_) | Act::Write(_) => path.to_owned(),
            Act::Add(element) | Act::Remove(element) => below(path, element),
        };
        let cell = self.0.get(&key).cloned();
        (key, cell)
    }
}

/// The key of an element.
#[must_use]
pub(crate) fn below(path: &str, element: &str) -> String {
    format!("{path}/{element}")
}
