//! The command `archipelago`.

mod apply;
mod args;
mod change;
mod config;
mod demo;
mod directory;
mod export;
mod failure;
mod groups;
mod init;
mod inspect;
mod lines;
#[cfg(feature = "serve")]
mod logging;
mod manual;
mod output;
#[cfg(feature = "s3")]
mod provision;
#[cfg(feature = "s3")]
mod queue;
mod read;
#[cfg(any(feature = "s3", feature = "azure", feature = "gcs"))]
mod remote;
#[cfg(feature = "serve")]
mod serve;
mod session;
mod signals;
mod source;
mod status;
mod stored;
mod verify;
mod warnings;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::{
    args::{Cli, Command},
    demo::Options,
    failure::{Failure, Outcome},
    output::Output,
    session::Session,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Outcome {
    let Cli { global, command } = cli;
    let mut out = Output::new(global.json);
    match command {
        Command::Init {
            dir,
            #[cfg(feature = "s3")]
            s3,
            names,
        } => {
            #[cfg(feature = "s3")]
            let text = |names: &[String]| s3.configuration(names);
            #[cfg(not(feature = "s3"))]
            let text = config::with_directories;
            return init::init(global.config.as_deref(), dir.as_deref(), &names, text, &mut out);
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "archipelago", &mut script);
            return print(&String::from_utf8_lossy(&script), &mut out);
        }
        Command::Man => return print(&manual::manual(&mut Cli::command())?, &mut out),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("no threads to run on: {error}")))?;
    let outcome = runtime.block_on(async {
        if let Command::Demo {
            seconds,
            seed,
            falsify,
            #[cfg(feature = "serve")]
            pages,
        } = command
        {
            let options = Options::new(&global, seconds, seed, falsify)?;
            #[cfg(feature = "serve")]
            let options = Options { serve: pages.port(), ..options };
            return demo::demo(&options, &mut out).await;
        }
        let session = Session::new(&global)?;
        let code = execute(command, &session, &mut out).await?;
        out.flush()?;
        Ok(code)
    });
    // What still runs is of no use to anybody.
    runtime.shutdown_background();
    outcome
}

fn print(text: &str, out: &mut Output) -> Outcome {
    out.text(text)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

async fn execute(command: Command, session: &Session, out: &mut Output) -> Outcome {
    match command {
        Command::Apply { file, resume, skip_bad } => {
            apply::apply(session, file.as_deref(), resume.as_deref(), skip_bad, out).await
        }
        Command::Get { path } => read::get(session, &path, out).await,
        Command::Scan { prefix, limit, after } => read::scan(session, &prefix, limit, after.as_deref(), out).await,
        Command::Top { prefix, n } => read::top(session, &prefix, n, out).await,
        Command::Rank { prefix, path } => read::rank(session, &prefix, &path, out).await,
        Command::Conflicts { prefix } => read::conflicts(session, &prefix, out).await,
        Command::Export { prefix } => export::export(session, &prefix, out).await,
        Command::Watch { prefix, hints } => watch::watch(session, &prefix, hints, out).await,
        #[cfg(feature = "serve")]
        Command::Serve(options) => serve::serve(session, &options, out).await,
        Command::Status => status::status(session, out).await,
        Command::Delete { path, kind } => change::delete(session, &path, kind, out).await,
        Command::Sync => change::sync(session, out).await,
        Command::Evict { name, at } => change::evict(session, &name, at, out).await,
        Command::Verify => verify::verify(session, out).await,
        Command::Log { name } => inspect::log(session, name.as_deref(), out).await,
        Command::Show { key } => inspect::show(session, &key, out).await,
        #[cfg(feature = "s3")]
        Command::Provision { check, print, account } => {
            provision::provision(session, check, print, account.as_deref(), out).await
        }
        #[cfg(feature = "s3")]
        Command::Dlq { what } => queue::dead_letters(session, &what, out).await,
        Command::Init { .. } | Command::Demo { .. } | Command::Completions { .. } | Command::Man => {
            Ok(ExitCode::SUCCESS)
        }
    }
}
