//! What all servers share: principals, buckets, queues, topics. It outlives them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use s3s::dto::{BucketVersioningStatus, Checksum};
use tokio::sync::Notify;

use crate::{
    bucket::{Bucket, Demand, Object},
    deliveries::Deliveries,
    policy::{Caller, Context, Decision, Policy, Request, principal_arn},
    queues::Queue,
    random::Random,
    time::now,
    topics::Topic,
};

/// One account, in all regions. A clone is the same one.
///
/// Servers are started on it, and stopped; what is in it stays until the last clone is dropped.
#[derive(Clone)]
pub struct Cloud(Arc<State>);

struct State {
    principals: Mutex<Principals>,
    buckets: Mutex<BTreeMap<String, Bucket>>,
    /// By ARN, as the topics.
    queues: Mutex<BTreeMap<String, Queue>>,
    topics: Mutex<BTreeMap<String, Topic>>,
    /// Bucket to queue: the rules of EventBridge.
    bridges: Mutex<BTreeMap<String, String>>,
    deliveries: Deliveries,
    /// Something was put into some queue.
    arrived: Notify,
    random: Random,
    sequence: AtomicU64,
    is_plain_http_secure: AtomicBool,
}

#[derive(Default)]
struct Principals {
    policies: BTreeMap<String, Vec<Policy>>,
    /// By access key: the name, and the secret.
    keys: BTreeMap<String, (String, String)>,
}

/// What a principal signs with.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The public half.
    pub access_key: String,
    /// The half that must not be told.
    pub secret_key: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Keys").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

impl fmt::Debug for Cloud {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let buckets: BTreeSet<String> = self.buckets().keys().cloned().collect();
        out.debug_struct("Cloud").field("buckets", &buckets).finish_non_exhaustive()
    }
}

impl Default for Cloud {
    fn default() -> Self {
        Self::new()
    }
}

/// The principal that may do everything.
const ADMIN: &str = "admin";

const EVERYTHING: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;

impl Cloud {
    /// An account with nothing in it but a principal that may do everything.
    ///
    /// # Panics
    ///
    /// Never.
    #[must_use]
    pub fn new() -> Self {
        let cloud = Self(Arc::new(State {
            principals: Mutex::default(),
            buckets: Mutex::default(),
            queues: Mutex::default(),
            topics: Mutex::default(),
            bridges: Mutex::default(),
            deliveries: Deliveries::new(),
            arrived: Notify::new(),
            random: Random::new(0),
            sequence: AtomicU64::new(0x0055_aed6_dcd9_0281),
            is_plain_http_secure: AtomicBool::new(true),
        }));
        cloud.principal(ADMIN, &[EVERYTHING]).expect("the policy is well-formed");
        cloud
    }

    /// The keys of the principal that may do everything that no resource forbids.
    #[must_use]
    pub fn admin(&self) -> Keys {
        self.keys_of(ADMIN)
    }

    /// A principal that may do what these policies allow, and its keys. Of one that is there the policies are replaced.
    ///
    /// # Errors
    ///
    /// A policy that is malformed, or that says what this server does not know: what it is.
    pub fn principal(&self, name: &str, policies: &[&str]) -> Result<Keys, String> {
        let policies = policies.iter().map(|json| Policy::of_principal(json)).collect::<Result<_, _>>()?;
        let keys = self.keys_of(name);
        let mut principals = self.principals();
        principals.policies.insert(name.to_owned(), policies);
        principals.keys.insert(keys.access_key.clone(), (name.to_owned(), keys.secret_key.clone()));
        drop(principals);
        Ok(keys)
    }

    /// Whether policies see plain HTTP as `aws:SecureTransport`. They do at first, since there is no TLS here and a policy
    /// that demands it would refuse everything; set to false, it does.
    pub fn count_plain_http_as_secure(&self, is_secure: bool) {
        self.0.is_plain_http_secure.store(is_secure, Ordering::SeqCst);
    }

    /// Creates an empty bucket, or leaves the one that is there.
    pub fn create_bucket(&self, name: &str, region: &str) {
        self.buckets().entry(name.to_owned()).or_insert_with(|| Bucket::new(region, now()));
    }

    /// Keeps the versions of a bucket from now on, if it is there.
    pub fn keep_versions(&self, bucket: &str) {
        if let Some(bucket) = self.buckets().get_mut(bucket) {
            bucket.versioning = Some(BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED));
        }
    }

    /// The keys of a bucket that hold an object, in order; none if there is no such bucket.
    #[must_use]
    pub fn keys_in(&self, bucket: &str) -> Vec<String> {
        self.buckets().get(bucket).map_or(Vec::new(), |bucket| bucket.keys().cloned().collect())
    }

    /// What a key holds.
    #[must_use]
    pub fn object(&self, bucket: &str, key: &str) -> Option<Bytes> {
        Some(self.buckets().get(bucket)?.get(key)?.object.as_ref()?.bytes.clone())
    }

    /// Overwrites a key behind everybody's back, as no client may: damage, or a bucket rolled back.
    ///
    /// # Panics
    ///
    /// If there is no such bucket.
    pub fn overwrite(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) {
        let object = Object::plain(bytes.into(), Checksum::default(), now());
        let mut buckets = self.buckets();
        let bucket = buckets.get_mut(bucket).expect("the bucket is there");
        bucket.put(key, object, &Demand::Nothing).expect("nothing is demanded");
    }

    /// Removes a key behind everybody's back, with all its versions.
    pub fn forget(&self, bucket: &str, key: &str) {
        if let Some(bucket) = self.buckets().get_mut(bucket) {
            bucket.forget(key);
        }
    }

    /// Has EventBridge pass the events of a bucket on to a queue, given by its ARN, once the bucket sends them to EventBridge
    /// and the queue lets `events.amazonaws.com` in.
    pub fn bridge(&self, bucket: &str, queue_arn: &str) {
        self.bridges().insert(bucket.to_owned(), queue_arn.to_owned());
    }

    /// How events are delivered.
    #[must_use]
    pub fn deliveries(&self) -> &Deliveries {
        &self.0.deliveries
    }

    /// Whether an identity's own policies and that of the resource allow a request.
    pub(crate) fn allows(&self, request: &Request<'_>, of_resource: Option<&Policy>) -> bool {
        let principals = self.principals();
        let own = match request.caller {
            Caller::Principal(name) => principals.policies.get(name).map_or(&[][..], Vec::as_slice),
            Caller::Service(_) => &[],
        };
        own.iter().chain(of_resource).map(|policy| policy.decide(request)).max() == Some(Decision::Allow)
    }

    /// The name and the secret of whoever has this access key.
    pub(crate) fn holder_of(&self, access_key: &str) -> Option<(String, String)> {
        self.principals().keys.get(access_key).cloned()
    }

    /// What policies know of every request of a principal.
    pub(crate) fn context_of(&self, name: &str) -> Context {
        let secure = self.0.is_plain_http_secure.load(Ordering::SeqCst);
        [
            ("aws:securetransport", secure.to_string()),
            ("aws:principalarn", principal_arn(name)),
            ("aws:username", name.to_owned()),
            ("aws:principalaccount", crate::policy::ACCOUNT.to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    /// A number that grows with each change: the `sequencer` of events.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.0.sequence.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn buckets(&self) -> MutexGuard<'_, BTreeMap<String, Bucket>> {
        self.0.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn queues(&self) -> MutexGuard<'_, BTreeMap<String, Queue>> {
        self.0.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn topics(&self) -> MutexGuard<'_, BTreeMap<String, Topic>> {
        self.0.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn bridge_of(&self, bucket: &str) -> Option<String> {
        self.bridges().get(bucket).cloned()
    }

    pub(crate) fn arrived(&self) -> &Notify {
        &self.0.arrived
    }

    fn bridges(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.bridges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn random(&self) -> &Random {
        &self.0.random
    }

    fn principals(&self) -> MutexGuard<'_, Principals> {
        self.0.principals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same in each run, so that what is printed can be compared.
    fn keys_of(&self, name: &str) -> Keys {
        let digits: String = name.bytes().map(|byte| format!("{byte:02X}")).collect();
        Keys { access_key: format!("AKIA{digits:0>16}"), secret_key: format!("secret+of/{name}") }
    }
}
