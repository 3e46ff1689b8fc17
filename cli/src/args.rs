//! What the command takes.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Counters, registers and sets that several regions change at once, each alone if it must, and that end up the same
/// everywhere. All that is between the regions is a bucket for each of them.
#[derive(Debug, Parser)]
#[command(
    name = "archipelago",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 done; 1 failed, or something differs; 2 wrong usage or configuration; 3 nothing at the path; \
                  4 the replica was fenced or evicted."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where a command works, and how it prints.
#[derive(Args, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The configuration [default: archipelago.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The region to work from [default: the first that is configured]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) region: Option<String>,
    /// What a command that writes is called [default: the region's name and -cli]. Two at once need two names
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) replica: Option<String>,
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a configuration with a local directory for each region, or a bucket on S3
    #[command(after_help = "Example:\n  archipelago init\n  archipelago init --dir try paris tokyo\n  \
        archipelago init --s3 acme-likes us-east-1 eu-west-1\n\n\
        It makes the directories too; `provision` makes what is on S3. With --config it writes that file. What is there already \
        is left alone.")]
    Init {
        /// The folder to write it in [default: this one]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        #[cfg(feature = "s3")]
        #[command(flatten)]
        s3: OnS3,
        /// What the regions are called [default: us-east-1 eu-west-1 ap-southeast-1]
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Watch three regions take writes at once, lose touch, lose a process, and end up the same
    #[command(
        after_help = "Example:\n  archipelago demo\n  archipelago demo --seconds 60 --seed 7\n  archipelago demo --serve\n\n\
        It works in a temporary directory, and with --config in the first three regions of a configuration, as replicas that \
        are called after them with -demo behind it, below the path demo/. It exits with 0 only if every region ends up with \
        what was worked out beside them."
    )]
    Demo {
        /// How many seconds they write, 5 to 3600: what happens needs as many, and to open and to converge some more
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(5..=3_600))]
        seconds: u64,
        /// What is written is chosen by this number
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,
        /// Expect something wrong, which must be noticed
        #[arg(long, hide = true)]
        falsify: bool,
        #[cfg(feature = "serve")]
        #[command(flatten)]
        pages: Pages,
    },
    /// Apply operations, one JSON object a line, and return when all of them are durable
    #[command(after_help = "Example:\n  \
        echo '{\"op\":\"add\",\"kind\":\"pn_counter\",\"path\":\"goals/Marta\",\"by\":1}' | archipelago apply\n  \
        archipelago apply goals.ndjson --resume goals\n\n\
        Operations: add (counters: by, 1 if it is not given, negative for a pn_counter; sets: value), remove (sets: value), \
        set (registers: value, any JSON), delete (kind may be left out). Kinds: g_counter, pn_counter, lww_register, \
        mv_register, or_set.\n\n\
        Values: any JSON. A number keeps its value, not its spelling; one that would become another (more than 64 bits, a \
        negative zero, digits beyond those of a double) and a key that stands twice in an object are wrong.\n\n\
        Sources: one replica at a time has a --resume name; of two that begin it at once one or both are refused, and say what \
        to do. Every bucket must answer when a source is begun. How far it is done is forgotten when nothing of it has been \
        applied for 30 days, or when its replica is evicted: then the same command begins at line 1 and counts again.\n\n\
        Stopped by Ctrl-C, SIGTERM or SIGHUP it waits up to 5 seconds until what it has applied is durable, and says what is. \
        At the second it ends at once.")]
    Apply {
        /// The file to read; - or nothing is standard input
        file: Option<PathBuf>,
        /// Remember how many lines of this source are done, in the same segment as what they did. The same command,
        /// repeated after a crash, goes on where the durable state ends: no line is lost or applied twice
        #[arg(long, value_name = "NAME")]
        resume: Option<String>,
        /// Count lines that are wrong, and go on
        #[arg(long)]
        skip_bad: bool,
    },
    /// Print what is at a path
    #[command(
        after_help = "Example:\n  archipelago get goals/Marta\n  archipelago get goals/Marta --region eu-west-1 --json"
    )]
    Get {
        /// The path, all of it
        path: String,
    },
    /// List the objects below a prefix, in the order of their paths
    #[command(
        after_help = "Example:\n  archipelago scan goals/ --limit 10\n  archipelago scan goals/ --after goals/Marta"
    )]
    Scan {
        /// What the paths begin with
        #[arg(default_value = "", hide_default_value = true)]
        prefix: String,
        /// Print at most so many
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// Begin behind this path
        #[arg(long, value_name = "PATH")]
        after: Option<String>,
    },
    /// Print the greatest counters below a prefix
    #[command(after_help = "Example:\n  archipelago top goals/ -n 3")]
    Top {
        /// What the paths begin with
        prefix: String,
        /// How many
        #[arg(short, default_value_t = 10, value_name = "N")]
        n: usize,
    },
    /// Print where a counter stands among those below a prefix
    #[command(after_help = "Example:\n  archipelago rank goals/ goals/Marta")]
    Rank {
        /// What the paths begin with
        prefix: String,
        /// The path of the counter, all of it
        path: String,
    },
    /// List the registers that were written concurrently, and all their values
    #[command(after_help = "Example:\n  archipelago conflicts users/")]
    Conflicts {
        /// What the paths begin with
        #[arg(default_value = "", hide_default_value = true)]
        prefix: String,
    },
    /// Print what is known of every replica's log, what is wrong, and what was requested
    #[command(after_help = "Example:\n  archipelago status --region eu-west-1")]
    Status,
    /// Print changes as they arrive, until interrupted
    #[command(after_help = "Example:\n  archipelago watch goals/ --json")]
    Watch {
        /// What the paths begin with
        #[arg(default_value = "", hide_default_value = true)]
        prefix: String,
        /// Take the hints from the region's queue. Whatever else reads that queue does not get them, and polls
        #[arg(long)]
        hints: bool,
    },
    /// Serve a region over HTTP: a query API, live changes, metrics, and a page that shows what is going on
    #[cfg(feature = "serve")]
    #[command(
        after_help = "Example:\n  archipelago serve\n  archipelago serve --region eu-west-1 --listen 127.0.0.1:7071\n  \
        archipelago serve --listen 0.0.0.0:7070 --tokens tokens.txt --tls-cert chain.pem --tls-key key.pem\n\n\
        The replica is called after the region unless --replica names it; a second server of that name takes its log over, and the \
        first one writes nothing more. Stopped by Ctrl-C, SIGTERM or SIGHUP it ends what is under way and flushes. At the second it \
        ends at once."
    )]
    Serve(crate::serve::Serve),
    /// Delete what is at a path
    #[command(after_help = "Example:\n  archipelago delete carts/ada\n  archipelago delete carts/ada --kind or_set")]
    Delete {
        /// The path, all of it
        path: String,
        /// Only what is of this kind
        #[arg(long, value_name = "KIND")]
        kind: Option<replica::Kind>,
    },
    /// Read until up to date with all peers, then write a snapshot
    #[command(after_help = "Example:\n  archipelago sync --region eu-west-1")]
    Sync,
    /// Declare that a replica will not come back: nobody waits for it any more
    #[command(
        after_help = "Example:\n  archipelago evict eu-west-1\n  archipelago evict eu-west-1 --at 65a1b2c3/0000000f\n\n\
        It cannot be undone. What that replica wrote beyond the position is not read any more, by anybody; what a region has \
        read of it before stays. Without --at that is the end of its log where its bucket can be written, and else as far as this \
        region has read."
    )]
    Evict {
        /// The replica that is gone
        #[arg(value_name = "REPLICA")]
        name: String,
        /// The last position of its log that counts
        #[arg(long, value_name = "POSITION", value_parser = position)]
        at: Option<replica::Position>,
    },
    /// Compare every region's snapshots part by part where they hold the same changes; exit 1 if anything differs
    #[command(after_help = "Example:\n  archipelago verify")]
    Verify,
    /// Print all values below a prefix as operations that `apply` takes
    #[command(after_help = "Example:\n  archipelago export users/ > users.ndjson\n\n\
        Applied where nothing is, they make the same values, but for what no operation makes alone, of which it warns: of \
        concurrent values of an mv_register the last stays; of two kinds at one path `apply` makes the first and refuses the other \
        (--skip-bad passes over it); one replica counts to 2^64 - 1.")]
    Export {
        /// What the paths begin with
        #[arg(default_value = "", hide_default_value = true)]
        prefix: String,
    },
    /// List the segments, seals and snapshots of a region's bucket
    #[command(after_help = "Example:\n  archipelago log\n  archipelago log us-east-1-cli --region us-east-1")]
    Log {
        /// Only those of this replica
        #[arg(value_name = "REPLICA")]
        name: Option<String>,
    },
    /// Print one object of a region's bucket, decoded
    #[command(after_help = "Example:\n  archipelago show v1/log/us-east-1-cli/00000000/00000000")]
    Show {
        /// The key, as `log` prints it; or that of a part, as `show` prints it of a snapshot
        key: String,
    },
    /// Create what the regions need on AWS: buckets, queues, topics, and who may do what
    #[cfg(feature = "s3")]
    #[command(after_help = "Example:\n  archipelago provision --check\n  archipelago provision\n  \
        archipelago provision --print policy --account 123456789012 --region eu-west-1\n\n\
        It creates what is missing, narrows what is wider than needed, and may be repeated. What others have set up in a bucket \
        stays. Roles are printed and not created; --replica says who writes in the region, if that is not called like it.\n\n\
        With --check it changes nothing, and exits with 1 if anything is missing or wider than needed.")]
    Provision {
        /// Say what is missing or wider than needed, and change nothing
        #[arg(long, conflicts_with = "print")]
        check: bool,
        /// Print it instead
        #[arg(long, value_name = "WHAT")]
        print: Option<Print>,
        /// The number of the AWS account, for the policies that are printed
        #[arg(long, value_name = "ID", value_parser = account)]
        account: Option<String>,
    },
    /// Look at the messages of the region's queue that could not be understood
    #[cfg(feature = "s3")]
    #[command(after_help = "Example:\n  archipelago dlq list --region eu-west-1\n  archipelago dlq replay")]
    Dlq {
        /// What to do with them
        #[command(subcommand)]
        what: Dlq,
    },
    /// Print the completions for a shell
    #[command(
        after_help = "Example:\n  archipelago completions bash > ~/.local/share/bash-completion/completions/archipelago"
    )]
    Completions {
        /// Which one
        shell: clap_complete::Shell,
    },
    /// Print the manual page of all commands
    #[command(after_help = "Example:\n  archipelago man | man -l -")]
    Man,
}

/// Whether the demonstration is watched in a browser.
#[cfg(feature = "serve")]
#[derive(Args, Debug)]
pub(crate) struct Pages {
    /// Serve the three regions with a page each, with some traffic, until interrupted
    #[arg(long, conflicts_with_all = ["seconds", "falsify"])]
    serve: bool,
    /// The port of the first page; the others are behind it. 0 takes any that are free
    #[arg(long, value_name = "N", default_value_t = 7070, requires = "serve", value_parser = clap::value_parser!(u16).range(..=65_533))]
    port: u16,
}

#[cfg(feature = "serve")]
impl Pages {
    /// The port of the first page, if there are to be any.
    pub(crate) fn port(&self) -> Option<u16> {
        self.serve.then_some(self.port)
    }
}

/// Where the buckets of a new configuration are, if on S3.
#[cfg(feature = "s3")]
#[derive(Args, Debug)]
pub(crate) struct OnS3 {
    /// Name buckets on S3, each called NAME-REGION, and queues for hints
    #[arg(long, value_name = "NAME")]
    pub(crate) s3: Option<String>,
    /// The address of a store that is not AWS
    #[arg(long, value_name = "URL", requires = "s3")]
    pub(crate) endpoint: Option<String>,
    /// Name no queues: the regions poll
    #[arg(long, requires = "s3")]
    pub(crate) polling: bool,
}

#[cfg(feature = "s3")]
impl OnS3 {
    /// The configuration of these regions: on S3 if a name is given, and in directories else.
    pub(crate) fn configuration(&self, regions: &[String]) -> crate::failure::Outcome<String> {
        match &self.s3 {
            Some(name) => crate::config::on_s3(name, self.endpoint.as_deref(), self.polling, regions),
            None => crate::config::with_directories(regions),
        }
    }
}

/// What is printed instead of created.
#[cfg(feature = "s3")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Print {
    /// The template of the region's stack
    Cloudformation,
    /// The IAM policies of the roles in the region
    Policy,
}

/// What is done with dead letters.
#[cfg(feature = "s3")]
#[derive(Debug, Subcommand)]
pub(crate) enum Dlq {
    /// List them: when they were sent, why they are there, how they begin
    List {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Send them back to the queue
    Replay {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 1_000)]
        limit: usize,
    },
    /// Delete all of them
    Purge,
}

/// A position as it is printed: epoch and slot in hexadecimal digits.
fn position(text: &str) -> Result<replica::Position, String> {
    let digits = |part: &str| u32::from_str_radix(part, 16).ok().filter(|_| part.len() == 8);
    text.split_once('/')
        .and_then(|(epoch, slot)| Some(replica::Position::new(digits(epoch)?, digits(slot)?)))
        .ok_or_else(|| "a position is two times eight hexadecimal digits, such as 65a1b2c3/0000000f".to_owned())
}

/// The number of an AWS account.
#[cfg(feature = "s3")]
fn account(text: &str) -> Result<String, String> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err("the number of an AWS account has 12 digits".to_owned())
}
