//! Policies: read strictly, decided as IAM decides.
//!
//! What this file does not know it refuses to read: a policy that is half understood grants too much in tests and too
//! little in production.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What is known of a request, by condition key in small letters.
pub(crate) type Context = BTreeMap<String, String>;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A principal of the account, by name.
    Principal(String),
    /// A service that delivers, such as `s3.amazonaws.com`.
    Service(&'static str),
}

/// What is asked.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) caller: &'a Caller,
    /// Such as `s3:PutObject`.
    pub(crate) action: &'a str,
    /// The ARN of what it is done to.
    pub(crate) resource: &'a str,
    pub(crate) context: &'a Context,
}

/// What one policy says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Decision {
    /// Nothing.
    Silent,
    /// It allows it.
    Allow,
    /// It forbids it, whatever others say.
    Deny,
}

/// A policy document, of a principal or of a resource.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    statements: Vec<Statement>,
}

#[derive(Clone, Debug)]
struct Statement {
    effect: Decision,
    principals: Option<Principals>,
    actions: Names,
    resources: Option<Names>,
    conditions: Vec<Condition>,
}

/// Patterns, and whether it is those or all others that are meant.
#[derive(Clone, Debug)]
struct Names {
    patterns: Vec<String>,
    others: bool,
}

#[derive(Clone, Debug, Default)]
struct Principals {
    anyone: bool,
    arns: Vec<String>,
    services: Vec<String>,
}

#[derive(Clone, Debug)]
struct Condition {
    operator: Operator,
    negated: bool,
    if_exists: bool,
    key: String,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equals,
    Like,
    Bool,
    Null,
}

/// The account that everything here belongs to.
pub(crate) const ACCOUNT: &str = "000000000000";

/// The ARN of a principal.
pub(crate) fn principal_arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:user/{name}")
}

impl Policy {
    /// Reads the policy of a principal, whose statements name no principals.
    pub(crate) fn of_principal(json: &str) -> Result<Self, String> {
        Self::read(json, false)
    }

    /// Reads the policy of a bucket, queue or topic, whose statements name principals.
    pub(crate) fn of_resource(json: &str) -> Result<Self, String> {
        Self::read(json, true)
    }

    fn read(json: &str, of_resource: bool) -> Result<Self, String> {
        let document: Value = serde_json::from_str(json).map_err(|error| format!("not JSON: {error}"))?;
        let fields = object(&document, "the document", &["Version", "Id", "Statement"])?;
        if fields.get("Version").and_then(Value::as_str) != Some("2012-10-17") {
            return Err("Version must be 2012-10-17".to_owned());
        }
        let statements = match fields.get("Statement") {
            Some(Value::Array(statements)) if !statements.is_empty() => statements.iter().collect(),
            Some(statement @ Value::Object(_)) => vec![statement],
            _ => return Err("Statement is missing".to_owned()),
        };
        let read = |statement| Statement::read(statement, of_resource);
        Ok(Self { statements: statements.into_iter().map(read).collect::<Result<_, _>>()? })
    }

    /// What this policy says: a Deny wins over an Allow.
    pub(crate) fn decide(&self, request: &Request<'_>) -> Decision {
        let speaking = self.statements.iter().filter(|statement| statement.speaks_of(request));
        speaking.map(|statement| statement.effect).max().unwrap_or(Decision::Silent)
    }
}

impl Statement {
    fn read(value: &Value, of_resource: bool) -> Result<Self, String> {
        const FIELDS: [&str; 9] = [
            "Sid",
            "Effect",
            "Principal",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
            "NotPrincipal",
        ];
        let fields = object(value, "a statement", &FIELDS)?;
        let effect = match fields.get("Effect").and_then(Value::as_str) {
            Some("Allow") => Decision::Allow,
            Some("Deny") => Decision::Deny,
            _ => return Err("Effect must be Allow or Deny".to_owned()),
        };
        let principals = match (of_resource, fields.get("Principal"), fields.get("NotPrincipal")) {
            (_, _, Some(_)) => return Err("NotPrincipal is not known here".to_owned()),
            (true, Some(principals), None) => Some(Principals::read(principals)?),
            (true, None, None) => return Err("the policy of a resource must name a Principal".to_owned()),
            (false, Some(_), None) => return Err("the policy of a principal must not name a Principal".to_owned()),
            (false, None, None) => None,
        };
        let actions = Names::read(fields, "Action", "NotAction")?.ok_or("Action is missing")?;
        if let Some(wrong) = actions.patterns.iter().find(|name| !(name.contains(':') || *name == "*")) {
            return Err(format!("`{wrong}` is no action"));
        }
        let resources = Names::read(fields, "Resource", "NotResource")?;
        if let Some(names) = &resources {
            let wrong = names.patterns.iter().find(|name| !(name.starts_with("arn:") || *name == "*"));
            wrong.map_or(Ok(()), |wrong| Err(format!("`{wrong}` is no ARN")))?;
        } else if !of_resource {
            return Err("Resource is missing".to_owned());
        }
        let conditions = fields.get("Condition").map_or(Ok(Vec::new()), Condition::read)?;
        Ok(Self { effect, principals, actions, resources, conditions })
    }

    fn speaks_of(&self, request: &Request<'_>) -> bool {
        let action = request.action.to_ascii_lowercase();
        let is_action = |pattern: &String| matches(&pattern.to_ascii_lowercase(), &action);
        self.principals.as_ref().is_none_or(|principals| principals.name(request.caller, self.effect))
            && self.actions.patterns.iter().any(is_action) != self.actions.others
            && self.resources.as_ref().is_none_or(|names| {
                names.patterns.iter().any(|pattern| matches(pattern, request.resource)) != names.others
            })
            && self.conditions.iter().all(|condition| condition.holds(request.context))
    }
}

impl Names {
    fn read(fields: &Map<String, Value>, these: &str, others: &str) -> Result<Option<Self>, String> {
        let (name, value, others) = match (fields.get(these), fields.get(others)) {
            (Some(value), None) => (these, value, false),
            (None, Some(value)) => (others, value, true),
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => return Err(format!("{these} and {others} exclude each other")),
        };
        Ok(Some(Self { patterns: strings(value, name)?, others }))
    }
}

impl Principals {
    fn read(value: &Value) -> Result<Self, String> {
        if value.as_str() == Some("*") {
            return Ok(Self { anyone: true, ..Self::default() });
        }
        let fields = object(value, "Principal", &["AWS", "Service"])?;
        let list = |name| fields.get(name).map_or(Ok(Vec::new()), |value| strings(value, name));
        let (arns, services) = (list("AWS")?, list("Service")?);
        Ok(Self { anyone: arns.iter().any(|arn| arn == "*"), arns, services })
    }

    fn name(&self, caller: &Caller, effect: Decision) -> bool {
        match caller {
            _ if self.anyone => true,
            Caller::Service(service) => self.services.iter().any(|named| named == service),
            Caller::Principal(name) => self.arns.iter().any(|arn| {
                // The account as a whole: forbids all in it, and leaves it to their own policies to allow.
                let is_account = arn == ACCOUNT || *arn == format!("arn:aws:iam::{ACCOUNT}:root");
                *arn == principal_arn(name) || (is_account && effect == Decision::Deny)
            }),
        }
    }
}

impl Condition {
    fn read(value: &Value) -> Result<Vec<Self>, String> {
        let mut conditions = Vec::new();
        for (name, keys) in value.as_object().ok_or("Condition must be an object")? {
            let (plain, if_exists) = name.strip_suffix("IfExists").map_or((name.as_str(), false), |name| (name, true));
            let (operator, negated) = match plain {
                "StringEquals" => (Operator::Equals, false),
                "StringNotEquals" => (Operator::Equals, true),
                "StringLike" | "ArnLike" | "ArnEquals" => (Operator::Like, false),
                "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => (Operator::Like, true),
                "Bool" => (Operator::Bool, false),
                "Null" if !if_exists => (Operator::Null, false),
                _ => return Err(format!("the condition operator `{name}` is not known here")),
            };
            for (key, values) in keys.as_object().ok_or("a condition operator must hold an object")? {
                let values = strings(values, key)?;
                let is_truth = |value: &String| ["true", "false"].contains(&value.as_str());
                if matches!(operator, Operator::Bool | Operator::Null) && !values.iter().all(is_truth) {
                    return Err(format!("{name} takes true and false alone, not {values:?}"));
                }
                conditions.push(Self { operator, negated, if_exists, key: key.to_ascii_lowercase(), values });
            }
        }
        Ok(conditions)
    }

    fn holds(&self, context: &Context) -> bool {
        let found = context.get(&self.key);
        let among =
            |is_it: fn(&str, &str) -> bool, value: &String| self.values.iter().any(|wanted| is_it(wanted, value));
        match (self.operator, found) {
            (Operator::Null, _) => self.values.iter().any(|is_null| (is_null == "true") == found.is_none()),
            (_, None) => self.negated || self.if_exists,
            (Operator::Equals | Operator::Bool, Some(value)) => {
                among(|wanted, value| wanted == value, value) != self.negated
            }
            (Operator::Like, Some(value)) => among(matches, value) != self.negated,
        }
    }
}

/// Whether a text matches a pattern: `*` stands for any text, `?` for any sign.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut in_text, mut star) = (0, 0, None);
    while in_text < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, in_text));
                at += 1;
            }
            Some(sign) if *sign == '?' || *sign == text[in_text] => {
                at += 1;
                in_text += 1;
            }
            _ => {
                let Some((star_at, matched)) = star else { return false };
                star = Some((star_at, matched + 1));
                at = star_at + 1;
                in_text = matched + 1;
            }
        }
    }
    pattern[at..].iter().all(|sign| *sign == '*')
}

fn object<'a>(value: &'a Value, what: &str, known: &[&str]) -> Result<&'a Map<String, Value>, String> {
    let fields = value.as_object().ok_or_else(|| format!("{what} must be an object"))?;
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("{what} has the field `{name}`, which is not known here")),
        None => Ok(fields),
    }
}

fn strings(value: &Value, name: &str) -> Result<Vec<String>, String> {
    let text = |value: &Value| match value {
        Value::String(text) if text.contains("${") => Err(format!("{name}: policy variables are not known here")),
        Value::String(text) => Ok(text.clone()),
        Value::Bool(truth) => Ok(truth.to_string()),
        _ => Err(format!("{name} must hold strings")),
    };
    match value {
        Value::Array(values) if !values.is_empty() => values.iter().map(text).collect(),
        Value::Array(_) => Err(format!("{name} is empty")),
        value => Ok(vec![text(value)?]),
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
