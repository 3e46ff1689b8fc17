//! The dictionary of the replicas that an object names.
//! Layer 3.

use crdt_core::ReplicaId;

use crate::name::{ReplicaName, Roster};

use super::error::EncodeError;

/// Names in ascending order of their ids, so that ascending indexes are ascending dots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dictionary {
    ids: Vec<ReplicaId>,
    names: Vec<ReplicaName>,
}

impl Dictionary {
    /// The dictionary of `ids`, in any order, any number of times.
    pub(crate) fn of(mut ids: Vec<ReplicaId>, roster: &Roster) -> Result<Self, EncodeError> {
        ids.sort_unstable();
        ids.dedup();
        let name = |id: &ReplicaId| roster.get(*id).cloned().ok_or(EncodeError::invalid(UNKNOWN));
        let names = ids.iter().map(name).collect::<Result<_, _>>()?;
        Ok(Self { ids, names })
    }

    /// The dictionary of `names` as they were read, if they are names and in order.
    pub(crate) fn read<'a>(texts: impl ExactSizeIterator<Item = &'a str>) -> Result<Self, &'static str> {
        let mut read = Self { ids: Vec::with_capacity(texts.len()), names: Vec::with_capacity(texts.len()) };
        for text in texts {
            let name = ReplicaName::new(text).map_err(|_| "the dictionary has what is not a name")?;
            let id = name.id();
            if read.ids.last().is_some_and(|last| *last >= id) {
                return Err("the dictionary is not in ascending order");
            }
            read.ids.push(id);
            read.names.push(name);
        }
        Ok(read)
    }

    pub(crate) fn index(&self, id: ReplicaId) -> Result<usize, EncodeError> {
        self.find(id).ok_or(EncodeError::invalid(UNKNOWN))
    }

    pub(crate) fn find(&self, id: ReplicaId) -> Option<usize> {
        self.ids.binary_search(&id).ok()
    }

    #[inline]
    pub(crate) fn id(&self, index: u64) -> Option<ReplicaId> {
        self.ids.get(usize::try_from(index).ok()?).copied()
    }

    pub(crate) fn ids(&self) -> &[ReplicaId] {
        &self.ids
    }

    pub(crate) fn names(&self) -> &[ReplicaName] {
        &self.names
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }
}

const UNKNOWN: &str = "a replica is named whose name is not known";

/// Collects the replicas that dots name: most often the same few, over and over.
#[derive(Debug, Default)]
pub(crate) struct Named {
    ids: Vec<ReplicaId>,
    last: usize,
}

impl Named {
    /// Where in the order of first mention `id` stands.
    #[inline]
    pub(crate) fn note(&mut self, id: ReplicaId) -> usize {
        if self.ids.get(self.last) != Some(&id) {
            self.last = self.ids.iter().position(|held| *held == id).unwrap_or_else(|| {
                self.ids.push(id);
                self.ids.len() - 1
            });
        }
        self.last
    }

    pub(crate) fn into_ids(self) -> Vec<ReplicaId> {
        self.ids
    }
}
