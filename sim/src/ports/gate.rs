//! A process as seen from outside: it can be frozen for a while, and ended at a request of its own.
//! Layer 2.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use serde::{Deserialize, Serialize};

use super::faults::Request;

/// The sorts of requests at which a process can be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// It creates a seal.
    Seal,
    /// It creates a segment.
    Segment,
    /// It creates a part of a snapshot.
    Part,
    /// It creates a manifest.
    Manifest,
    /// It lists the parts of a snapshot.
    ListParts,
    /// It lists a log, or an epoch of one.
    ListLog,
    /// It reads an object of a log.
    ReadLog,
    /// It reads a manifest or a part.
    ReadSnapshot,
    /// It deletes an object of its log.
    DropSegment,
    /// It deletes a manifest or a part.
    DropSnapshot,
}

impl Moment {
    /// Each of them.
    pub const ALL: [Self; 10] = [
        Self::Seal,
        Self::Segment,
        Self::Part,
        Self::Manifest,
        Self::ListParts,
        Self::ListLog,
        Self::ReadLog,
        Self::ReadSnapshot,
        Self::DropSegment,
        Self::DropSnapshot,
    ];

    /// Which a request is. `body` is what is created.
    pub(crate) fn of(request: Request, key: &str, body: &[u8]) -> Option<Self> {
        /// Where an object says that it is a seal: `docs/format.md`, the envelope.
        const SEAL: (usize, u8) = (6, 2);
        let (is_log, is_part) = (key.starts_with("v1/log/"), key.starts_with("v1/part/"));
        let is_snapshot = is_part || key.starts_with("v1/snap/");
        match request {
            Request::Create if is_log && body.get(SEAL.0) == Some(&SEAL.1) => Some(Self::Seal),
            Request::Create if is_log => Some(Self::Segment),
            Request::Create if is_part => Some(Self::Part),
            Request::Create if is_snapshot => Some(Self::Manifest),
            Request::Get | Request::Range if is_log => Some(Self::ReadLog),
            Request::Get | Request::Range if is_snapshot => Some(Self::ReadSnapshot),
            Request::List if is_log => Some(Self::ListLog),
            Request::List if is_part => Some(Self::ListParts),
            Request::Delete if is_log => Some(Self::DropSegment),
            Request::Delete if is_snapshot => Some(Self::DropSnapshot),
            _ => None,
        }
    }
}

/// Where a process is to end.
#[derive(Clone, Copy, Debug)]
struct Trap {
    moment: Moment,
    /// How many such requests go through before.
    left: u32,
    /// False to end it before the request is sent, true when it has had its effect and the answer is there.
    after: bool,
}

/// Through which the tasks of one process are polled. Clones are the same gate.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    frozen: bool,
    ended: Option<Moment>,
    is_over: bool,
    trap: Option<Trap>,
    waiting: Vec<Waker>,
}

impl Gate {
    /// Polls nothing behind it until [`thaw`](Self::thaw).
    pub fn freeze(&self) {
        self.state().frozen = true;
    }

    /// Goes on.
    pub fn thaw(&self) {
        let waiting = {
            let mut state = self.state();
            state.frozen = false;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Ends the process at a request to come: the one after `left` others of that sort, before or `after` it has its effect.
    pub fn end_at(&self, moment: Moment, left: u32, after: bool) {
        self.state().trap = Some(Trap { moment, left, after });
    }

    /// True while nothing behind it is polled.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.state().frozen
    }

    /// The request at which the process was ended.
    #[must_use]
    pub fn ended(&self) -> Option<Moment> {
        self.state().ended
    }

    /// A future behind it: `None` if the process ended before it was done.
    pub fn guard<T, F: Future<Output = T> + Send + 'static>(
        &self,
        work: F,
    ) -> impl Future<Output = Option<T>> + Send + use<T, F> {
        Guarded { gate: self.clone(), work: Some(Box::pin(work)) }
    }

    /// To be called with each request, before it is sent and when its answer is there. Returns whether the process ends here.
    pub(crate) fn ends_at(&self, moment: Option<Moment>, after: bool) -> bool {
        let mut state = self.state();
        if state.is_over {
            return true;
        }
        let Some(trap) = &mut state.trap else { return false };
        if Some(trap.moment) != moment || trap.after != after {
            return false;
        }
        if trap.left > 0 {
            trap.left -= 1;
            return false;
        }
        (state.trap, state.ended, state.is_over) = (None, moment, true);
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Gate").field("frozen", &state.frozen).field("ended", &state.ended).finish_non_exhaustive()
    }
}

struct Guarded<F> {
    gate: Gate,
    /// `None` when the process has ended.
    work: Option<Pin<Box<F>>>,
}

impl<T, F: Future<Output = T>> Future for Guarded<F> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.get_mut();
        {
            let mut state = this.gate.state();
            if state.frozen && !state.is_over {
                state.waiting.push(context.waker().clone());
                return Poll::Pending;
            }
        }
        let is_over = |gate: &Gate| gate.state().is_over;
        let Some(work) = this.work.as_mut().filter(|_| !is_over(&this.gate)) else {
            this.work = None;
            return Poll::Ready(None);
        };
        let polled = work.as_mut().poll(context);
        if polled.is_pending() && is_over(&this.gate) {
            // Here the process is gone: what it waits for is dropped, as by a crash.
            this.work = None;
            return Poll::Ready(None);
        }
        polled.map(Some)
    }
}
