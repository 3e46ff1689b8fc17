//! A server: takes connections, lets each request meet its faults, counts it, and stops when it is dropped.

use std::{
    future::Future,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{Request, Response, body::Incoming, http::request::Parts, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Semaphore, watch};

use crate::{
    answer::{Answer, Cut, flipped, spoiled},
    faults::{Asked, Fault, Faults, Refusal},
    meter::Meter,
    wire::Wire,
};

/// Requests in flight; more wait.
const REQUESTS_MAX: usize = 1_024;

/// Bytes of the body of a request.
const BODY_BYTES_MAX: usize = 64 << 20;

/// How long answers in flight may take when the server stops.
const GRACE: Duration = Duration::from_millis(500);

/// A protocol that is served.
pub(crate) trait Service: Send + Sync + 'static {
    /// What a request asks, as far as faults and meters look at it; none if the head alone does not tell.
    fn asked(&self, head: &Parts, body: Option<&Bytes>) -> Option<Asked>;

    /// Does it.
    fn answer(&self, request: Request<Bytes>) -> Pin<Box<dyn Future<Output = Response<Bytes>> + Send + '_>>;

    /// How this protocol says no.
    fn refuse(&self, refusal: Refusal) -> Response<Bytes>;
}

/// A server that runs, on a thread of its own.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) faults: Faults,
    pub(crate) meter: Arc<Meter>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    service: Box<dyn Service>,
    faults: Faults,
    meter: Arc<Meter>,
    in_flight: Semaphore,
}

impl Server {
    /// Serves on this port of 127.0.0.1; 0 is any that is free.
    #[expect(clippy::disallowed_methods, reason = "a test that blocks its own thread must not block the server")]
    pub(crate) fn start(port: u16, service: impl Service) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (faults, meter) = (Faults::new(), Arc::new(Meter::default()));
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared {
            service: Box::new(service),
            faults: faults.clone(),
            meter: Arc::clone(&meter),
            in_flight: Semaphore::new(REQUESTS_MAX),
        });
        let thread = std::thread::spawn(move || runtime.block_on(serve(listener, shared, stopped)));
        Ok(Self { address, faults, meter, stop, thread: Some(thread) })
    }
}

/// Answers in flight have half a second; then their connections are cut.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the server has panicked; see above");
        }
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("the listener does not block");
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(Wire::new(stream), Arc::clone(&shared), stopped.clone()));
                }
                // Out of file descriptors, say: those that are open go on.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(ended) = connections.join_next() => resume(ended),
        }
    }
    drop(listener);
    let rest = async {
        while let Some(ended) = connections.join_next().await {
            resume(ended);
        }
    };
    let _ = tokio::time::timeout(GRACE, rest).await;
}

/// A panic of a connection is one of the server.
fn resume(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

async fn connection(wire: Wire, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let cut = wire.cut();
    let service = service_fn(move |request| {
        let (shared, cut) = (Arc::clone(&shared), Arc::clone(&cut));
        async move { respond(request, &shared, cut).await }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(60));
    let served = builder.serve_connection(TokioIo::new(wire), service);
    tokio::pin!(served);
    // How a connection ends is the business of the other side.
    tokio::select! {
        _ = served.as_mut() => {}
        _ = stopped.changed() => {
            served.as_mut().graceful_shutdown();
            let _ = served.await;
        }
    }
}

/// Answers one request, or fails: then the connection is cut.
async fn respond(request: Request<Incoming>, shared: &Shared, cut: Arc<AtomicBool>) -> Result<Response<Answer>, Cut> {
    let _permit = shared.in_flight.acquire().await.expect("it is never closed");
    let (head, mut incoming) = request.into_parts();
    let mut body = None;
    let asked = match shared.service.asked(&head, None) {
        Some(asked) => asked,
        None => {
            let whole = body.insert(whole(&mut incoming).await?);
            shared.service.asked(&head, Some(whole)).unwrap_or_default()
        }
    };
    let reset = |bytes_in: usize| {
        cut.store(true, Ordering::SeqCst);
        shared.meter.count(&asked.operation, bytes_in, None);
        Cut
    };
    let (fault, delay) = shared.faults.meet(&asked);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    match fault {
        Some(Fault::ResetBefore) => return Err(reset(0)),
        Some(Fault::ResetInRequest) => {
            let piece = incoming.frame().await.and_then(Result::ok).and_then(|frame| frame.into_data().ok());
            return Err(reset(piece.map_or(0, |piece| piece.len())));
        }
        _ => {}
    }
    let mut body = match body {
        Some(body) => body,
        None => whole(&mut incoming).await?,
    };
    let bytes_in = body.len();
    if fault == Some(Fault::FlipRequest) {
        body = flipped(&body);
    }
    let answer = match fault {
        Some(Fault::Refuse(refusal)) => shared.service.refuse(refusal),
        _ => shared.service.answer(Request::from_parts(head, body)).await,
    };
    let answer = match fault {
        Some(Fault::AnswerLost) => return Err(reset(bytes_in)),
        Some(Fault::RefuseAfterEffect(refusal)) => shared.service.refuse(refusal),
        _ => answer,
    };
    shared.meter.count(&asked.operation, bytes_in, Some((answer.status(), answer.body().len())));
    Ok(spoiled(answer, fault, &cut))
}

async fn whole(body: &mut Incoming) -> Result<Bytes, Cut> {
    Ok(Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|_| Cut)?.to_bytes())
}
