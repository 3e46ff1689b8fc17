//! Listening, and what becomes of each connection.
//! Layer 4.

use core::{convert::Infallible, pin::pin, time::Duration};
use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, LazyLock, atomic::Ordering},
};

use axum::{Router, body::Body, http::StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use replica::Replica;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use crate::{
    access::Access, app::App, gate::handle, options::Options, problem::Problem, router::router, stream::Patient,
    tls::Tls,
};

/// How often it is looked how the replica is doing.
const LOOK: Duration = Duration::from_millis(500);

/// How long is waited when no connection can be taken: as a rule because there are too many files.
const PAUSE: Duration = Duration::from_millis(100);

/// What a connection beyond the limit is told.
static TOO_MANY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let advice = "Try again later, or keep fewer connections open.";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_connections", "too many connections", advice);
    let body = problem.json();
    let head = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: application/problem+json";
    let mut answer = format!("{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len()).into_bytes();
    answer.extend(body);
    answer
});

/// A server, which answers once it is run.
pub struct Server {
    app: Arc<App>,
    listening: Listening,
}

/// What listens already, and answers nobody before there is a server: whoever connects waits.
///
/// So what may be refused is known before a replica is opened, which takes its log over.
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
    only_loopback: bool,
}

/// Where a server listens, and who may hear what it says.
#[derive(Debug)]
pub struct Place {
    /// The address; port 0 takes any that is free.
    pub address: SocketAddr,
    /// What it needs for TLS.
    pub tls: Option<Tls>,
    /// Has it listen beyond loopback without tokens, or without TLS: something before it does both.
    pub is_insecure: bool,
}

/// Why a server does not listen.
#[derive(Debug)]
pub enum ListenError {
    /// It would listen beyond loopback, and what is said there would be open to everybody.
    Open(&'static str),
    /// The system does not let it.
    System(SocketAddr, io::Error),
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(lacks) => write!(
                f,
                "a server that can be reached from other machines needs tokens and TLS, and {lacks}; something in front of \
                 it that does both is worth an explicit `insecure`"
            ),
            Self::System(address, _) => write!(f, "it cannot listen on {address}"),
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open(_) => None,
            Self::System(_, error) => Some(error),
        }
    }
}

impl Place {
    /// Listens.
    ///
    /// # Errors
    ///
    /// [`ListenError`]: an address beyond loopback takes tokens and TLS, unless the place is declared insecure.
    pub async fn listen(self, access: &Access) -> Result<Listening, ListenError> {
        let Self { address, tls, is_insecure } = self;
        let only_loopback = address.ip().to_canonical().is_loopback();
        if !only_loopback && !is_insecure {
            match (access, &tls) {
                (Access::Open, _) => return Err(ListenError::Open("no token file was given")),
                (_, None) => return Err(ListenError::Open("no certificate was given")),
                _ => {}
            }
        }
        let listener = TcpListener::bind(address).await.map_err(|error| ListenError::System(address, error))?;
        let address = listener.local_addr().map_err(|error| ListenError::System(address, error))?;
        Ok(Listening { listener, address, tls, only_loopback })
    }
}

impl Listening {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A server of this replica. The replica is the caller's: the server neither opens nor closes it.
    #[must_use]
    pub fn serve(self, replica: Replica, options: Options) -> Server {
        Server { app: Arc::new(App::new(replica, options, self.only_loopback)), listening: self }
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    /// Answers requests until `stop` ends. Then it takes no more, lets those under way end within
    /// [`Limits::stopping`](crate::Limits::stopping), and ends all watches.
    ///
    /// It may be dropped at any time, which breaks off whatever goes on.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { app, listening } = self;
        let Listening { listener, tls, .. } = listening;
        let router = router(app.clone());
        let limit = app.options.limits.connections.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        let permits = Arc::new(Semaphore::new(limit));
        let mut stop = pin!(stop);
        let mut looking = pin!(keep_looking(&app));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stop => break,
                () = &mut looking => continue,
            };
            match accepted {
                Ok((stream, from)) => match permits.clone().try_acquire_owned() {
                    Ok(permit) => {
                        tokio::spawn(connection(app.clone(), router.clone(), tls.clone(), stream, from.ip(), permit));
                    }
                    Err(_) => refuse(&app, &stream, tls.is_some()),
                },
                Err(error) => {
                    tracing::warn!(%error, "no connection could be taken");
                    sleep(PAUSE).await;
                }
            }
        }
        drop(listener);
        app.stopping.send_replace(true);
        let _late = timeout(app.options.limits.stopping, permits.acquire_many(limit as u32)).await;
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.listening.address).finish_non_exhaustive()
    }
}

/// Catches up once, and looks again and again how the replica is doing.
async fn keep_looking(app: &Arc<App>) {
    let catching_up = async {
        // A region that is away now may be away for days: what could be read has been.
        app.replica.catch_up().await;
        app.has_caught_up.store(true, Ordering::Relaxed);
        std::future::pending::<()>().await;
    };
    let looking = async {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            app.look();
            app.boards.forget();
        }
    };
    tokio::select! {
        () = catching_up => {}
        () = looking => {}
    }
}

/// A connection too many.
fn refuse(app: &App, stream: &TcpStream, is_tls: bool) {
    app.meter.refused();
    if !is_tls {
        // It fits into what the system holds of a new connection, or is not heard.
        let _unheard = stream.try_write(&TOO_MANY);
    }
}

async fn connection(
    app: Arc<App>,
    router: Router,
    tls: Option<Tls>,
    stream: TcpStream,
    from: IpAddr,
    _permit: OwnedSemaphorePermit,
) {
    let _counted = Counted::new(&app);
    // What is answered is sent at once.
    let _slow = stream.set_nodelay(true);
    match tls {
        None => requests(&app, &router, stream, from).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = timeout(app.options.limits.head, tls.0.accept(stream)).await {
                requests(&app, &router, stream, from).await;
            }
        }
    }
}

/// Answers the requests of a connection.
async fn requests<S: AsyncRead + AsyncWrite + Unpin>(app: &Arc<App>, router: &Router, stream: S, from: IpAddr) {
    let limits = &app.options.limits;
    let service = service_fn(|request: hyper::Request<Incoming>| async move {
        Ok::<_, Infallible>(handle(app, router.clone(), from, request.map(Body::new)).await)
    });
    let stream = TokioIo::new(Patient::new(stream, limits.stall));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            // The gate refuses a head that is too long, and says so. Beyond this nobody is told more than the status.
            .max_buf_size(limits.head_bytes.saturating_mul(2).max(8_192))
            // Whoever has sent a request and sends no more still reads the answer.
            .half_close(true)
            .serve_connection(stream, service)
    );
    let mut stopping = app.stopping.subscribe();
    tokio::select! {
        // How a connection ends is the client's business.
        _ended = connection.as_mut() => return,
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ended = timeout(limits.stopping, connection).await;
}

/// A connection, counted as long as it is there.
struct Counted<'a>(&'a App);

impl<'a> Counted<'a> {
    fn new(app: &'a App) -> Self {
        app.meter.connections(1);
        Self(app)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.meter.connections(-1);
    }
}
