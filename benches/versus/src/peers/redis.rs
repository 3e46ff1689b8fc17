//! A redis-server, where one is installed: what a service would otherwise call. It runs on 127.0.0.1 while it is measured.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use benches::{clock, wall::timed_by_the_wall};

/// A server of our own, and a connection to it.
#[derive(Debug)]
pub(crate) struct Redis {
    server: Child,
    reader: BufReader<TcpStream>,
}

/// What a number of commands took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    /// Processor time, of the server and of the one who asks.
    pub(crate) processor: Duration,
    /// From the first byte to the last answer.
    pub(crate) wall: Duration,
}

impl Redis {
    /// Starts a server that keeps nothing on disk; `None` if none is installed.
    ///
    /// # Panics
    ///
    /// When one is installed and does not start.
    #[must_use]
    pub(crate) fn start() -> Option<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port = free.expect("a free port").port();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir(std::env::temp_dir());
        let mut server = command.spawn().ok()?;
        let connected = (0..200).find_map(|_| {
            pause();
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
        });
        let Some(stream) = connected else {
            stop(&mut server);
            panic!("redis-server is installed, and does not answer");
        };
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
        Some(Self { server, reader: BufReader::with_capacity(1 << 20, stream) })
    }

    /// Sends all commands at once, and reads all answers, which are integers. Returns their sum, and what it took.
    pub(crate) fn pipeline(&mut self, commands: &[u8], count: usize) -> (i64, Took) {
        let before = self.processor();
        let (wall, (processor, sum)) = timed_by_the_wall(|| {
            clock::timed(|| {
                let mut stream = self.reader.get_ref().try_clone().expect("a socket");
                let sent = commands.to_vec();
                // Answers are read meanwhile, or both sides would wait for each other.
                std::thread::scope(|scope| {
                    scope.spawn(move || stream.write_all(&sent).expect("redis reads"));
                    (0..count).map(|_| self.integer()).sum()
                })
            })
        });
        (sum, Took { processor: processor + self.processor().saturating_sub(before), wall })
    }

    /// One command, and its answer.
    pub(crate) fn one(&mut self, command: &[u8]) -> i64 {
        self.reader.get_mut().write_all(command).expect("redis reads");
        self.integer()
    }

    /// The bytes that all its data take.
    pub(crate) fn memory(&mut self) -> u64 {
        self.info("memory", "used_memory:").parse().expect("bytes")
    }

    /// The processor time that the server has taken.
    fn processor(&mut self) -> Duration {
        let [user, system] = ["used_cpu_user:", "used_cpu_sys:"].map(|name| self.info("cpu", name));
        [user, system].iter().map(|seconds| Duration::from_secs_f64(seconds.parse().expect("seconds"))).sum()
    }

    fn info(&mut self, section: &str, name: &str) -> String {
        self.reader.get_mut().write_all(&command(&["INFO", section])).expect("redis reads");
        let head = self.line();
        let length: usize = head.trim_start_matches('$').parse().expect("a length");
        let mut text = vec![0; length + 2];
        self.reader.read_exact(&mut text).expect("redis answers");
        let text = String::from_utf8(text).expect("text");
        text.lines().find_map(|line| line.strip_prefix(name)).expect("it says that").to_owned()
    }

    fn integer(&mut self) -> i64 {
        let line = self.line();
        line.strip_prefix(':').and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("redis: {line}"))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("redis answers");
        line.trim_end().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        stop(&mut self.server);
    }
}

/// A command as it goes over the wire.
#[must_use]
pub(crate) fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
    }
    bytes
}

fn stop(server: &mut Child) {
    // It may have ended by itself.
    let _killed = server.kill();
    let _ended = server.wait();
}

#[expect(clippy::disallowed_methods, reason = "a server starts when it starts")]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}
