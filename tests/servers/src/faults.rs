//! What goes wrong, as tests ask for it: rules that pick requests, and what befalls those.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::random::Random;

/// The faults of one server. A clone is the same faults.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Mutex<Script>>);

#[derive(Debug)]
struct Script {
    rules: Vec<Rule>,
    random: Random,
    injected: BTreeMap<&'static str, u64>,
}

/// What befalls a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// It is refused, and has no effect.
    Refuse(Refusal),
    /// It has its effect, and the answer says that it was refused.
    RefuseAfterEffect(Refusal),
    /// The connection is reset once its head has come, and it has no effect.
    ResetBefore,
    /// The connection is reset in the middle of its body, and it has no effect.
    ResetInRequest,
    /// It has its effect, and the connection is reset instead of an answer.
    AnswerLost,
    /// It has its effect, and the connection is reset after half the body of the answer.
    ResetInAnswer,
    /// Its body arrives with one bit flipped.
    FlipRequest,
    /// The body of the answer arrives with one bit flipped.
    FlipAnswer,
    /// The checksums in the head of the answer are those of something else.
    WrongChecksum,
    /// The answer announces so many bytes more than it sends, or fewer.
    WrongLength(i64),
    /// The body of the answer comes in so many pieces, with this pause before each.
    SlowAnswer {
        /// How many, at least 1.
        pieces: usize,
        /// Before each of them.
        pause: Duration,
    },
    /// It takes so much longer, any time from `least` to `most`; other rules apply beside it.
    Delay {
        /// At least this.
        least: Duration,
        /// At most this.
        most: Duration,
    },
}

/// The ways to be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 500.
    InternalError,
    /// 503.
    ServiceUnavailable,
    /// 503: too many requests.
    SlowDown,
    /// 409: another request for the same key is under way.
    ConditionalRequestConflict,
    /// 403: no policy allows it.
    AccessDenied,
    /// 403: signed with another secret.
    SignatureDoesNotMatch,
    /// 400: the session is over.
    ExpiredToken,
    /// 403: the clocks differ.
    RequestTimeTooSkewed,
    /// 400: the body took too long to come.
    RequestTimeout,
}

/// Which requests a fault befalls. Without more it is all of them.
#[derive(Clone, Debug)]
pub struct Rule {
    fault: Fault,
    operation: Option<String>,
    place: Option<String>,
    key: String,
    rate: f64,
    skip: u64,
    times: u64,
}

/// A request, as far as rules look at it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// Such as `PutObject`.
    pub(crate) operation: String,
    /// The bucket, queue or topic.
    pub(crate) place: String,
    /// The key of the object, or the prefix of a list.
    pub(crate) key: String,
}

impl Rule {
    /// This befalls every request.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        let (operation, place, key) = (None, None, String::new());
        Self { fault, operation, place, key, rate: 1.0, skip: 0, times: u64::MAX }
    }

    /// Only requests of this operation: `PutObject`, `ListObjectsV2`, `ReceiveMessage`, …
    #[must_use]
    pub fn on(mut self, operation: &str) -> Self {
        self.operation = Some(operation.to_owned());
        self
    }

    /// Only requests to this bucket, queue or topic.
    #[must_use]
    pub fn at(mut self, place: &str) -> Self {
        self.place = Some(place.to_owned());
        self
    }

    /// Only requests for keys, or lists of prefixes, that begin so.
    #[must_use]
    pub fn key(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.key);
        self
    }

    /// Only this share of them, by chance: 0 to 1.
    #[must_use]
    pub fn rate(mut self, rate: f64) -> Self {
        self.rate = rate;
        self
    }

    /// Not the first so many of them.
    #[must_use]
    pub fn skip(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// No more than so many times.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    fn is_about(&self, asked: &Asked) -> bool {
        self.operation.as_ref().is_none_or(|operation| *operation == asked.operation)
            && self.place.as_ref().is_none_or(|place| *place == asked.place)
            && asked.key.starts_with(&self.key)
    }
}

impl Faults {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Script { rules: Vec::new(), random: Random::new(0), injected: BTreeMap::new() })))
    }

    /// Adds a rule. Of those that pick a request the first applies, and every delay beside it.
    pub fn add(&self, rule: Rule) {
        self.script(|script| script.rules.push(rule));
    }

    /// Every request takes so much longer, any time from `least` to `most`.
    pub fn latency(&self, least: Duration, most: Duration) {
        self.add(Rule::new(Fault::Delay { least, most }));
    }

    /// Draws what is up to chance from this seed from now on; from 0 if never called.
    pub fn seed(&self, seed: u64) {
        self.script(|script| script.random = Random::new(seed));
    }

    /// Takes every rule away. What was counted stays.
    pub fn clear(&self) {
        self.script(|script| script.rules.clear());
    }

    /// How often each fault befell a request, by its name.
    #[must_use]
    pub fn injected(&self) -> BTreeMap<&'static str, u64> {
        self.script(|script| script.injected.clone())
    }

    /// What befalls this request, and how much longer it takes.
    pub(crate) fn meet(&self, asked: &Asked) -> (Option<Fault>, Duration) {
        self.script(|script| {
            let (mut met, mut delay) = (None, Duration::ZERO);
            for rule in script.rules.iter_mut().filter(|rule| rule.is_about(asked)) {
                let is_delay = matches!(rule.fault, Fault::Delay { .. });
                if rule.times == 0 || (met.is_some() && !is_delay) || !script.random.chance(rule.rate) {
                    continue;
                }
                if rule.skip > 0 {
                    rule.skip -= 1;
                    continue;
                }
                rule.times = rule.times.saturating_sub(1);
                *script.injected.entry(rule.fault.name()).or_default() += 1;
                match rule.fault {
                    Fault::Delay { least, most } => delay += script.random.between(least, most),
                    fault => met = Some(fault),
                }
            }
            (met, delay)
        })
    }

    fn script<T>(&self, with: impl FnOnce(&mut Script) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Fault {
    /// What it is counted under.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Refuse(refusal) => refusal.code(),
            Self::RefuseAfterEffect(_) => "RefuseAfterEffect",
            Self::ResetBefore => "ResetBefore",
            Self::ResetInRequest => "ResetInRequest",
            Self::AnswerLost => "AnswerLost",
            Self::ResetInAnswer => "ResetInAnswer",
            Self::FlipRequest => "FlipRequest",
            Self::FlipAnswer => "FlipAnswer",
            Self::WrongChecksum => "WrongChecksum",
            Self::WrongLength(_) => "WrongLength",
            Self::SlowAnswer { .. } => "SlowAnswer",
            Self::Delay { .. } => "Delay",
        }
    }
}

impl Refusal {
    /// The error code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::InternalError => "InternalError",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::SlowDown => "SlowDown",
            Self::ConditionalRequestConflict => "ConditionalRequestConflict",
            Self::AccessDenied => "AccessDenied",
            Self::SignatureDoesNotMatch => "SignatureDoesNotMatch",
            Self::ExpiredToken => "ExpiredToken",
            Self::RequestTimeTooSkewed => "RequestTimeTooSkewed",
            Self::RequestTimeout => "RequestTimeout",
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::InternalError => 500,
            Self::ServiceUnavailable | Self::SlowDown => 503,
            Self::ConditionalRequestConflict => 409,
            Self::AccessDenied | Self::SignatureDoesNotMatch | Self::RequestTimeTooSkewed => 403,
            Self::ExpiredToken | Self::RequestTimeout => 400,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(place: &str, key: &str) -> Asked {
        Asked { operation: "PutObject".to_owned(), place: place.to_owned(), key: key.to_owned() }
    }

    #[test]
    fn a_rule_picks_by_operation_place_key_and_count() {
        let faults = Faults::new();
        faults.add(Rule::new(Fault::AnswerLost).on("PutObject").at("eu").key("v1/log/").skip(1).times(2));
        let met = |asked: &Asked| faults.meet(asked).0;
        assert_eq!(met(&put("us", "v1/log/a")), None);
        assert_eq!(met(&put("eu", "v1/snap/a")), None);
        assert_eq!(met(&Asked { operation: "GetObject".to_owned(), ..put("eu", "v1/log/a") }), None);
        let met: Vec<bool> = (0..5).map(|_| met(&put("eu", "v1/log/a")).is_some()).collect();
        assert_eq!(met, [false, true, true, false, false]);
        assert_eq!(faults.injected(), BTreeMap::from([("AnswerLost", 2)]));
    }

    #[test]
    fn the_first_fault_applies_and_every_delay() {
        let (least, most) = (Duration::from_millis(80), Duration::from_millis(120));
        let faults = Faults::new();
        faults.latency(least, most);
        faults.add(Rule::new(Fault::Refuse(Refusal::SlowDown)).times(1));
        faults.add(Rule::new(Fault::ResetBefore));
        faults.latency(least, most);
        let (met, delay) = faults.meet(&put("eu", "a"));
        assert_eq!(met, Some(Fault::Refuse(Refusal::SlowDown)));
        assert!((2 * least..=2 * most).contains(&delay), "{delay:?}");
        assert_eq!(faults.meet(&put("eu", "a")).0, Some(Fault::ResetBefore));
        faults.clear();
        assert_eq!(faults.meet(&put("eu", "a")), (None, Duration::ZERO));
        assert_eq!(faults.injected(), BTreeMap::from([("Delay", 4), ("ResetBefore", 1), ("SlowDown", 1)]));
    }

    #[test]
    fn a_rate_repeats_with_its_seed() {
        let play = |seed| {
            let faults = Faults::new();
            faults.seed(seed);
            faults.add(Rule::new(Fault::ResetBefore).rate(0.2));
            (0..1_000).map(|_| faults.meet(&put("eu", "a")).0.is_some()).collect::<Vec<_>>()
        };
        assert_eq!(play(1), play(1));
        assert_ne!(play(1), play(2));
        let hits = play(1).into_iter().filter(|hit| *hit).count();
        assert!((150..250).contains(&hits), "{hits}");
    }
}
