//! Names of replicas, and the table from ids back to names.
//! Layer 1.

use core::{
    borrow::Borrow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    str::FromStr,
};
use std::{collections::BTreeMap, sync::Arc};

use crdt_core::ReplicaId;

/// The longest name of a replica, in bytes.
pub const NAME_BYTES_MAX: usize = 40;

/// The configured name of a replica: 1 to 40 of `a-z 0-9 -`, such as `eu-west-1` or `eu-west-1-b`.
///
/// It is a folder in every bucket, and its hash is the replica's id. Cheap to clone.
///
/// ```
/// use replica::name::ReplicaName;
///
/// let name: ReplicaName = "eu-west-1".parse()?;
/// assert_eq!(name.id(), crdt_core::ReplicaId::named("eu-west-1"));
/// assert!("EU West".parse::<ReplicaName>().is_err());
/// # Ok::<(), replica::name::InvalidName>(())
/// ```
#[derive(Clone)]
pub struct ReplicaName {
    name: Arc<str>,
    /// Follows from the name. It is asked for with every object and every look at the state, so it is hashed once.
    id: ReplicaId,
}

impl ReplicaName {
    /// The name, if it is one.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] when it is empty, longer than 40 bytes, or has a byte that is not one of `a-z 0-9 -`.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed) {
            return Err(InvalidName);
        }
        Ok(Self::allowed(name.into()))
    }

    /// The name of an observer, which nobody else goes by.
    pub(crate) fn observer(number: u64) -> Self {
        Self::allowed(format!("observer-{number:016x}").into())
    }

    fn allowed(name: Arc<str>) -> Self {
        let id = ReplicaId::named(&name);
        Self { name, id }
    }

    /// The id that dots carry.
    #[must_use]
    pub const fn id(&self) -> ReplicaId {
        self.id
    }

    /// The name as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

impl Deref for ReplicaName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.name
    }
}

impl PartialEq for ReplicaName {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for ReplicaName {}

impl PartialOrd for ReplicaName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ReplicaName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(&other.name)
    }
}

impl Hash for ReplicaName {
    /// As the name is hashed, so that tables can be asked by a `str`.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Borrow<str> for ReplicaName {
    fn borrow(&self) -> &str {
        &self.name
    }
}

impl FromStr for ReplicaName {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        Self::new(name)
    }
}

impl fmt::Debug for ReplicaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.name, f)
    }
}

impl fmt::Display for ReplicaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

/// Not the name of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidName;

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a replica's name is 1 to 40 of a-z 0-9 -")
    }
}

impl core::error::Error for InvalidName {}

/// The replicas that are known, by id: what turns the ids in dots back into names.
///
/// *Invariant:* no two names share an id. Two that do are refused, since their dots could not be told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster(BTreeMap<ReplicaId, ReplicaName>);

impl Roster {
    /// Adds a name and returns its id. To add it again changes nothing.
    ///
    /// # Errors
    ///
    /// [`SameId`] when another name has this id; nothing is added.
    pub fn insert(&mut self, name: ReplicaName) -> Result<ReplicaId, SameId> {
        let id = name.id();
        match self.0.get(&id) {
            Some(held) if *held != name => Err(SameId { held: held.clone(), refused: name }),
            Some(_) => Ok(id),
            None => {
                self.0.insert(id, name);
                Ok(id)
            }
        }
    }

    /// The name of the replica of this id.
    #[must_use]
    pub fn get(&self, id: ReplicaId) -> Option<&ReplicaName> {
        self.0.get(&id)
    }

    /// The ids and names, in ascending order of ids.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ReplicaId, &ReplicaName)> {
        self.0.iter().map(|(id, name)| (*id, name))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when nobody is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Two names with one id: a chance of one in 2⁶⁴ for each pair. One of them has to be renamed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SameId {
    /// The name that is known already.
    pub held: ReplicaName,
    /// The name that was not added.
    pub refused: ReplicaName,
}

impl fmt::Display for SameId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "two replicas share an id; rename one of them: held={} refused={}", self.held, self.refused)
    }
}

impl core::error::Error for SameId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_1_to_40_of_its_alphabet() {
        for name in ["a", "eu-west-1", &"x".repeat(40)] {
            assert_eq!(ReplicaName::new(name).unwrap().as_str(), name);
        }
        for name in ["", "A", "a_b", "a.b", "a/b", "\u{e4}", &"x".repeat(41)] {
            assert_eq!(ReplicaName::new(name), Err(InvalidName), "{name}");
        }
    }

    #[test]
    fn a_roster_gives_back_the_names_of_ids() {
        let mut roster = Roster::default();
        let name = ReplicaName::new("eu-west-1").unwrap();
        let id = roster.insert(name.clone()).unwrap();
        assert_eq!(roster.insert(name.clone()), Ok(id));
        assert_eq!(roster.get(id), Some(&name));
        assert_eq!(roster.len(), 1);
    }
}
