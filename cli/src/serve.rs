//! `serve`: a replica over HTTP.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use serde_json::json;
use server::{Access, Options, Place, Sibling, Tls, Tokens};
use tokio::sync::oneshot;

use crate::{
    failure::{Failure, Outcome, told},
    logging::{self, Verbosity},
    output::Output,
    session::Session,
    signals::Signals,
};

/// How a replica is served.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// Where to listen; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7070")]
    listen: SocketAddr,
    /// Who may do what: a line each of a name, a scope (read, write, admin) and a token of 16 characters or more
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// The certificates for TLS, the server's first, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Listen beyond this machine without tokens, or without TLS: something in front does both
    #[arg(long)]
    insecure: bool,
    /// Let pages of this origin call the server from a browser; may be repeated
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    cors: Vec<String>,
    /// Where the server of another region is, for the page; may be repeated
    #[arg(long, value_name = "REGION=ORIGIN", value_parser = sibling)]
    sibling: Vec<Sibling>,
    /// How many requests a second an address may make [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// How many connections there may be at once
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// How many seconds a watch lasts before it has to come back, which it does where it was [default: no end]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    watch_seconds: Option<Duration>,
    /// Take the hints from the region's queue. Whatever else reads that queue does not get them, and polls
    #[arg(long)]
    hints: bool,
    /// Tell what happens inside on standard error, as objects with --json. No path, value or token is in it [default: alarms alone]
    #[arg(long, value_name = "LEVEL")]
    log: Option<Verbosity>,
}

/// Where a page is from: scheme and host, and a port if it is not the usual one.
fn origin(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_plain) {
        return Err("an origin is http:// or https://, a host, and a port if it is not the usual one".to_owned());
    }
    Ok(text.to_owned())
}

/// A time in seconds, which may have a fraction.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|seconds| !seconds.is_zero()).ok_or_else(|| "expected seconds, more than 0".to_owned())
}

fn sibling(text: &str) -> Result<Sibling, String> {
    let (region, at) = text.split_once('=').ok_or("expected REGION=ORIGIN")?;
    Ok(Sibling { region: region.to_owned(), origin: origin(at)? })
}

impl Serve {
    fn options(&self, region: &str) -> Outcome<Options> {
        let access = match &self.tokens {
            Some(file) => Access::Tokens(Tokens::read(file).map_err(|error| Failure::usage(told(&error)))?),
            None => Access::Open,
        };
        let mut options = Options::new(region, access);
        options.origins.clone_from(&self.cors);
        options.siblings.clone_from(&self.sibling);
        options.limits.requests_per_second = self.rate;
        options.limits.connections = self.connections as usize;
        options.limits.watch = self.watch_seconds;
        Ok(options)
    }

    fn tls(&self) -> Outcome<Option<Tls>> {
        let files: Option<(&Path, &Path)> = self.tls_cert.as_deref().zip(self.tls_key.as_deref());
        let tls = files.map(|(certificates, key)| Tls::read(certificates, key));
        tls.transpose().map_err(|error| Failure::usage(told(&error)))
    }
}

/// How many files are open beside connections, at most: those of buckets, and connections to them.
const BESIDE: u64 = 256;

/// How many files this process may have open, once it has raised that as far as it may. `None` where there is no limit, or none known.
#[cfg(unix)]
fn open_files() -> Option<u64> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it may not there is as much as before.
    let _kept = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current
}

#[cfg(not(unix))]
const fn open_files() -> Option<u64> {
    None
}

/// Until it is told to stop: then it ends what is under way, and flushes. At the second time it does not wait.
pub(crate) async fn serve(session: &Session, serve: &Serve, out: &mut Output) -> Outcome {
    let mut signals = Signals::listen()?;
    serve.log.map(|verbosity| logging::begin(verbosity, out.is_json())).transpose()?;
    let region = session.region().name.clone();
    let (options, tls) = (serve.options(&region)?, serve.tls()?);
    let scheme = if tls.is_some() { "https" } else { "http" };
    let place = Place { address: serve.listen, tls, is_insecure: serve.insecure };
    let connections = options.limits.connections;
    if let Some(files) = open_files().filter(|files| *files < connections as u64 + BESIDE) {
        let says =
            format!("at most {files} files may be open here, and {connections} connections take more: raise ulimit -n");
        session.warnings().say(&says);
    }
    // First of all: to open a replica takes its log over.
    let listening = place.listen(&options.access).await.map_err(|error| Failure::usage(told(&error)))?;
    let url = format!("{scheme}://{}/", listening.address());
    let replica = session.open_service(serve.hints).await?;
    let server = listening.serve(replica.clone(), options);
    if out.is_json() {
        out.object(&json!({"url": url, "region": region, "replica": replica.name().as_str()}))?;
    } else {
        out.line(format_args!("{region} is served as {} at {url}", replica.name()))?;
    }
    out.flush()?;

    let mut warnings = session.warnings();
    // An alarm is an event, too.
    let mut telling = std::pin::pin!(async {
        match serve.log {
            Some(_) => std::future::pending().await,
            None => warnings.keep_telling(replica).await,
        }
    });
    let (stop, stopped) = oneshot::channel::<()>();
    let mut running = std::pin::pin!(async {
        server
            .run(async {
                let _told = stopped.await;
            })
            .await;
        replica.close().await
    });
    let mut stop = Some(stop);
    loop {
        tokio::select! {
            closed = &mut running => {
                closed?;
                return Ok(ExitCode::SUCCESS);
            }
            code = signals.next() => {
                if stop.take().is_none() {
                    return Ok(ExitCode::from(code));
                }
                let stopping = "stopping; what is under way ends, and what waits is flushed";
                if out.is_json() {
                    anstream::eprintln!("{}", json!({"message": stopping}));
                } else {
                    anstream::eprintln!("{stopping}");
                }
            }
            never = &mut telling => never,
        }
    }
}
