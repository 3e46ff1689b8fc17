//! The end: three replicas are opened without any trouble between them, read each other to the end, and say what they
//! hold.

use std::time::Duration;

use replica::{Replica, Token};

use crate::{
    store::{REGIONS, World},
    truth::Held,
    worker::{SETS, settings},
};

/// How long they may take to catch up.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn settle(world: &World) -> Result<Vec<Held>, String> {
    let mut replicas = Vec::new();
    for region in REGIONS {
        replicas.push(open(world, region).await.map_err(|says| format!("{region} does not open: {says}"))?);
    }
    let mut everything = Token::default();
    replicas.iter().for_each(|replica| everything.join(&replica.token()));
    let mut held = Vec::new();
    for (replica, region) in replicas.iter().zip(REGIONS) {
        let caught_up = replica.wait_for_within(&everything, PATIENCE).await.map_err(|error| error.to_string())?;
        if !caught_up {
            return Err(format!("{region} does not catch up: {:?}", replica.status()));
        }
        held.push(hold(replica, region).map_err(|error| error.to_string())?);
    }
    for (replica, region) in replicas.iter().zip(REGIONS) {
        let status = replica.status();
        if !status.alarms.is_empty() || status.logs.iter().any(|log| log.agrees == Some(false)) {
            return Err(format!("{region} raises an alarm when all is quiet: {:?}", status.alarms));
        }
    }
    for replica in replicas {
        replica.close().await.map_err(|error| format!("a replica does not close: {error}"))?;
    }
    // Who comes new and reads snapshots sees the same as who has read the logs.
    let newcomer = observe(world).await?;
    held.push(hold(&newcomer, "an observer").map_err(|error| error.to_string())?);
    Ok(held)
}

async fn open(world: &World, region: &str) -> Result<Replica, String> {
    let mut builder = Replica::builder(region, world.direct(region).await?).settings(settings());
    for peer in REGIONS.into_iter().filter(|peer| *peer != region) {
        builder = builder.peer(peer, world.direct(peer).await?);
    }
    builder.open().await.map_err(|error| error.to_string())
}

async fn observe(world: &World) -> Result<Replica, String> {
    let mut builder = Replica::builder("observer", world.direct(REGIONS[0]).await?).settings(settings());
    for peer in &REGIONS[1..] {
        builder = builder.peer(peer, world.direct(peer).await?);
    }
    let observer = builder.observe().await.map_err(|error| format!("an observer does not open: {error}"))?;
    if observer.catch_up().await { Ok(observer) } else { Err("an observer does not catch up".to_owned()) }
}

fn hold(replica: &Replica, region: &str) -> Result<Held, replica::Error> {
    let by = REGIONS.into_iter().map(|name| Ok((name.to_owned(), replica.g_counter(&format!("by/{name}"))?.value())));
    let by = by.collect::<Result<Vec<_>, replica::Error>>()?.into_iter().filter(|(_, count)| *count > 0).collect();
    let mut seen = std::collections::BTreeSet::new();
    for set in 0..SETS {
        seen.extend(replica.or_set::<str>(&format!("seen/{set}"))?.elements()?);
    }
    let everything = replica.scan("").map(|(key, value)| (key.to_string(), format!("{value:?}"))).collect();
    Ok(Held { region: region.to_owned(), likes: replica.pn_counter("likes")?.value(), by, seen, everything })
}
