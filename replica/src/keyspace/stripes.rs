//! Stripes: the keyspace cut by a fixed hash of the path, and which of them have changed.
//! Layer 2.

use std::sync::atomic::{AtomicU64, Ordering};

use twox_hash::XxHash3_64;

/// How many stripes there are. A part of a snapshot is a run of them, so no snapshot has more parts.
pub const STRIPES: usize = 1 << 16;

const WORDS: usize = STRIPES / 64;

/// The stripe that a path belongs to, in every replica: the high bits of XXH3-64 of its bytes, with seed 0.
#[must_use]
pub fn stripe_of(path: &str) -> usize {
    stripe_of_bytes(path.as_bytes())
}

fn stripe_of_bytes(path: &[u8]) -> usize {
    (XxHash3_64::oneshot(path) >> 48) as usize
}

/// Which of `parts` parts, a power of two, a stripe belongs to.
#[must_use]
pub const fn part_of(stripe: usize, parts: usize) -> usize {
    stripe / (STRIPES / parts)
}

/// A set of stripes.
#[derive(Clone, Debug)]
pub struct Stripes(Box<[u64]>);

impl Stripes {
    /// True when a stripe of this part, one of `parts`, is in the set.
    #[must_use]
    pub fn touch(&self, part: usize, parts: usize) -> bool {
        let width = STRIPES / parts;
        let first = part * width;
        if width >= 64 {
            return self.0[first / 64..(first + width) / 64].iter().any(|word| *word != 0);
        }
        self.0[first / 64] >> (first % 64) & ((1 << width) - 1) != 0
    }
}

/// The stripes in which something has changed since they were last taken.
#[derive(Debug)]
pub(super) struct Touched(Box<[AtomicU64]>);

impl Default for Touched {
    fn default() -> Self {
        Self((0..WORDS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Touched {
    /// Called while the path's shard is locked, before the change. Returns the stripe of the path.
    pub(super) fn add(&self, path: &[u8]) -> usize {
        let stripe = stripe_of_bytes(path);
        let (word, bit) = (&self.0[stripe / 64], 1 << (stripe % 64));
        // Mostly set already: a read leaves the line shared between the threads that write.
        if word.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::Relaxed);
        }
        stripe
    }

    /// Those that have been touched, and forgets them.
    pub(super) fn take(&self) -> Stripes {
        Stripes(self.0.iter().map(|word| word.swap(0, Ordering::Relaxed)).collect())
    }

    /// Remembers again what was taken.
    pub(super) fn put_back(&self, stripes: &Stripes) {
        for (touched, word) in self.0.iter().zip(&stripes.0) {
            touched.fetch_or(*word, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash is part of the format: every replica must cut the keyspace in the same places.
    #[test]
    fn the_stripe_of_a_path_never_changes() {
        assert_eq!(["a", "carts/ada", "posts/42/likes"].map(stripe_of), [59_078, 48_738, 59_744]);
    }

    #[test]
    fn stripes_that_were_put_back_are_taken_again() {
        let touched = Touched::default();
        touched.add(b"a");
        let taken = touched.take();
        assert!((0..STRIPES).filter(|part| taken.touch(*part, STRIPES)).eq([stripe_of("a")]));
        assert!((0..4).all(|part| !touched.take().touch(part, 4)));
        touched.put_back(&taken);
        assert!(touched.take().touch(part_of(stripe_of("a"), 4), 4));
    }
}
