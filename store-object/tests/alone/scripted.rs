//! A server that says what a test tells it to, and keeps what it was asked.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use store_object::CloudBucket;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};

/// What becomes of a request, when it has been read.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// It is answered with these bytes, and the connection is closed; with none, it is just closed.
    Says(String),
    /// It is answered with these bytes, and nothing follows.
    SaysAndWaits(String),
}

/// The server; it ends with this.
#[derive(Debug)]
pub(crate) struct Scripted {
    endpoint: String,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Scripted {
    /// Serves one act to each request; the last one to all that follow.
    pub(crate) async fn serves(acts: impl IntoIterator<Item = Act>) -> Self {
        let mut acts: VecDeque<Act> = acts.into_iter().collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let act = if acts.len() > 1 { acts.pop_front() } else { acts.front().cloned() };
                tokio::spawn(serve(connection, act.expect("an act"), Arc::clone(&log)));
            }
        });
        Self { endpoint, asked, task }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The heads of the requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("the log").clone()
    }

    /// A container on it, with these variables.
    pub(crate) fn azure(&self, variables: &[(&str, &str)]) -> CloudBucket {
        opened(&format!("az://data/prod?account=acme&endpoint={}", self.endpoint), variables)
    }

    /// A container on it, with a key that nobody checks.
    pub(crate) fn azure_with_key(&self) -> CloudBucket {
        self.azure(&[("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0")])
    }

    /// A bucket of Google's on it, with a token that nobody checks.
    pub(crate) fn google(&self) -> CloudBucket {
        opened(&format!("gs://data/prod?endpoint={}", self.endpoint), &[("GOOGLE_BEARER_TOKEN", "hunter2")])
    }

    /// One of each.
    pub(crate) fn both(&self) -> [CloudBucket; 2] {
        [self.azure_with_key(), self.google()]
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn opened(url: &str, variables: &[(&str, &str)]) -> CloudBucket {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    CloudBucket::open_as(&url.parse().expect("a URL"), variables).expect("a bucket")
}

async fn serve(mut connection: TcpStream, act: Act, log: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    let mut some = [0; 4_096];
    let mut whole = None;
    while whole.is_none_or(|whole| request.len() < whole) {
        match connection.read(&mut some).await {
            Ok(0) | Err(_) => return,
            Ok(read) => request.extend_from_slice(&some[..read]),
        }
        let end = request.windows(4).position(|four| four == b"\r\n\r\n");
        if let (None, Some(end)) = (whole, end) {
            let head = String::from_utf8_lossy(&request[..end]).into_owned();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            whole = Some(end + 4 + length.map_or(0, |length| length.parse::<usize>().expect("a length")));
            log.lock().expect("the log").push(head);
        }
    }
    match act {
        Act::Says(answer) => drop(connection.write_all(answer.as_bytes()).await),
        Act::SaysAndWaits(answer) => {
            drop(connection.write_all(answer.as_bytes()).await);
            sleep(Duration::from_secs(60)).await;
        }
    }
}

/// An answer of HTTP.
pub(crate) fn http(status: &str, headers: &[(&str, &str)], body: &str) -> Act {
    let mut answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "content-length") {
        answer += &format!("content-length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        answer += &format!("{name}: {value}\r\n");
    }
    Act::Says(answer + "\r\n" + body)
}

/// An error as both services say it: Azure's code in a header, Google's in the body.
pub(crate) fn error(status: u16, code: &str) -> Act {
    let body = format!("<?xml version='1.0' encoding='utf-8'?><Error><Code>{code}</Code></Error>");
    http(&format!("{status} No"), &[("x-ms-error-code", code), ("content-type", "application/xml")], &body)
}
