//! Leaderboards that are read again and again: kept as long as they are.
//! Layer 2.

use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

use replica::Leaderboard;
use tokio::time::Instant;

use crate::{answer::aside, app::App, problem::Problem};

/// How many leaderboards are kept. Each costs about 40 bytes for each of its counters, and something for each of their changes.
const BOARDS_MAX: usize = 16;

/// How long one is kept that nobody reads.
const KEPT: Duration = Duration::from_secs(300);

/// The leaderboards that were read last.
#[derive(Default)]
pub(crate) struct Boards(Mutex<Vec<Kept>>);

struct Kept {
    board: Leaderboard,
    read: Instant,
}

impl Boards {
    /// The leaderboard of the counters below a prefix. To make one that is not there looks at every object below it, aside
    /// from what else is going on.
    pub(crate) async fn get(&self, app: &Arc<App>, prefix: &str) -> Result<Leaderboard, Problem> {
        if let Some(board) = self.find(prefix) {
            return Ok(board);
        }
        let (replica, owned) = (app.replica.clone(), prefix.to_owned());
        let board = aside(move || replica.leaderboard(&owned)).await??;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.iter().any(|kept| kept.board.prefix() == prefix) {
            if kept.len() >= BOARDS_MAX {
                let oldest = kept.iter().enumerate().min_by_key(|(_, kept)| kept.read).map(|(number, _)| number);
                oldest.map(|number| kept.swap_remove(number));
            }
            kept.push(Kept { board: board.clone(), read: Instant::now() });
        }
        Ok(board)
    }

    fn find(&self, prefix: &str) -> Option<Leaderboard> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter_mut().find(|kept| kept.board.prefix() == prefix)?;
        found.read = Instant::now();
        Some(found.board.clone())
    }

    /// Lets go those that nobody has read for long.
    pub(crate) fn forget(&self) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| kept.read.elapsed() < KEPT);
    }
}
