//! How far a long run has got, on standard error: on a terminal a line that is rewritten, elsewhere one each minute.
//! Layer 6.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use super::clock;

pub(super) struct Progress {
    is_terminal: bool,
    told: Instant,
    is_shown: bool,
}

impl Progress {
    pub(super) fn new(began: Instant) -> Self {
        Self { is_terminal: io::stderr().is_terminal(), told: began, is_shown: false }
    }

    /// Tells what `says` gives, if it is time.
    pub(super) fn tell(&mut self, says: impl FnOnce() -> String) {
        let every = if self.is_terminal { Duration::from_millis(200) } else { Duration::from_secs(60) };
        let now = clock::now();
        if now - self.told < every {
            return;
        }
        self.told = now;
        if self.is_terminal {
            self.is_shown = true;
            eprint!("\r\x1b[K{}", says());
        } else {
            eprintln!("{}", says());
        }
    }

    /// Takes the line away.
    pub(super) fn end(&self) {
        if self.is_shown {
            eprint!("\r\x1b[K");
        }
    }
}
