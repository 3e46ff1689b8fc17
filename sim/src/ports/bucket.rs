//! A bucket in virtual time, whose requests take time and fail as they are told to.
//! Layer 2.

use std::{
    fmt,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use replica::ports::{Answer, Bucket, BucketError, Created, Outcome, Page, check_key, check_prefix};

use super::{
    faults::{Fault, Faults, Lists, Request, Way},
    gate::{Gate, Moment},
    hints::SimHints,
    journal::{Teller, What},
    link::{Link, Plan, Requests},
    store::{Damage, Effect, Happened, Image, Store, damaged, hash, stale_ns},
};
use crate::{
    machine::{World, nanoseconds},
    random::Random,
};

/// A bucket as one party sees it: a store, and a link to it.
///
/// Clones share both. [`SimBucket::link`] gives another party a link of its own to the same store: what is unreachable or
/// slow for one is not for another.
///
/// A request takes a time from its link's latency, a random part of which passes before it has its effect. A create or
/// delete that is under way when its caller is dropped is on its way all the same, and has its effect in half the cases.
#[derive(Clone)]
pub struct SimBucket {
    world: World,
    store: Arc<Mutex<Store>>,
    link: Arc<Mutex<Link>>,
}

impl SimBucket {
    /// An empty store, and a link to it. The name makes its faults and delays others than those of other links.
    #[must_use]
    pub fn new(world: &World, name: &str, faults: Faults) -> Self {
        Self { world: world.clone(), store: Arc::default(), link: Link::shared(world, name, faults, 0) }
    }

    /// Another link to the same store.
    #[must_use]
    pub fn link(&self, name: &str, faults: Faults) -> Self {
        let number = {
            let mut store = self.store();
            store.links += 1;
            store.links
        };
        let (world, store) = (self.world.clone(), Arc::clone(&self.store));
        Self { world, store, link: Link::shared(&self.world, name, faults, number) }
    }

    /// Has this link's lists believed as far as `lists` says of their prefix. Without this all of them meet faults.
    #[must_use]
    pub fn with_lists(self, lists: fn(&str) -> Lists) -> Self {
        self.ours().lists = lists;
        self
    }

    /// Has the process at this end of the link be one that is polled through a gate.
    #[must_use]
    pub fn behind(self, gate: &Gate) -> Self {
        self.ours().gate = Some(gate.clone());
        self
    }

    /// Which of the links to its store this is.
    pub(crate) fn number(&self) -> u32 {
        self.ours().number
    }

    /// Other faults from now on, for this link.
    pub fn set_faults(&self, faults: Faults) {
        self.ours().faults = faults;
    }

    /// Cuts this link between two times since the beginning. What arrives then has no effect; where only the answer is
    /// lost, the caller cannot know.
    pub fn unreachable(&self, times: Range<Duration>) {
        self.ours().unreachable.push((Way::Both, nanoseconds(times.start)..nanoseconds(times.end)));
    }

    /// The same for all links to the store, one way or both.
    pub fn away(&self, way: Way, times: Range<Duration>) {
        self.store().away.push((way, nanoseconds(times.start)..nanoseconds(times.end)));
    }

    /// Ends every outage of the store.
    pub fn back(&self) {
        self.store().away.clear();
    }

    /// Has a request over this link meet a fault: the next one of this sort, after `skip` others that go by.
    pub fn meet(&self, request: Request, fault: Fault, skip: u64) {
        self.ours().armed.push_back((request, fault, skip));
    }

    /// Decides what becomes of creates and deletes that are under way when their caller is dropped. Without this each has its
    /// effect in half the cases.
    pub fn left_alone(&self, lands: bool) {
        self.ours().alone = Some(lands);
    }

    /// Has this link tell what is asked over it.
    pub(crate) fn tell_all(&self, teller: Teller) {
        self.ours().teller = Some(teller);
    }

    /// Has `hints` tell of every object that is created in this store from now on, over whatever link.
    pub fn tell(&self, hints: &SimHints) {
        self.store().listeners.push(hints.clone());
    }

    /// What this link has been asked.
    #[must_use]
    pub fn requests(&self) -> Requests {
        self.ours().requests
    }

    /// How many requests over this link were under way at once at most.
    #[must_use]
    pub fn under_way_max(&self) -> u64 {
        self.ours().under_way_max
    }

    /// How many requests over this link have met a fault.
    #[must_use]
    pub fn met(&self, fault: Fault) -> u64 {
        self.ours().met[fault as usize]
    }

    /// Everything in the store, to go back to later.
    #[must_use]
    pub fn image(&self) -> Image {
        self.store().image()
    }

    /// Puts the store back to what it was. [`Image::default`] empties it.
    pub fn restore(&self, image: &Image) {
        self.store().restore(image);
    }

    /// Damages an object at rest. False if there is none.
    #[must_use]
    pub fn damage(&self, key: &str, damage: Damage) -> bool {
        self.store().damage(key, damage)
    }

    /// All keys in the store, at once and without a request.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.store().keys()
    }

    /// An object of the store, at once and without a request.
    #[must_use]
    pub fn peek(&self, key: &str) -> Option<Bytes> {
        self.store().get(key).cloned()
    }

    /// From now on the store remembers every key that is created, also of what is deleted later.
    pub fn keep_journal(&self) {
        self.store().journal.get_or_insert_default();
    }

    /// What was first created under this key, as far as the store remembers that.
    #[must_use]
    pub fn created(&self, key: &str) -> Option<Bytes> {
        self.store().journal.as_ref()?.get(key).cloned()
    }

    /// Puts an object there, at once, without a request and without a word in the journal.
    pub fn plant(&self, key: &str, body: Bytes) {
        let now = self.now();
        self.store().plant(key, body, now);
    }

    /// Deletes objects, at once and without a request: what an operator does.
    pub fn clear(&self, which: impl Fn(&str) -> bool) {
        let (now, keys) = (self.now(), self.keys());
        let mut store = self.store();
        keys.iter().filter(|key| which(key)).for_each(|key| _ = store.delete(key, now));
    }

    /// What has happened to the store since this was asked last, if it keeps a journal.
    pub(crate) fn take_happened(&self) -> Vec<Happened> {
        std::mem::take(&mut self.store().happened)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ours(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        self.world.state().now
    }

    /// Decides how a request goes, and makes it a part of the trace.
    fn plan(&self, request: Request, key: &str) -> Plan {
        let mut ours = self.ours();
        let link = &mut *ours;
        link.requests.count(request);
        let _under_way = link.begin();
        let lists = (link.lists)(key);
        let by_chance = link.faults.draw(request, &mut link.random);
        let is_sound = matches!(request, Request::List | Request::Folders) && lists != Lists::Faulty;
        let of_lists = |fault: &Fault| matches!(fault, Fault::StaleList | Fault::PartialList | Fault::GhostKeys);
        let fault = link.armed(request).or(by_chance).filter(|fault| !(is_sound && of_lists(fault)));
        link.asked(self.world.now(), request, key, fault);
        let draw = link.random.next();
        if let Some(fault) = fault {
            link.met[fault as usize] += 1;
        }
        let (shortest, longest) = link.faults.latency;
        let (shortest, longest) = (nanoseconds(shortest), nanoseconds(longest));
        let slower = if fault == Some(Fault::Slow) { 100 } else { 1 };
        let all = (shortest + link.random.below(longest.saturating_sub(shortest) + 1)) * slower;
        let there = link.random.below(all + 1);
        drop(ours);
        let mut state = self.world.state();
        state.trace.note(hash(key.as_bytes(), request as u64));
        state.trace.note(all ^ fault.map_or(0, |fault| (fault as u64 + 1) << 56));
        Plan { there, back: all - there, fault, draw, _under_way }
    }

    /// Notes the end of a request, with what stands for its answer.
    fn note<T>(&self, answer: &Result<T, BucketError>, of: impl FnOnce(&T) -> u64) {
        self.world.note(answer.as_ref().map_or_else(|error| u64::MAX - error.outcome as u64, of));
    }

    /// Whether the store cannot be reached at present.
    fn is_cut(&self, request: Request) -> bool {
        let now = self.now();
        let is_now = |(way, times): &(Way, Range<u64>)| way.concerns(request) && times.contains(&now);
        let is_away = self.store().away.iter().any(is_now);
        let mut link = self.ours();
        let cut = is_away || link.unreachable.iter().any(is_now);
        link.met[Fault::Unreachable as usize] += u64::from(cut);
        cut
    }

    /// A create or a delete: an effect on its way, which does not need the caller any more.
    async fn change<T: Send + 'static>(
        &self,
        request: Request,
        key: &str,
        moment: Option<Moment>,
        change: impl FnOnce(&mut Store, u64) -> Result<(T, Effect), BucketError> + Send + 'static,
    ) -> Result<(T, Option<Fault>), BucketError> {
        self.end_at(moment, false).await;
        let plan = self.plan(request, key);
        if let Some(outcome) = plan.no_effect() {
            self.world.sleep_ns(plan.there + plan.back).await;
            let (at, link, key_of, fault) = (self.now(), self.number(), key.to_owned(), plan.fault);
            let mut store = self.store();
            if store.journal.is_some() {
                let what = Effect::Nothing;
                store.happened.push(Happened { at, link, key: key_of, what, fault, alone: false, moment });
            }
            return Err(lost(outcome, request, key));
        }
        let late = match plan.fault {
            Some(Fault::Late) => {
                let most = nanoseconds(self.ours().faults.late_max);
                plan.back + 1 + self.ours().random.below(most)
            }
            _ => 0,
        };
        let result = Arc::new(Mutex::new(None));
        let (there, given, of, fault) = (self.clone(), Arc::clone(&result), key.to_owned(), plan.fault);
        self.world.after_ns(plan.there + late, move || {
            // SUBTLE: without its caller a request may still arrive, and it may not.
            let alone = Arc::strong_count(&given) == 1;
            let lands = there.ours().alone;
            let arrives = !alone || late > 0 || lands.unwrap_or(plan.draw.is_multiple_of(2));
            if alone {
                there.tell_alone(request, &of, arrives);
            }
            if arrives && !there.is_cut(request) {
                let (now, link) = (there.now(), there.number());
                let answer = {
                    let mut store = there.store();
                    let answer = change(&mut store, now);
                    answer.map(|(answer, what)| {
                        if store.journal.is_some() {
                            store.happened.push(Happened { at: now, link, key: of, what, fault, alone, moment });
                        }
                        answer
                    })
                };
                there.note(&answer, |_| now);
                *given.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
            }
        });
        self.world.sleep_ns(plan.there + plan.back).await;
        self.end_at(moment, true).await;
        let answer = result.lock().unwrap_or_else(PoisonError::into_inner).take();
        match answer {
            _ if matches!(plan.fault, Some(Fault::Late | Fault::AnswerLost)) => {}
            None => return Err(lost(Outcome::Unavailable, request, key)),
            Some(answer) => {
                if !self.is_cut(request) {
                    return answer.map(|value| (value, plan.fault));
                }
            }
        }
        Err(lost(Outcome::Indeterminate, request, key))
    }

    /// Where the process is to end at this request it goes no further.
    async fn end_at(&self, moment: Option<Moment>, after: bool) {
        let gate = self.ours().gate.clone();
        if gate.is_some_and(|gate| gate.ends_at(moment, after)) {
            std::future::pending::<()>().await;
        }
    }

    /// A request that only reads: what is read is what is there when it arrives.
    async fn read<T>(
        &self,
        request: Request,
        key: &str,
        read: impl FnOnce(&Store, &Plan) -> T,
    ) -> Result<(T, Plan), BucketError> {
        let moment = Moment::of(request, key, &[]);
        self.end_at(moment, false).await;
        let plan = self.plan(request, key);
        self.world.sleep_ns(plan.there).await;
        let outcome = plan.no_effect().or_else(|| self.is_cut(request).then_some(Outcome::Unavailable));
        let value = read(&self.store(), &plan);
        self.world.sleep_ns(plan.back).await;
        self.end_at(moment, true).await;
        match outcome.or_else(|| self.is_cut(request).then_some(Outcome::Unavailable)) {
            Some(outcome) => Err(lost(outcome, request, key)),
            None => Ok((value, plan)),
        }
    }

    async fn get_some(&self, key: &str, range: Option<(u64, u64)>) -> Result<Option<Bytes>, BucketError> {
        check_key(key)?;
        let request = if range.is_some() { Request::Range } else { Request::Get };
        let (body, plan) = self
            .read(request, key, |store, plan| {
                let there = store.get(key)?;
                let wrong = (plan.fault == Some(Fault::WrongBody)).then(|| store.another(key, plan.draw)).flatten();
                Some(wrong.unwrap_or(there).clone())
            })
            .await?;
        let Some(mut body) = body else { return Ok(None) };
        if let Some((start, length)) = range {
            let clamp = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(body.len());
            body = body.slice(clamp(start)..clamp(start.saturating_add(length)));
        }
        let draw = usize::try_from(plan.draw).unwrap_or(0);
        match plan.fault {
            Some(Fault::Truncated) => body = damaged(&body, Damage::Truncate(draw % (body.len() + 1))),
            Some(Fault::Flipped) => body = damaged(&body, Damage::Flip(draw)),
            _ => {}
        }
        self.ours().requests.received += body.len() as u64;
        Ok(Some(body))
    }

    /// Tells that a request's caller is gone.
    fn tell_alone(&self, request: Request, key: &str, lands: bool) {
        let teller = self.ours().teller.clone();
        if let Some(teller) = teller {
            let (bucket, key) = (teller.bucket, key.to_owned());
            teller.tell(self.world.now(), What::Alone { bucket, request, key, lands });
        }
    }

    /// Who tells what becomes of a request, if everything is told.
    fn telling(&self) -> Option<Teller> {
        self.ours().teller.clone().filter(|teller| teller.journal.has_all())
    }

    /// Tells of an answer, and passes it on.
    fn answered<T>(
        &self,
        request: Request,
        key: &str,
        answer: Result<T, BucketError>,
        says: impl FnOnce(&T) -> String,
    ) -> Result<T, BucketError> {
        if let Some(teller) = self.telling() {
            let says = answer.as_ref().map_or_else(|error| format!("{:?}", error.outcome), says);
            let (bucket, key) = (teller.bucket, key.to_owned());
            teller.tell(self.world.now(), What::Answered { bucket, request, key, answer: says });
        }
        answer
    }

    /// What a list shows.
    fn page(&self, store: &Store, plan: &Plan, prefix: &str, after: Option<&str>, limit: usize) -> Page {
        match plan.fault {
            Some(Fault::StaleList) => {
                let most = stale_ns(self.ours().faults.stale_max);
                let at = self.now().saturating_sub(1 + plan.draw % most.max(1));
                store.list_at(at, prefix, after, limit)
            }
            Some(Fault::GhostKeys) => store.list_with_ghosts(prefix, after, limit),
            Some(Fault::PartialList) => {
                let mut page = store.list(prefix, after, limit);
                let all = page.objects.clone();
                page.objects.retain(|stored| Random::new(hash(stored.key.as_bytes(), plan.draw)).chance(500_000));
                if page.more && page.objects.is_empty() {
                    page.objects = all;
                }
                page
            }
            _ if (self.ours().lists)(prefix) == Lists::Empty => Page::default(),
            _ => store.list(prefix, after, limit),
        }
    }
}

impl Bucket for SimBucket {
    fn create<'a>(&'a self, key: &'a str, body: Bytes) -> Answer<'a, Result<Created, BucketError>> {
        Box::pin(async move {
            check_key(key)?;
            self.ours().requests.sent += body.len() as u64;
            self.world.note(hash(&body, 0));
            let (owned, telling) = (key.to_owned(), self.telling());
            let moment = Moment::of(Request::Create, key, &body);
            let change = move |store: &mut Store, now| {
                let created = store.create(&owned, body.clone(), now)?;
                if created == Created::New {
                    landed(telling, now, &owned, Some(body.clone()));
                    store.listeners.iter().for_each(|hints| hints.created(&owned));
                    return Ok((created, Effect::Created(body)));
                }
                let same = store.get(&owned) == Some(&body);
                Ok((created, Effect::Exists { same }))
            };
            let answer = self.change(Request::Create, key, moment, change).await;
            match self.answered(Request::Create, key, answer, |(created, _)| format!("{created:?}"))? {
                (Created::New, Some(Fault::OwnExists)) => Ok(Created::Exists),
                (created, _) => Ok(created),
            }
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        Box::pin(async move {
            let answer = self.get_some(key, None).await;
            self.answered(Request::Get, key, answer, size)
        })
    }

    fn get_range<'a>(
        &'a self,
        key: &'a str,
        start: u64,
        length: u64,
    ) -> Answer<'a, Result<Option<Bytes>, BucketError>> {
        Box::pin(async move {
            let answer = self.get_some(key, Some((start, length))).await;
            self.answered(Request::Range, key, answer, size)
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, Result<Page, BucketError>> {
        Box::pin(async move {
            check_prefix(prefix)?;
            let limit = limit.max(1);
            let read = |store: &Store, plan: &Plan| self.page(store, plan, prefix, after, limit);
            let answer = self.read(Request::List, prefix, read).await.map(|(page, _)| page);
            self.answered(Request::List, prefix, answer, |page| format!("{} keys", page.objects.len()))
        })
    }

    fn folders<'a>(&'a self, prefix: &'a str) -> Answer<'a, Result<Vec<String>, BucketError>> {
        Box::pin(async move {
            check_prefix(prefix)?;
            let read = |store: &Store, plan: &Plan| match plan.fault {
                Some(Fault::StaleList | Fault::PartialList | Fault::GhostKeys) => {
                    Store::folders_of(&self.page(store, plan, prefix, None, usize::MAX), prefix)
                }
                _ if (self.ours().lists)(prefix) == Lists::Empty => Vec::new(),
                _ => store.folders(prefix),
            };
            let answer = self.read(Request::Folders, prefix, read).await.map(|(folders, _)| folders);
            self.answered(Request::Folders, prefix, answer, |folders| format!("{} folders", folders.len()))
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> Answer<'a, Result<(), BucketError>> {
        Box::pin(async move {
            check_key(key)?;
            let (owned, telling) = (key.to_owned(), self.telling());
            let change = move |store: &mut Store, now| {
                let what = if store.delete(&owned, now) { Effect::Deleted } else { Effect::NotThere };
                landed(telling, now, &owned, None);
                Ok(((), what))
            };
            let moment = Moment::of(Request::Delete, key, &[]);
            let answer = self.change(Request::Delete, key, moment, change).await.map(|_| ());
            self.answered(Request::Delete, key, answer, |()| "done".to_owned())
        })
    }
}

impl fmt::Debug for SimBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimBucket").field("requests", &self.requests()).finish_non_exhaustive()
    }
}

/// Tells that a request has had its effect.
fn landed(telling: Option<Teller>, now: u64, key: &str, created: Option<Bytes>) {
    if let Some(teller) = telling {
        let (bucket, key) = (teller.bucket, key.to_owned());
        teller.tell(Duration::from_nanos(now), What::Landed { bucket, key, created });
    }
}

fn size(body: &Option<Bytes>) -> String {
    body.as_ref().map_or_else(|| "nothing".to_owned(), |body| format!("{} bytes", body.len()))
}

fn lost(outcome: Outcome, request: Request, key: &str) -> BucketError {
    BucketError::new(outcome, format!("simulated fault: request={request:?} key={key:?}"))
}
