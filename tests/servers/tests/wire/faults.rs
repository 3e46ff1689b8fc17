//! Each fault, as a client sees it, and what is left in the bucket.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use crate::client::{Reply, Request};
use servers::{Cloud, Fault, Keys, Refusal, Rule, S3Server};

struct Stage {
    cloud: Cloud,
    server: S3Server,
    admin: Keys,
}

impl Stage {
    /// A bucket with 4,000 bytes under `k`.
    fn new() -> Self {
        let cloud = Cloud::new();
        cloud.create_bucket("europe", "eu-west-1");
        cloud.overwrite("europe", "k", body());
        let server = S3Server::start(&cloud).expect("a port is free");
        let admin = cloud.admin();
        Self { cloud, server, admin }
    }

    fn once(&self, fault: Fault) {
        self.server.faults().add(Rule::new(fault).times(1));
    }

    fn send(&self, request: &Request) -> std::io::Result<Reply> {
        request.send(self.server.address(), &self.admin)
    }

    fn get(&self) -> std::io::Result<Reply> {
        self.send(&Request::s3("GET", "/europe/k").header("x-amz-checksum-mode", "ENABLED"))
    }

    fn create(&self) -> std::io::Result<Reply> {
        self.send(&Request::s3("PUT", "/europe/new").header("if-none-match", "*").body("hello"))
    }

    fn is_created(&self) -> bool {
        self.cloud.object("europe", "new").is_some()
    }
}

fn body() -> Vec<u8> {
    (0..4_000_u32).flat_map(u32::to_le_bytes).take(4_000).collect()
}

#[test]
fn a_refusal_says_what_s3_says_and_has_no_effect() {
    let stage = Stage::new();
    for (refusal, status) in [
        (Refusal::InternalError, 500),
        (Refusal::ServiceUnavailable, 503),
        (Refusal::SlowDown, 503),
        (Refusal::ConditionalRequestConflict, 409),
        (Refusal::AccessDenied, 403),
        (Refusal::SignatureDoesNotMatch, 403),
        (Refusal::ExpiredToken, 400),
        (Refusal::RequestTimeTooSkewed, 403),
        (Refusal::RequestTimeout, 400),
    ] {
        stage.once(Fault::Refuse(refusal));
        let reply = stage.create().expect("it answers");
        assert_eq!((reply.status, reply.xml("Code").as_deref()), (status, Some(refusal.code())));
        assert!(!stage.is_created(), "{refusal:?}");
    }
    assert_eq!(stage.server.faults().injected()["SlowDown"], 1);
    let count = stage.server.meter().of("PutObject");
    assert_eq!((count.requests, count.refused, count.failed, count.cut, count.bytes_in), (9, 6, 3, 0, 45));
}

#[test]
fn a_refusal_after_the_effect_leaves_it() {
    let stage = Stage::new();
    stage.once(Fault::RefuseAfterEffect(Refusal::InternalError));
    assert_eq!(stage.create().expect("it answers").status, 500);
    assert!(stage.is_created());
    assert_eq!(stage.create().expect("it answers").status, 412, "whoever repeats it finds the slot taken");
}

#[test]
fn a_reset_is_a_reset_and_its_effect_is_as_named() {
    for (fault, is_created) in [(Fault::ResetBefore, false), (Fault::ResetInRequest, false), (Fault::AnswerLost, true)]
    {
        let stage = Stage::new();
        stage.once(fault);
        let error = stage.create().expect_err("there is no answer");
        assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{fault:?}: {error:?}");
        assert_eq!(stage.is_created(), is_created, "{fault:?}");
        assert_eq!(stage.server.meter().of("PutObject").cut, 1);
        assert!(stage.create().is_ok(), "the next one is answered");
    }
}

#[test]
fn a_reset_in_the_answer_comes_after_half_of_it() {
    let stage = Stage::new();
    stage.once(Fault::ResetInAnswer);
    let error = stage.get().expect_err("the body breaks off");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error:?}");
    assert_eq!(stage.get().expect("it answers").body, body());
}

#[test]
fn a_wrong_length_is_announced_and_not_kept() {
    let stage = Stage::new();
    stage.once(Fault::WrongLength(100));
    assert!(stage.get().is_err(), "100 bytes never come");
    stage.once(Fault::WrongLength(-100));
    let reply = stage.get().expect("it answers");
    assert_eq!((reply.header("content-length"), &reply.body[..3_900]), (Some("3900"), &body()[..3_900]));
}

#[test]
fn damage_on_the_way_is_for_the_other_side_to_find() {
    let stage = Stage::new();
    stage.once(Fault::FlipAnswer);
    let flipped = stage.get().expect("it answers").body;
    let differing: u32 = flipped.iter().zip(body()).map(|(one, other)| (one ^ other).count_ones()).sum();
    assert_eq!((flipped.len(), differing), (4_000, 1));
    let put = |name: &str, value: &str| {
        stage.once(Fault::FlipRequest);
        stage.send(&Request::s3("PUT", "/europe/new").header(name, value).body("hello")).expect("it answers")
    };
    let reply = put("x-amz-checksum-crc64nvme", "M3eFcAZSQlc=");
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert!(!stage.is_created());
}

#[test]
fn a_wrong_checksum_is_well_formed_and_wrong() {
    let stage = Stage::new();
    let right = "M3eFcAZSQlc=";
    let put = Request::s3("PUT", "/europe/k").header("x-amz-checksum-crc64nvme", right).body("hello");
    assert_eq!(stage.send(&put).expect("it answers").status, 200);
    stage.once(Fault::WrongChecksum);
    let reply = stage.get().expect("it answers");
    let wrong = reply.header("x-amz-checksum-crc64nvme").expect("it is there").to_owned();
    assert_eq!((reply.text().as_str(), wrong.len()), ("hello", right.len()));
    assert_ne!(wrong, right);
    assert_eq!(reply.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
}

#[test]
fn slow_is_slow_and_whole() {
    let stage = Stage::new();
    let took = |fault| {
        stage.once(fault);
        let began = Instant::now();
        assert_eq!(stage.get().expect("it answers").body, body());
        began.elapsed()
    };
    assert!(took(Fault::SlowAnswer { pieces: 10, pause: Duration::from_millis(20) }) >= Duration::from_millis(200));
    let (least, most) = (Duration::from_millis(80), Duration::from_millis(90));
    assert!(took(Fault::Delay { least, most }) >= least);
}
