//! A server that says what a test tells it to, byte for byte, and keeps what it was asked.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_credential_types::Credentials;
use store_s3::S3Bucket;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// It is read, answered with these bytes, and the connection is closed.
    Says(String),
    /// It is read, and the connection is closed without an answer.
    Closes,
    /// The connection is closed before anything is read.
    ClosesAtOnce,
    /// It is read, and not answered.
    Waits,
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

    /// A bucket on it, with more parameters in its URL.
    pub(crate) async fn bucket(&self, parameters: &str) -> S3Bucket {
        bucket(&format!("{}{parameters}", self.endpoint)).await
    }

    /// Its address.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The heads of the requests so far, in lower case.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("the log").clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A bucket at an endpoint, with credentials that nobody checks.
pub(crate) async fn bucket(endpoint: &str) -> S3Bucket {
    let url = format!("s3://likes-eu/prod?endpoint={endpoint}").parse().expect("a URL");
    let credentials = Credentials::new("AKIAEXAMPLE", "secret", None, None, "test");
    S3Bucket::open_as(&url, credentials).await.expect("a bucket")
}

async fn serve(mut connection: TcpStream, act: Act, log: Arc<Mutex<Vec<String>>>) {
    if matches!(act, Act::ClosesAtOnce) {
        return;
    }
    let mut request = Vec::new();
    let mut some = [0; 4_096];
    let (head, body_bytes) = loop {
        match connection.read(&mut some).await {
            Ok(0) | Err(_) => return,
            Ok(read) => request.extend_from_slice(&some[..read]),
        }
        // The first byte of a handshake of TLS, which is no request: servers of plain HTTP say so at once.
        if request[0] == 0x16 {
            break (String::new(), 0);
        }
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            let length = length.map_or(0, |length| length.parse::<usize>().expect("a length"));
            break (head, length + end + 4);
        }
    };
    log.lock().expect("the log").push(head);
    while request.len() < body_bytes {
        match connection.read(&mut some).await {
            Ok(0) | Err(_) => return,
            Ok(read) => request.extend_from_slice(&some[..read]),
        }
    }
    match act {
        Act::Says(answer) => drop(connection.write_all(answer.as_bytes()).await),
        Act::SaysAndWaits(answer) => {
            drop(connection.write_all(answer.as_bytes()).await);
            sleep(Duration::from_secs(60)).await;
        }
        Act::Waits => sleep(Duration::from_secs(60)).await,
        Act::Closes | Act::ClosesAtOnce => {}
    }
}

/// An answer of HTTP.
pub(crate) fn http(status: &str, headers: &[(&str, &str)], body: &str) -> Act {
    let mut answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "content-length") && !status.starts_with("204") {
        answer += &format!("content-length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        answer += &format!("{name}: {value}\r\n");
    }
    Act::Says(answer + "\r\n" + body)
}

/// An error as S3 says it.
pub(crate) fn error(status: &str, code: &str, message: &str) -> Act {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    http(status, &[("content-type", "application/xml")], &body)
}

/// A list as S3 says it, of what stands between its tags.
pub(crate) fn list(inner: &str) -> Act {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <Name>likes-eu</Name>{inner}</ListBucketResult>"
    );
    http("200 OK", &[("content-type", "application/xml")], &body)
}
