//! A service of a user's own under the simulator: what is wrong in it is found, what is right is left in peace.

use replica::{Error, Position, Replica};
use sim::{Act, Fault, Random, Served, Service, Simulation, Trouble};

/// Counts likes: as a counter, or by reading a number and writing the next one.
struct Likes {
    by_writing: bool,
}

impl Likes {
    fn count(&self, replica: &Replica) -> Result<u64, String> {
        let told = |error: Error| error.to_string();
        if self.by_writing {
            return Ok(replica.lww_register::<u64>("likes").map_err(told)?.value().map_err(told)?.unwrap_or(0));
        }
        Ok(u64::try_from(replica.g_counter("likes").map_err(told)?.value()).unwrap_or(u64::MAX))
    }
}

impl Service for Likes {
    type Request = ();

    fn request(&self, _: &mut Random) {}

    fn serve(&self, replica: &Replica, (): &()) -> Result<Position, Error> {
        if !self.by_writing {
            return Ok(replica.g_counter("likes")?.add(1)?.position());
        }
        let register = replica.lww_register::<u64>("likes")?;
        let next = register.value()?.unwrap_or(0) + 1;
        Ok(register.set(&next)?.position())
    }

    fn always(&self, replica: &Replica, served: &Served<()>) -> Result<(), String> {
        let (count, most) = (self.count(replica)?, served.all().count() as u64);
        if count > most { Err(format!("{count} likes of {most}")) } else { Ok(()) }
    }

    fn finally(&self, replica: &Replica, served: &Served<()>) -> Result<(), String> {
        let (count, durable) = (self.count(replica)?, served.durable().count() as u64);
        if count == durable { Ok(()) } else { Err(format!("{count} likes, and {durable} were given")) }
    }
}

#[test]
fn a_lost_update_is_found_and_told_in_two_requests() {
    let found = Simulation::new(&Likes { by_writing: true }).quiet().run(0..50).unwrap_err();
    assert_eq!(found.failure.check, "finally");
    assert_eq!(found.failure.seen, "r0: 1 likes, and 2 were given");
    let asked = found.story.steps.iter().filter(|step| matches!(step.act, Act::Ask(_)));
    assert_eq!(asked.count(), 2, "{found}");
    assert!(found.to_string().contains("must: what the service says"), "{found}");
}

#[test]
fn a_counter_counts_right_whatever_happens() {
    for regions in [2, 3, 5] {
        let summary = Simulation::new(&Likes { by_writing: false }).regions(regions).run(0..60);
        assert!(summary.unwrap().requests > 1_000);
    }
}

#[test]
fn what_is_left_out_never_happens() {
    let service = Likes { by_writing: false };
    let simulation = Simulation::new(&service).without(Trouble::Crashes).without(Trouble::Requests(Fault::Late));
    let stories: Vec<_> = (0..40).map(|seed| simulation.story(seed)).collect();
    let happens = |is_it: fn(&Act) -> bool| stories.iter().flat_map(|story| &story.steps).any(|step| is_it(&step.act));
    assert!(happens(|act| matches!(act, Act::Cut { .. })));
    assert!(!happens(|act| matches!(act, Act::Crash | Act::CrashAfter(_) | Act::Close)));
    let met = stories.iter().flat_map(|story| simulation.play(story).faults).filter(|(_, times)| *times > 0);
    let met: Vec<_> = met.map(|(fault, _)| fault).collect();
    assert!(met.contains(&Fault::AnswerLost) && !met.contains(&Fault::Late), "{met:?}");
}

#[test]
fn a_request_that_the_service_does_not_take_is_named() {
    let service = Likes { by_writing: false };
    let simulation = Simulation::new(&service);
    let mut story = simulation.story(1);
    // All of them: it depends on the story which is the first that a replica is there to serve.
    for step in &mut story.steps {
        if let Act::Ask(request) = &mut step.act {
            "7".clone_into(request);
        }
    }
    let failure = simulation.play(&story).failure.unwrap();
    assert_eq!(failure.check, "requests are read");
    assert!(failure.seen.ends_with(": 7"), "{failure}");
}
