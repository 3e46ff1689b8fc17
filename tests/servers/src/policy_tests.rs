//! The truth table of policies.

use Decision::{Allow, Deny, Silent};
use serde_json::json;

use super::*;

fn decide(policy: &Policy, caller: &Caller, action: &str, resource: &str, context: &[(&str, &str)]) -> Decision {
    let context = context.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    policy.decide(&Request { caller, action, resource, context: &context })
}

fn anna() -> Caller {
    Caller::Principal("anna".to_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "a call reads better")]
fn of_principal(statements: Value) -> Policy {
    Policy::of_principal(&json!({ "Version": "2012-10-17", "Statement": statements }).to_string()).expect("it is read")
}

#[expect(clippy::needless_pass_by_value, reason = "a call reads better")]
fn of_resource(statement: Value) -> Policy {
    Policy::of_resource(&json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()).expect("it is read")
}

#[test]
fn patterns_match_as_iam_has_them() {
    for (pattern, text) in [("*", ""), ("a*", "a"), ("a*c", "abbc"), ("a/*/c", "a/b/b/c"), ("?", "x"), ("*a*b", "xaab")]
    {
        assert!(matches(pattern, text), "{pattern} {text}");
    }
    for (pattern, text) in [("", "a"), ("a", "A"), ("a*c", "ab"), ("?", ""), ("a/?", "a/bc"), ("*b", "ba")] {
        assert!(!matches(pattern, text), "{pattern} {text}");
    }
}

#[test]
fn a_statement_needs_action_resource_and_every_condition() {
    let policy = of_principal(json!({
        "Effect": "Allow",
        "Action": ["s3:PutObject", "s3:Get*"],
        "Resource": "arn:aws:s3:::eu/v1/log/a/*",
        "Condition": { "Null": { "s3:if-none-match": "false" }, "StringEquals": { "aws:x": ["1", "2"] } }
    }));
    let key = "arn:aws:s3:::eu/v1/log/a/0/1";
    let all = [("s3:if-none-match", "*"), ("aws:x", "2")];
    assert_eq!(decide(&policy, &anna(), "s3:PutObject", key, &all), Allow);
    assert_eq!(decide(&policy, &anna(), "S3:getobject", key, &all), Allow, "case does not count in actions");
    assert_eq!(decide(&policy, &anna(), "s3:DeleteObject", key, &all), Silent);
    assert_eq!(decide(&policy, &anna(), "s3:PutObject", "arn:aws:s3:::eu/v1/log/b/0/1", &all), Silent);
    assert_eq!(decide(&policy, &anna(), "s3:PutObject", "arn:aws:s3:::eu/V1/log/a/0/1", &all), Silent);
    assert_eq!(decide(&policy, &anna(), "s3:PutObject", key, &all[..1]), Silent, "a key that is absent equals nothing");
    assert_eq!(decide(&policy, &anna(), "s3:PutObject", key, &all[1..]), Silent, "the header is demanded");
}

#[test]
fn a_deny_wins_wherever_it_stands() {
    let allow = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
    let deny = json!({ "Effect": "Deny", "Action": "s3:DeleteObject", "NotResource": "arn:aws:s3:::eu/tmp/*" });
    for policy in [of_principal(json!([allow, deny])), of_principal(json!([deny, allow]))] {
        assert_eq!(decide(&policy, &anna(), "s3:DeleteObject", "arn:aws:s3:::eu/v1/x", &[]), Deny);
        assert_eq!(decide(&policy, &anna(), "s3:DeleteObject", "arn:aws:s3:::eu/tmp/x", &[]), Allow);
        assert_eq!(decide(&policy, &anna(), "s3:GetObject", "arn:aws:s3:::eu/v1/x", &[]), Allow);
    }
    let but = of_principal(json!({ "Effect": "Allow", "NotAction": "s3:Put*", "Resource": "*" }));
    assert_eq!(decide(&but, &anna(), "s3:PutObject", "arn:aws:s3:::eu/x", &[]), Silent);
    assert_eq!(decide(&but, &anna(), "sqs:SendMessage", "arn:aws:sqs:eu:0:q", &[]), Allow);
}

/// Operator, values, what the request has, and whether the condition holds.
#[test]
fn conditions_hold_as_iam_has_them() {
    let table = [
        ("StringEquals", "a", Some("a"), true),
        ("StringEquals", "a", Some("A"), false),
        ("StringEquals", "a*", Some("ab"), false),
        ("StringEquals", "a", None, false),
        ("StringEqualsIfExists", "a", None, true),
        ("StringEqualsIfExists", "a", Some("b"), false),
        ("StringNotEquals", "a", Some("b"), true),
        ("StringNotEquals", "a", Some("a"), false),
        ("StringNotEquals", "a", None, true),
        ("StringLike", "v1/*", Some("v1/log/"), true),
        ("StringLike", "v1/*", Some("v2/log/"), false),
        ("StringLike", "v1/*", None, false),
        ("StringNotLike", "v1/*", Some("v1/log/"), false),
        ("StringNotLike", "v1/*", None, true),
        ("ArnLike", "arn:aws:s3:::*", Some("arn:aws:s3:::eu"), true),
        ("ArnEquals", "arn:aws:s3:::eu", Some("arn:aws:s3:::us"), false),
        ("Bool", "false", Some("false"), true),
        ("Bool", "false", Some("true"), false),
        ("Bool", "false", None, false),
        ("Null", "true", None, true),
        ("Null", "true", Some("x"), false),
        ("Null", "false", None, false),
        ("Null", "false", Some("x"), true),
    ];
    for (operator, value, found, holds) in table {
        let policy = of_principal(json!({
            "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": { operator: { "AWS:Key": value } }
        }));
        let context: Vec<_> = found.map(|found| ("aws:key", found)).into_iter().collect();
        let expected = if holds { Allow } else { Silent };
        assert_eq!(
            decide(&policy, &anna(), "s3:GetObject", "arn:x", &context),
            expected,
            "{operator} {value} {found:?}"
        );
    }
}

#[test]
fn principals_are_told_apart() {
    let by = |effect: &str, principal: Value| {
        of_resource(json!({ "Effect": effect, "Principal": principal, "Action": "*", "Resource": "*" }))
    };
    let says = |policy: &Policy, caller: &Caller| decide(policy, caller, "sqs:SendMessage", "arn:aws:sqs:eu:0:q", &[]);
    let (sns, ben) = (Caller::Service("sns.amazonaws.com"), Caller::Principal("ben".to_owned()));
    let root = json!({ "AWS": format!("arn:aws:iam::{ACCOUNT}:root") });
    for (policy, anna_may, ben_may, sns_may) in [
        (by("Allow", json!("*")), Allow, Allow, Allow),
        (by("Deny", json!({ "AWS": "*" })), Deny, Deny, Deny),
        (by("Allow", json!({ "AWS": [principal_arn("anna")] })), Allow, Silent, Silent),
        (by("Allow", json!({ "Service": "sns.amazonaws.com" })), Silent, Silent, Allow),
        (by("Allow", root.clone()), Silent, Silent, Silent),
        (by("Deny", root), Deny, Deny, Silent),
    ] {
        assert_eq!((says(&policy, &anna()), says(&policy, &ben), says(&policy, &sns)), (anna_may, ben_may, sns_may));
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let statement = json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "*" });
    let with = |name: &str, value: Value| {
        let mut statement = statement.clone();
        statement[name] = value;
        json!({ "Version": "2012-10-17", "Statement": statement }).to_string()
    };
    assert!(Policy::of_principal(&with("Sid", json!("x"))).is_ok());
    for (name, value) in [
        ("Effect", json!("allow")),
        ("Action", json!("PutObject")),
        ("Action", json!([])),
        ("Resource", json!("bucket/*")),
        ("Resource", json!("arn:aws:s3:::${aws:username}/*")),
        ("Principal", json!("*")),
        ("NotResource", json!("*")),
        ("Condition", json!({ "ForAnyValue:StringLike": { "a": "b" } })),
        ("Condition", json!({ "Null": { "a": "yes" } })),
        ("Resourec", json!("*")),
    ] {
        assert!(Policy::of_principal(&with(name, value.clone())).is_err(), "{name} {value}");
    }
    assert!(Policy::of_resource(&with("Sid", json!("x"))).is_err(), "a resource must name principals");
    for document in ["", "[]", "{}", r#"{"Version":"2008-10-17","Statement":[]}"#, r#"{"Version":"2012-10-17"}"#] {
        assert!(Policy::of_principal(document).is_err(), "{document}");
    }
}
