//! What the works ask of a document: a map of values, and where there are any, counters.

use super::{Cell, Floor, Write};

/// A map of values in a document.
pub(crate) trait Document {
    /// What it is called.
    const NAME: &'static str;

    /// An empty one, of the replica of this number.
    fn new(replica: u64) -> Self;

    /// Makes these changes in one transaction. Returns what has to be sent to the others.
    fn write(&mut self, writes: &[Write]) -> Vec<u8>;

    /// Merges what was sent.
    fn merge(&mut self, sent: &[u8]);

    /// Everything, for one who begins.
    fn save(&mut self) -> Vec<u8>;

    /// What one who begins makes of it.
    fn load(replica: u64, saved: &[u8]) -> Self;

    /// What stands under a key.
    fn get(&self, key: &str) -> Option<Cell>;

    /// How many keys there are.
    fn len(&self) -> usize;

    /// It reads the same as the floor.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[expect(clippy::iter_over_hash_type, reason = "in any order")]
    fn check(&self, floor: &Floor) {
        assert_eq!(self.len(), floor.0.len(), "{}: keys", Self::NAME);
        for (key, cell) in &floor.0 {
            assert_eq!(self.get(key).as_ref(), Some(cell), "{}: {key}", Self::NAME);
        }
    }
}

/// Counters in a document.
pub(crate) trait Counters {
    /// What it is called.
    const NAME: &'static str;

    /// An empty one, of the replica of this number.
    fn new(replica: u64) -> Self;

    /// Counts at each of these paths in one transaction. Returns what has to be sent to the others.
    fn count(&mut self, counts: &[(String, i64)]) -> Vec<u8>;

    /// Merges what was sent.
    fn merge(&mut self, sent: &[u8]);

    /// What was counted at a path.
    fn value(&self, path: &str) -> i64;
}
