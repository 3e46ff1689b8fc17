//! A server that runs, for a test.

use std::{net::SocketAddr, time::Duration};

use replica::{Builder, Replica, Settings};
use serde_json::{Value, json};
use server::{Access, Limits, Options, Place};
use tokio::{runtime::Runtime, sync::oneshot, task::JoinHandle};

use crate::{
    bucket::{Mood, Moody},
    client::{Answer, ask},
};

/// A server over a replica. It ends with the test.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) replica: Replica,
    pub(crate) runtime: Runtime,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

/// Settings with which a test need not wait.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.flush_interval = Duration::from_millis(20);
    settings.poll_min = Duration::from_millis(10);
    settings.poll_max = Duration::from_millis(50);
    settings.catch_up = Duration::from_millis(500);
    settings.discovery_interval = Duration::from_millis(200);
    settings
}

/// Limits with which a test need not wait.
pub(crate) fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.durable = Duration::from_millis(1_500);
    limits.frontier = Duration::from_millis(500);
    limits.stopping = Duration::from_secs(3);
    limits
}

pub(crate) fn options() -> Options {
    let mut options = Options::new("eu-west-1", Access::Open);
    options.limits = limits();
    options
}

pub(crate) fn builder(name: &str, bucket: &Moody) -> Builder {
    Replica::builder(name, bucket.clone()).settings(settings())
}

impl Running {
    /// A server of one region.
    pub(crate) fn alone() -> Self {
        Self::start(builder("eu-west-1", &Moody::new()), options())
    }

    pub(crate) fn start(builder: Builder, options: Options) -> Self {
        Self::start_at(place(), builder, options)
    }

    pub(crate) fn start_at(place: Place, builder: Builder, options: Options) -> Self {
        Self::start_behind(place, builder, options, |_| {})
    }

    /// The same with something that happens when the replica is open, and before anything is answered.
    pub(crate) fn start_behind(
        place: Place,
        builder: Builder,
        options: Options,
        happens: impl FnOnce(&Replica),
    ) -> Self {
        let runtime = Runtime::new().expect("threads");
        let (replica, server, address) = runtime.block_on(async {
            let listening = place.listen(&options.access).await.expect("it listens");
            let replica = builder.open().await.expect("it opens");
            happens(&replica);
            let address = listening.address();
            (replica.clone(), listening.serve(replica, options), address)
        });
        let (stop, stopped) = oneshot::channel();
        let until = async {
            let _gone = stopped.await;
        };
        let task = Some(runtime.spawn(server.run(until)));
        Self { address, replica, runtime, stop: Some(stop), task }
    }

    /// Has it stop, without waiting.
    pub(crate) fn tell_to_stop(&mut self) {
        self.stop = None;
    }

    /// Waits until it has stopped.
    pub(crate) fn wait(&mut self) {
        let task = self.task.take().expect("it is waited for once");
        self.runtime.block_on(task).expect("it ends well");
    }

    /// Has it stop, closes the replica, and waits.
    pub(crate) fn close(mut self) {
        self.tell_to_stop();
        self.wait();
        self.runtime.block_on(self.replica.close()).expect("it closes");
    }

    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Answer {
        ask(self.address, "GET", target, &[], b"")
    }

    #[track_caller]
    pub(crate) fn post(&self, target: &str, body: &Value) -> Answer {
        self.post_with(target, &[], body)
    }

    #[track_caller]
    pub(crate) fn post_with(&self, target: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let headers = [&[("Content-Type", "application/json")], headers].concat();
        ask(self.address, "POST", target, &headers, body.to_string().as_bytes())
    }

    #[track_caller]
    pub(crate) fn delete(&self, target: &str) -> Answer {
        ask(self.address, "DELETE", target, &[], b"")
    }

    /// The value at a path, if there is one and no other.
    #[track_caller]
    pub(crate) fn value(&self, path: &str) -> Value {
        let found = self.get(&format!("/v1/objects/{path}")).ok();
        assert_eq!(found["values"].as_array().map(Vec::len), Some(1), "{found}");
        found["values"][0]["value"].clone()
    }
}

/// Two regions that read each other, and their buckets.
pub(crate) struct Two {
    pub(crate) ours: Moody,
    pub(crate) theirs: Moody,
    pub(crate) eu: Running,
    pub(crate) us: Running,
}

impl Two {
    pub(crate) fn new() -> Self {
        let (ours, theirs) = (Moody::new(), Moody::new());
        let eu = Running::start(builder("eu-west-1", &ours).peer("us-east-1", theirs.clone()), options());
        let us = Running::start(builder("us-east-1", &theirs).peer("eu-west-1", ours.clone()), options());
        Self { ours, theirs, eu, us }
    }

    /// Something happens while neither sees the other.
    pub(crate) fn apart(&self, happens: impl FnOnce(&Running, &Running)) {
        [&self.ours, &self.theirs].into_iter().for_each(|region| region.set(Mood::Away));
        happens(&self.eu, &self.us);
        [&self.ours, &self.theirs].into_iter().for_each(|region| region.set(Mood::Well));
    }

    /// A conflict at a path, as the first region tells of it when both know.
    pub(crate) fn dispute(&self, kind: &str, path: &str) -> Value {
        let set = |value: &str| json!({"op": "set", "kind": kind, "path": path, "value": value});
        self.apart(|eu, us| {
            eu.post("/v1/ops", &set("ours")).ok();
            us.post("/v1/ops", &set("theirs")).ok();
        });
        let conflict = |at: &Running| at.get(&format!("/v1/conflicts?prefix={path}")).ok()["conflicts"][0].clone();
        [&self.eu, &self.us].into_iter().for_each(|at| until(|| !conflict(at).is_null()));
        conflict(&self.eu)
    }
}

pub(crate) fn place() -> Place {
    Place { address: ([127, 0, 0, 1], 0).into(), tls: None, is_insecure: false }
}

/// Asks until it is so.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "the server goes on meanwhile")]
pub(crate) fn until(is_so: impl Fn() -> bool) {
    for _ in 0..3_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it has not come to pass in 30 seconds");
}
