//! `watch`: changes as they arrive.

use std::process::ExitCode;

use operations::Shown;
use replica::{Event, Origin};
use serde::Serialize;

use crate::{
    failure::Outcome,
    output::{Output, in_line},
    session::Session,
    signals::Signals,
};

#[derive(Serialize)]
struct ShownChange<'a> {
    #[serde(flatten)]
    object: Shown<'a>,
    origin: &'a str,
}

/// Until it is told to stop, or nobody reads any more.
pub(crate) async fn watch(session: &Session, prefix: &str, takes_hints: bool, out: &mut Output) -> Outcome {
    let mut signals = Signals::listen()?;
    let replica = session.follow(takes_hints).await?;
    let mut watch = replica.watch(prefix);
    let mut warnings = session.warnings();
    let mut telling = std::pin::pin!(warnings.keep_telling(replica));
    while !out.is_closed() {
        let event = tokio::select! {
            event = watch.next() => event,
            _ = signals.next() => break,
            () = out.closed() => break,
            never = &mut telling => never,
        };
        match event {
            None => break,
            Some(Event::Lagged) if out.is_json() => out.line(r#"{"lagged":true}"#)?,
            Some(Event::Lagged) => out.line("too much changed to be told one by one; `scan` shows what is there")?,
            Some(Event::Changed { key, value, origin }) => {
                let origin = match &origin {
                    Origin::Here => "here",
                    Origin::Replica(name) => name.as_str(),
                    Origin::Snapshot => "snapshot",
                };
                if out.is_json() {
                    out.object(&ShownChange { object: Shown::new(&key, value.as_ref()), origin })?;
                } else {
                    let value = value.as_ref().map_or_else(|| "(deleted)".to_owned(), in_line);
                    out.line(format_args!("{}\t{}\t{value}\t{origin}", key.path(), key.kind()))?;
                }
            }
        }
        out.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}
