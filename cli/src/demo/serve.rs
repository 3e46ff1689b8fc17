//! `demo --serve`: three regions with a page each, some traffic, and now and then one of them cut off, until it is told to stop.

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use replica::{Error, ErrorKind, Replica};
use serde_json::json;
use server::{Access, Listening, Options, Place, Sibling};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    script::{Act, Change, Script},
    stage::{REGIONS, Stage},
    writer::put,
};
use crate::{
    failure::{Failure, Outcome, told},
    output::Output,
    signals::Signals,
};

/// How many steps a region does in a second: as many as can be followed with the eye.
const STEPS_PER_SECOND: u32 = 5;

/// How long all regions reach each other, and for how long one is cut off then.
const TOGETHER: Duration = Duration::from_secs(60);
const APART: Duration = Duration::from_secs(30);

/// Serves the regions of a stage, the first at this port and the others behind it; port 0 takes any that are free.
pub(crate) async fn serve(stage: &Stage, port: u16, signals: &mut Signals, out: &mut Output) -> Outcome {
    let mut listening = Vec::new();
    for region in 0..REGIONS {
        let address = SocketAddr::from(([127, 0, 0, 1], if port == 0 { 0 } else { port + region as u16 }));
        let place = Place { address, tls: None, is_insecure: false };
        let listens = place.listen(&Access::Open).await;
        listening.push(listens.map_err(|error| Failure::usage(format!("{}; --port takes another", told(&error))))?);
    }
    let at = |(region, listening): (usize, &Listening)| Sibling {
        region: stage.name(region).to_owned(),
        origin: format!("http://{}", listening.address()),
    };
    let siblings: Vec<Sibling> = listening.iter().enumerate().map(at).collect();
    let (stop, stopped) = watch::channel(false);
    let (mut tasks, mut replicas) = (JoinSet::new(), Vec::new());
    for (region, listening) in listening.into_iter().enumerate() {
        let replica = stage.open(region).await?;
        let mut options = Options::new(stage.name(region), Access::Open);
        options.siblings = siblings.iter().filter(|sibling| sibling.region != stage.name(region)).cloned().collect();
        let mut stopped = stopped.clone();
        let until = async move {
            let _gone = stopped.wait_for(|stopped| *stopped).await;
        };
        tasks.spawn(listening.serve(replica.clone(), options).run(until));
        replicas.push(replica);
    }
    tell(stage, &siblings, out)?;
    // Each writes before it has seen what the others write there: a conflict, until somebody decides.
    for (region, replica) in replicas.iter().enumerate() {
        let motto = Change::new("dispute/motto", Act::Write(format!("{} first!", stage.name(region))));
        replica.batch(|batch| {
            put(batch, &stage.prefix, &motto);
            Ok(())
        })?;
    }
    let mut writers = JoinSet::new();
    for (region, replica) in replicas.iter().enumerate() {
        writers.spawn(write(replica.clone(), stage.script.clone(), region, stage.prefix.clone()));
    }
    let code = tokio::select! {
        code = signals.next() => code,
        failed = writers.join_next() => return Err(match failed {
            Some(Ok(Err(error))) => error.into(),
            _ => Failure::failed("a writer has stopped"),
        }),
        never = cut_off_now_and_then(stage) => never,
    };
    writers.abort_all();
    stop.send_replace(true);
    tokio::select! {
        _ = async { while tasks.join_next().await.is_some() {} } => {}
        // It is told a second time.
        _ = signals.next() => {}
    }
    anstream::eprintln!("stopped");
    Ok(ExitCode::from(code))
}

fn tell(stage: &Stage, siblings: &[Sibling], out: &mut Output) -> Outcome<()> {
    if out.is_json() {
        let urls: Vec<String> = siblings.iter().map(|sibling| format!("{}/", sibling.origin)).collect();
        out.object(&json!({"urls": urls, "prefix": stage.prefix}))?;
        return out.flush();
    }
    out.line("Three regions keep in step, each with a page of its own:")?;
    let widest = siblings.iter().map(|sibling| sibling.region.len()).max().unwrap_or(0);
    for Sibling { region, origin } in siblings {
        out.line(format_args!("  {region:widest$}  {origin}/"))?;
    }
    out.line("A request to another region is made to take 70 to 220 ms. Once in a while one")?;
    out.line("region is cut off for half a minute. A conflict waits for somebody to decide it.")?;
    out.line("Ctrl-C ends it.")?;
    out.flush()
}

/// Does the steps of a region, at a pace that can be followed.
async fn write(replica: Replica, script: Arc<Script>, region: usize, prefix: String) -> Result<(), Error> {
    let mut ticks = interval(Duration::from_secs(1) / STEPS_PER_SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut number = 0;
    loop {
        ticks.tick().await;
        number += 1;
        let written = replica.batch(|batch| {
            script.step(region, number).iter().for_each(|change| put(batch, &prefix, change));
            Ok(())
        });
        match written {
            Ok(_) => {}
            // What cannot be taken now is left out: nobody counts here.
            Err(error) if error.kind() == ErrorKind::Backpressure => {}
            Err(error) => return Err(error),
        }
    }
}

async fn cut_off_now_and_then(stage: &Stage) -> ! {
    loop {
        for region in 0..REGIONS {
            sleep(TOGETHER).await;
            stage.lines.cut(region);
            sleep(APART).await;
            stage.lines.heal();
        }
    }
}
