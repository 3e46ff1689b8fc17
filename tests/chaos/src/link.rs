//! A link between a process and a bucket: a proxy that passes bytes on, late, in part, or not at all.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::watch,
    time::{sleep, timeout},
};

/// How long a connection may last: longer than any story, so that none is left behind.
const CONNECTION_MAX: Duration = Duration::from_secs(3_600);

/// How things are on a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// Nothing passes: what is open is reset, and what is new too.
    pub(crate) is_cut: bool,
    /// Everything is taken, and nothing passes: who waits for an answer waits.
    pub(crate) is_silent: bool,
    /// Each piece is this late.
    pub(crate) delay: Duration,
    /// Of 1,000 pieces that come back, how many are cut in the middle with a reset.
    pub(crate) resets: u32,
}

/// A link, on a port of its own.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    address: SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    upstream: SocketAddr,
    state: watch::Sender<State>,
    met: Mutex<BTreeMap<&'static str, u64>>,
    random: Mutex<u64>,
}

impl Link {
    pub(crate) async fn open(upstream: SocketAddr, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (state, _) = watch::channel(State::default());
        let inner = Arc::new(Inner { upstream, state, met: Mutex::default(), random: Mutex::new(seed | 1) });
        let of_listener = Arc::downgrade(&inner);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Some(inner) = of_listener.upgrade() else { return };
                tokio::spawn(async move { _ = timeout(CONNECTION_MAX, inner.connected(near)).await });
            }
        });
        Ok(Self { address, inner })
    }

    /// What a client connects to.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on things are so.
    pub(crate) fn set(&self, state: State) {
        self.inner.state.send_replace(state);
    }

    /// What has befallen connections, by name.
    pub(crate) fn met(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.inner.met).clone()
    }
}

impl Inner {
    async fn connected(self: Arc<Self>, near: TcpStream) {
        if self.now().is_cut {
            self.count("connection refused");
            return reset(&near);
        }
        let Ok(far) = TcpStream::connect(self.upstream).await else { return reset(&near) };
        let (near_read, near_write) = near.into_split();
        let (far_read, far_write) = far.into_split();
        let there = self.pass(near_read, far_write, false);
        let back = self.pass(far_read, near_write, true);
        // The first direction that ends ends both.
        tokio::select! {
            () = there => {}
            () = back => {}
        }
    }

    async fn pass(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, is_back: bool) {
        let mut state = self.state.subscribe();
        let mut piece = vec![0; 16 << 10];
        loop {
            let read = tokio::select! {
                read = from.read(&mut piece) => read,
                () = cut(&mut state) => {
                    self.count("connection cut");
                    return reset(to.as_ref());
                }
            };
            let Ok(length @ 1..) = read else {
                _ = to.shutdown().await;
                return;
            };
            let now = self.now();
            if !now.delay.is_zero() {
                self.count("piece delayed");
                sleep(now.delay).await;
            }
            if self.now().is_silent {
                self.count("piece withheld");
                // Until it is not silent any more: then what was held back is lost, and the connection with it.
                _ = state.wait_for(|state| !state.is_silent).await;
                return reset(to.as_ref());
            }
            if is_back && self.chance(now.resets) {
                self.count("answer cut short");
                _ = to.write_all(&piece[..length / 2]).await;
                return reset(to.as_ref());
            }
            if to.write_all(&piece[..length]).await.is_err() {
                return;
            }
        }
    }

    fn now(&self) -> State {
        *self.state.borrow()
    }

    fn count(&self, what: &'static str) {
        *lock(&self.met).entry(what).or_default() += 1;
    }

    /// True for so many of 1,000.
    fn chance(&self, of_thousand: u32) -> bool {
        let mut random = lock(&self.random);
        // Xorshift (Marsaglia, 2003).
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        *random % 1_000 < u64::from(of_thousand)
    }
}

/// Waits until the link is cut.
async fn cut(state: &mut watch::Receiver<State>) {
    if state.wait_for(|state| state.is_cut).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Has the connection end with a reset when it is dropped, not with an end.
fn reset(stream: &TcpStream) {
    _ = stream.set_zero_linger();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
