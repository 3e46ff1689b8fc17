//! The processes of the regions: started, killed, started again, and listened to.

use std::{
    collections::BTreeMap,
    env,
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    counting::Outcomes,
    store::{REGIONS, World},
    truth::{Life, Truth},
    worker,
};

/// What has been heard of the processes so far.
#[derive(Debug, Default)]
struct Heard {
    truth: Truth,
    outcomes: BTreeMap<Life, Outcomes>,
}

/// The processes.
#[derive(Debug)]
pub(crate) struct Fleet<'a> {
    world: &'a World,
    heard: Arc<Mutex<Heard>>,
    /// The processes of each region, the newest last.
    running: Vec<Vec<Process>>,
    lives: u64,
    listeners: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Process(Child);

impl<'a> Fleet<'a> {
    /// One process in each region.
    pub(crate) fn start(world: &'a World) -> Result<Self, String> {
        let running = REGIONS.iter().map(|_| Vec::new()).collect();
        let mut fleet = Self { world, heard: Arc::default(), running, lives: 0, listeners: Vec::new() };
        (0..REGIONS.len()).try_for_each(|region| fleet.launch(region))?;
        Ok(fleet)
    }

    /// Starts another process of a region. One that is there loses its log to it.
    pub(crate) fn launch(&mut self, region: usize) -> Result<(), String> {
        let life: Life = (REGIONS[region].to_owned(), self.lives);
        self.lives += 1;
        let buckets: Vec<String> = (0..REGIONS.len()).map(|to| self.world.url(region, to)).collect();
        let (access_key, secret_key) = self.world.keys();
        let child = env::current_exe().and_then(|program| {
            Command::new(program)
                .env(worker::NAME, &life.0)
                .env(worker::LIFE, life.1.to_string())
                .env(worker::BUCKETS, buckets.join(" "))
                .env(worker::KEYS, format!("{access_key} {secret_key}"))
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
        });
        let mut child = child.map_err(|error| format!("no process: {error}"))?;
        let out = child.stdout.take().ok_or("a process that says nothing")?;
        let heard = Arc::clone(&self.heard);
        self.listeners.push(tokio::spawn(async move {
            let mut lines = BufReader::new(out).lines();
            // A process can be killed while it prints. Then the end of its last line is missing, and a number cut
            // short would be
            // another number: each line is believed when the next one, or a proper end, has come.
            let mut last = None;
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(line) = last.replace(line) {
                    lock(&heard).note(&life, &line);
                }
            }
            if let Some(line) = last.filter(|line| !line.starts_with("acknowledged")) {
                lock(&heard).note(&life, &line);
            }
        }));
        self.running[region].push(Process(child));
        Ok(())
    }

    /// Kills the newest process of a region, if there is one: it has no time for anything.
    pub(crate) async fn kill(&mut self, region: usize) -> bool {
        self.bury();
        match self.running[region].pop() {
            Some(mut process) => process.0.kill().await.is_ok(),
            None => false,
        }
    }

    /// Starts anew wherever nobody is left, as whoever watches over a service does. Returns how often.
    pub(crate) fn mind(&mut self) -> Result<u64, String> {
        self.bury();
        let mut started = 0;
        for region in 0..REGIONS.len() {
            if self.running[region].is_empty() {
                self.launch(region)?;
                started += 1;
            }
        }
        Ok(started)
    }

    /// Takes note of those that have ended by themselves.
    fn bury(&mut self) {
        for process in &mut self.running {
            process.retain_mut(|process| match process.0.try_wait() {
                Ok(None) => true,
                Ok(Some(status)) => {
                    if !status.success() {
                        lock(&self.heard).truth.crashed += 1;
                    }
                    false
                }
                Err(_) => false,
            });
        }
    }

    /// How many changes were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> usize {
        lock(&self.heard).truth.acknowledged()
    }

    /// Kills all, and gives what was heard of them.
    pub(crate) async fn stop(mut self) -> Result<(Truth, Outcomes), String> {
        self.bury();
        for process in self.running.iter_mut().flatten() {
            _ = process.0.kill().await;
        }
        for listener in self.listeners.drain(..) {
            let heard_out = timeout(Duration::from_secs(10), listener).await;
            heard_out.map_err(|_| "a process that was killed goes on to speak")?.map_err(|error| error.to_string())?;
        }
        let heard = lock(&self.heard);
        let mut outcomes = Outcomes::new();
        for (what, times) in heard.outcomes.values().flatten() {
            *outcomes.entry(what.clone()).or_default() += times;
        }
        Ok((heard.truth.clone(), outcomes))
    }
}

impl Heard {
    fn note(&mut self, life: &Life, line: &str) {
        match line.split_once(' ') {
            Some(("acknowledged", number)) => {
                if let Ok(number) = number.parse() {
                    self.truth.acknowledge(life, number);
                }
            }
            Some(("outcomes", counted)) => {
                if let Ok(counted) = serde_json::from_str(counted) {
                    self.outcomes.insert(life.clone(), counted);
                }
            }
            Some(("stopped", kind)) => *self.truth.stopped.entry(kind.to_owned()).or_default() += 1,
            None if line == "open" => self.truth.opened += 1,
            None if line == "differs" => self.truth.differing += 1,
            _ => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
