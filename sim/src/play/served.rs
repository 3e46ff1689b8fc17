//! A user's service in a run: requests are served, and what it promises is checked.
//! Layer 4.

use replica::Replica;

use super::{Broken, Play};
use crate::history::Log;

impl Play<'_> {
    /// A client asks something of the service in a region, if it is up.
    pub(super) fn ask(&mut self, log: Log, request: &str) -> Result<(), Broken> {
        let Some((_, replica)) = self.live(log) else { return Ok(()) };
        let served = self.desk.serve(&replica, request);
        let must = "a request is the JSON of what the service takes";
        let Some((number, position)) = served.map_err(|seen| ("requests are read", must, seen))? else {
            return Ok(());
        };
        let position = u64::from(position);
        self.changes += 1;
        self.executor.world().operated();
        self.asked.push((number, log, position));
        if let Some(life) = &mut self.members[log].life {
            life.changed = Some(position);
        }
        Ok(())
    }

    /// Tells the service which of its requests have got into a bucket.
    pub(super) fn note_served(&mut self) {
        let Self { asked, desk, history, .. } = self;
        asked.retain(|(number, log, position)| {
            let survives = history.is_published(*log, *position);
            if survives {
                desk.survives(*number);
            }
            !survives
        });
    }

    /// What the service promises of its values at any time.
    pub(super) fn what_the_service_promises(&self, replica: &Replica) -> Result<(), Broken> {
        let must = "what the service says of its values at any time";
        self.desk.always(replica).map_err(|seen| ("always", must, format!("{}: {seen}", replica.name())))
    }

    /// What it promises when all regions have seen everything.
    pub(super) fn what_the_service_promises_at_the_end(&self) -> Result<(), Broken> {
        let must = "what the service says of its values when all regions have seen everything";
        for (log, _) in self.there().filter(|(_, member)| member.counts()) {
            let Some((replica, _)) = self.view(log) else { continue };
            self.desk.finally(&replica).map_err(|seen| ("finally", must, format!("{}: {seen}", replica.name())))?;
        }
        Ok(())
    }
}
