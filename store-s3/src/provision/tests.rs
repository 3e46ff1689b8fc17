//! The plan against what is there, and what is printed of it.

use aws_sdk_s3::types::{
    Event, FilterRule, FilterRuleName, NotificationConfiguration, NotificationConfigurationFilter, S3KeyFilter,
    TopicConfiguration,
};
use serde_json::{Value, json};

use super::{
    compare::{self, Fault, HINT_SECONDS, LETTER_SECONDS, Part, compare},
    found::{Attributes, Found, FoundBucket, FoundTopic},
    plan::{Place, Plan, tests::plan},
    policy::{self, Role},
};

const ACCOUNT: &str = "123456789012";

/// A region in which everything is as it must be, written as a service writes it.
fn whole(plan: &Plan, site: &Place) -> Found {
    let text = |value: Option<Value>| value.expect("it is in the plan").to_string();
    let attributes = |pairs: &[(&str, String)]| -> Attributes {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    };
    // Services give back numbers as text, and sort as they like.
    let redrive = policy::redrive(site, ACCOUNT).expect("a queue")["deadLetterTargetArn"].clone();
    Found {
        bucket: Some(FoundBucket {
            is_versioned: true,
            blocked: [true; 4],
            encryption: Some(("AES256".to_owned(), None)),
            rules: vec![compare::versions(site), compare::uploads(site)],
            policy: Some(policy::document(&[policy::tls_only(site)])),
            notifications: notifications(
                &site.topic_arn(ACCOUNT).expect("a topic"),
                &site.logs(),
                "s3:ObjectCreated:*",
            ),
        }),
        queue: Some(attributes(&[
            ("RedrivePolicy", json!({"maxReceiveCount": "5", "deadLetterTargetArn": redrive}).to_string()),
            ("MessageRetentionPeriod", HINT_SECONDS.to_string()),
            ("SqsManagedSseEnabled", "true".to_owned()),
            ("Policy", text(policy::queue(plan, site, ACCOUNT))),
        ])),
        dead_letters: Some(attributes(&[
            ("RedriveAllowPolicy", text(policy::dead_letters_of(site, ACCOUNT))),
            ("MessageRetentionPeriod", LETTER_SECONDS.to_string()),
            ("SqsManagedSseEnabled", "true".to_owned()),
        ])),
        topic: Some(FoundTopic {
            policy: policy::topic(site, ACCOUNT),
            queues: plan.listeners_of(site).filter_map(|listener| listener.queue_arn(ACCOUNT)).collect(),
        }),
    }
}

fn notifications(topic: &str, prefix: &str, event: &str) -> NotificationConfiguration {
    let rule = FilterRule::builder().name(FilterRuleName::from("Prefix")).value(prefix).build();
    let filter = S3KeyFilter::builder().filter_rules(rule).build();
    let filter = NotificationConfigurationFilter::builder().key(filter).build();
    let told = TopicConfiguration::builder().topic_arn(topic).events(Event::from(event)).filter(filter).build();
    NotificationConfiguration::builder().topic_configurations(told.expect("a configuration")).build()
}

fn differences(plan: &Plan, site: &Place, found: &Found) -> Vec<(Part, Fault)> {
    let differences = compare(plan, site, Some(ACCOUNT), found).into_iter();
    let mut differences: Vec<_> = differences.map(|difference| (difference.part, difference.fault)).collect();
    // Of a policy each statement is told.
    differences.dedup();
    differences
}

#[test]
fn where_everything_is_there_nothing_differs() {
    let plan = plan();
    for site in &plan.sites {
        assert_eq!(compare(&plan, site, Some(ACCOUNT), &whole(&plan, site)), []);
    }
}

#[test]
fn where_nothing_is_there_everything_that_has_a_name_is_missing() {
    let plan = plan();
    let missing = [Part::Bucket, Part::DeadLetterQueue, Part::Queue, Part::Topic].map(|part| (part, Fault::Missing));
    assert_eq!(differences(&plan, &plan.sites[0], &Found::default()), missing);
}

#[test]
fn every_single_deviation_is_found() {
    type Deviation = (&'static str, Part, Fault, fn(&mut Found, &Place));
    fn bucket(found: &mut Found) -> &mut FoundBucket {
        found.bucket.as_mut().expect("a bucket")
    }
    fn set(attributes: &mut Option<Attributes>, name: &str, value: &str) {
        attributes.as_mut().expect("a queue").insert(name.to_owned(), value.to_owned());
    }
    fn unset(attributes: &mut Option<Attributes>, name: &str) {
        attributes.as_mut().expect("a queue").remove(name);
    }
    fn open(resource: &str) -> String {
        let anybody = json!({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": resource});
        policy::document(&[anybody]).to_string()
    }
    /// The policy with its first condition left out.
    fn unconditional(policy: Option<&Value>) -> Value {
        let mut policy = policy.expect("a policy").clone();
        policy["Statement"][0].as_object_mut().expect("a statement").remove("Condition");
        policy
    }
    let deviations: [Deviation; 26] = [
        ("no versions", Part::Versioning, Fault::Missing, |found, _| bucket(found).is_versioned = false),
        ("a way in", Part::PublicAccess, Fault::Wider, |found, _| bucket(found).blocked[2] = false),
        ("in the clear", Part::Encryption, Fault::Missing, |found, _| bucket(found).encryption = None),
        ("uploads stay", Part::Lifecycle, Fault::Missing, |found, _| drop(bucket(found).rules.remove(1))),
        ("versions stay", Part::Lifecycle, Fault::Missing, |found, _| drop(bucket(found).rules.remove(0))),
        ("versions go at once", Part::Lifecycle, Fault::Missing, |found, _| {
            let expires = bucket(found).rules[0].noncurrent_version_expiration.as_mut().expect("it expires");
            expires.noncurrent_days = Some(1);
        }),
        ("no policy", Part::BucketPolicy, Fault::Missing, |found, _| bucket(found).policy = None),
        ("anybody reads", Part::BucketPolicy, Fault::Wider, |found, site| {
            let anybody = json!({"Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": "s3:GetObject",
                "Resource": site.objects_arn("")});
            bucket(found).policy = Some(policy::document(&[policy::tls_only(site), anybody]));
        }),
        ("nobody is told", Part::Notification, Fault::Missing, |found, _| {
            bucket(found).notifications = NotificationConfiguration::builder().build();
        }),
        ("too much is told", Part::Notification, Fault::Wider, |found, site| {
            let topic = site.topic_arn(ACCOUNT).expect("a topic");
            bucket(found).notifications = notifications(&topic, site.bucket.prefix(), "s3:ObjectCreated:*");
        }),
        ("the wrong things are told", Part::Notification, Fault::Missing, |found, site| {
            let topic = site.topic_arn(ACCOUNT).expect("a topic");
            bucket(found).notifications = notifications(&topic, "elsewhere/", "s3:ObjectCreated:*");
        }),
        ("the wrong topic is told", Part::Notification, Fault::Missing, |found, site| {
            let topic = "arn:aws:sns:us-east-1:123456789012:another";
            bucket(found).notifications = notifications(topic, &site.logs(), "s3:ObjectCreated:*");
        }),
        ("no dead letters", Part::QueueSettings, Fault::Missing, |found, _| unset(&mut found.queue, "RedrivePolicy")),
        ("letters go at the first failure", Part::QueueSettings, Fault::Missing, |found, site| {
            let redrive = json!({"deadLetterTargetArn": site.dead_letters_arn(ACCOUNT), "maxReceiveCount": 1});
            set(&mut found.queue, "RedrivePolicy", &redrive.to_string());
        }),
        ("hints stay short", Part::QueueSettings, Fault::Missing, |found, _| {
            set(&mut found.queue, "MessageRetentionPeriod", "60");
        }),
        ("the queue is in the clear", Part::QueueSettings, Fault::Missing, |found, _| {
            unset(&mut found.queue, "SqsManagedSseEnabled");
        }),
        ("nobody may send", Part::QueuePolicy, Fault::Missing, |found, _| unset(&mut found.queue, "Policy")),
        ("letters of all", Part::DeadLetterSettings, Fault::Wider, |found, _| {
            unset(&mut found.dead_letters, "RedriveAllowPolicy");
        }),
        ("letters of others", Part::DeadLetterSettings, Fault::Wider, |found, _| {
            set(&mut found.dead_letters, "RedriveAllowPolicy", r#"{"redrivePermission":"allowAll"}"#);
        }),
        ("letters stay short", Part::DeadLetterSettings, Fault::Missing, |found, _| {
            set(&mut found.dead_letters, "MessageRetentionPeriod", "345600");
        }),
        ("letters are in the clear", Part::DeadLetterSettings, Fault::Missing, |found, _| {
            set(&mut found.dead_letters, "SqsManagedSseEnabled", "false");
        }),
        ("anybody sends letters", Part::DeadLetterSettings, Fault::Wider, |found, site| {
            set(&mut found.dead_letters, "Policy", &open(&site.dead_letters_arn(ACCOUNT).expect("a queue")));
        }),
        ("no topic", Part::Topic, Fault::Missing, |found, _| found.topic = None),
        ("nobody may publish", Part::TopicPolicy, Fault::Missing, |found, _| {
            found.topic.as_mut().expect("a topic").policy = None;
        }),
        ("a queue is left out", Part::Subscriptions, Fault::Missing, |found, _| {
            drop(found.topic.as_mut().expect("a topic").queues.pop());
        }),
        ("no queue", Part::Queue, Fault::Missing, |found, _| found.queue = None),
    ];
    let plan = plan();
    for site in &plan.sites {
        for (what, part, fault, deviate) in deviations {
            let mut found = whole(&plan, site);
            deviate(&mut found, site);
            assert_eq!(differences(&plan, site, &found), [(part, fault)], "{}: {what}", site.name);
        }
        // Whoever allows all leaves out what is wanted, and allows more.
        let mut found = whole(&plan, site);
        let topic = found.topic.as_mut().expect("a topic");
        topic.policy = Some(unconditional(topic.policy.as_ref()));
        let both = [(Part::TopicPolicy, Fault::Missing), (Part::TopicPolicy, Fault::Wider)];
        assert_eq!(differences(&plan, site, &found), both, "every bucket may publish");
        let mut found = whole(&plan, site);
        let sends = policy::queue(&plan, site, ACCOUNT);
        set(&mut found.queue, "Policy", &unconditional(sends.as_ref()).to_string());
        let both = [(Part::QueuePolicy, Fault::Missing), (Part::QueuePolicy, Fault::Wider)];
        assert_eq!(differences(&plan, site, &found), both, "every topic may send");
    }
}

#[test]
fn a_policy_is_the_same_however_it_is_written() {
    let one = json!({"Sid": "a", "Effect": "Allow", "Action": ["b", "a"], "Resource": ["r"]});
    let other = json!({"Resource": "r", "Action": ["a", "b"], "Effect": "Allow", "Sid": "c"});
    assert_eq!(compare::canonical(&one), compare::canonical(&other));
    assert_eq!(compare::statements(&json!({"Statement": one})), compare::statements(&json!({"Statement": [other]})));
    assert!(compare::canonical(&one) != compare::canonical(&json!({"Effect": "Deny"})));
}

/// What is printed for a region, to the letter: whoever changes it changes what somebody's replica may do.
#[test]
fn the_policies_of_the_roles_are_these() {
    let plan = plan();
    let printed: Value = Role::ALL
        .into_iter()
        .map(|role| (role.name().to_owned(), plan.role("eu-west-1", role, ACCOUNT).expect("a policy")))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let golden: Value = serde_json::from_str(include_str!("../../tests/golden/policies.json")).expect("JSON");
    assert_eq!(printed, golden, "{printed:#}");
    assert_eq!(plan.role("nowhere", Role::Writer, ACCOUNT), None);
}

/// No role may overwrite, none may delete what it did not write, none may touch the bucket's settings, and none may do
/// everything.
#[test]
fn no_role_may_do_more_than_it_must() {
    let plan = plan();
    for region in ["us-east-1", "eu-west-1", "ap-east-1"] {
        for role in Role::ALL {
            let policy = plan.role(region, role, ACCOUNT).expect("a policy");
            for statement in policy["Statement"].as_array().expect("statements") {
                let list = |field: &str| match &statement[field] {
                    Value::Array(values) => {
                        values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
                    }
                    value => vec![value.as_str().expect("text").to_owned()],
                };
                let (actions, resources): (Vec<String>, Vec<String>) = (list("Action"), list("Resource"));
                assert!(!actions.iter().chain(&resources).any(|name| name == "*"), "{statement}");
                assert!(!actions.iter().any(|action| action.contains('*')), "{statement}");
                if actions.iter().any(|action| action == "s3:PutObject") {
                    assert_eq!(statement["Condition"]["Null"]["s3:if-none-match"], "false", "{statement}");
                }
                if actions.iter().any(|action| action == "s3:PutObject" || action == "s3:DeleteObject") {
                    let own = format!("/{region}/*");
                    assert!(resources.iter().all(|resource| resource.ends_with(&own)), "{statement}");
                }
            }
        }
    }
}

#[test]
fn a_template_has_what_is_created() {
    let plan = plan();
    for site in &plan.sites {
        let template = plan.template(&site.name).expect("a template");
        let resources = template["Resources"].as_object().expect("resources");
        for name in
            ["Bucket", "BucketPolicy", "DeadLetters", "Queue", "QueuePolicy", "Topic", "TopicPolicy", "Subscription2"]
        {
            assert!(resources.contains_key(name), "{name}");
        }
        let text = template.to_string();
        let account = text.replace(r#"{"Fn::Sub":"#, "").replace("${AWS::AccountId}", ACCOUNT);
        for arn in [site.queue_arn(ACCOUNT), site.topic_arn(ACCOUNT), site.dead_letters_arn(ACCOUNT)] {
            assert!(account.contains(&arn.expect("it is in the plan")), "{text}");
        }
        assert!(text.contains(&site.logs()), "{text}");
    }
}
