//! `GET /openapi.json`: what can be asked for, made from the code that answers it.
//! Layer 3.
//!
//! The types here say what an operation is. Nothing reads them: operations are read by the crate `operations`. A test writes
//! whatever these can be and has it read there.

use std::sync::LazyLock;

use axum::{http::StatusCode, response::Response};
use serde::Serialize;
use utoipa::{
    IntoParams, Modify, OpenApi, ToSchema,
    openapi::{
        Content, HeaderBuilder, ObjectBuilder, OpenApi as Description, Ref, RefOr, ResponseBuilder, Schema,
        schema::Type,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::answer::typed;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Archipelago",
        description = "Counters, registers and sets that several regions change at once, and that end up the same everywhere: \
                       one replica of them. Every failure is a problem (RFC 9457) with its kind and what to do.",
    ),
    paths(
        crate::objects::get,
        crate::objects::delete,
        crate::ops::post,
        crate::read::scan,
        crate::read::top,
        crate::read::rank,
        crate::live::watch,
        crate::conflicts::list,
        crate::conflicts::resolve,
        crate::status::status,
        crate::evict::evict,
        crate::metrics::metrics,
        crate::status::health,
        crate::status::ready,
    ),
    components(schemas(OperationsBody)),
    modifiers(&Tokens),
    security(("token" = [])),
)]
struct Api;

/// What comes in the head of an answer with a status.
const HEADERS: [(&str, &str, Type, &str); 3] = [
    ("401", "WWW-Authenticate", Type::String, "How to send a token"),
    ("429", "Retry-After", Type::Integer, "In how many seconds there is room again"),
    ("503", "Retry-After", Type::Integer, "After how many seconds to try again; none where that is of no use"),
];

/// Every request but those of health takes a token, where there are any.
struct Tokens;

impl Modify for Tokens {
    fn modify(&self, description: &mut Description) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
            "A token of the server's file, of scope read, write or admin; none on loopback without one",
        ));
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme.build()));
        for item in description.paths.paths.values_mut() {
            for operation in [&mut item.get, &mut item.post, &mut item.delete].into_iter().flatten() {
                // What is answered before what is asked for is looked at, or instead of it.
                let mut gate = vec![
                    ("408", "The body has not come in time"),
                    ("414", "The address is too long"),
                    ("421", "The server does not answer to this name"),
                    ("429", "Too many requests of this address"),
                    ("431", "The head is too long"),
                    ("500", "Something is wrong in the server, or damaged in a bucket"),
                    ("503", "It has taken too long, or there are too many connections"),
                ];
                if operation.security.is_none() {
                    gate.extend([
                        ("401", "No token that is known"),
                        ("403", "The token, or the origin, is not good for this"),
                    ]);
                }
                for (status, says) in gate {
                    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
                    let response =
                        ResponseBuilder::new().description(says).content("application/problem+json", problem);
                    operation.responses.responses.entry(status.to_owned()).or_insert_with(|| response.build().into());
                }
                for (status, name, of, says) in HEADERS {
                    if let Some(RefOr::T(response)) = operation.responses.responses.get_mut(status) {
                        let schema = ObjectBuilder::new().schema_type(of).build();
                        let header = HeaderBuilder::new().schema(Some(schema)).description(Some(says)).build();
                        response.headers.insert(name.to_owned(), header.into());
                    }
                }
            }
        }
    }
}

static TEXT: LazyLock<String> = LazyLock::new(|| Api::openapi().to_json().unwrap_or_default());

pub(crate) async fn description() -> Response {
    typed(StatusCode::OK, "application/json", TEXT.as_str())
}

/// A whole number of up to 128 bits.
pub(crate) struct Whole;

impl utoipa::PartialSchema for Whole {
    fn schema() -> RefOr<Schema> {
        let object = ObjectBuilder::new().schema_type(Type::Integer);
        object.description(Some("A whole number of up to 128 bits")).build().into()
    }
}

impl ToSchema for Whole {}

/// What the paths begin with.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes")]
pub(crate) struct Prefix {
    /// What the paths begin with; all if it is not given
    prefix: Option<String>,
}

/// A page of what is below a prefix.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes")]
pub(crate) struct Paging {
    /// Begins behind this path
    #[param(min_length = 1)]
    after: Option<String>,
    /// Begins behind this kind at the path `after`, and else behind all of them
    after_kind: Option<KindName>,
    /// At most so many, 100 unless told
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// Whether the answer waits for the bucket.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes")]
pub(crate) struct Durable {
    /// Answers when the bucket has it
    durable: Option<bool>,
}

/// What must have arrived before.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes")]
pub(crate) struct Frontier {
    /// Waits until this token is covered
    #[param(rename = "X-Archipelago-Frontier")]
    frontier: Option<String>,
}

/// The name of a kind.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(test), expect(dead_code, reason = "it describes"))]
pub(crate) enum KindName {
    GCounter,
    PnCounter,
    LwwRegister,
    MvRegister,
    OrSet,
}

/// The name of a kind of register.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(test), expect(dead_code, reason = "it describes"))]
pub(crate) enum RegisterName {
    LwwRegister,
    MvRegister,
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $variant:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Serialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        #[cfg_attr(not(test), expect(dead_code, reason = "it describes"))]
        pub(crate) enum $name {
            $variant,
        }
    )*};
}

names! {
    /// Adds.
    AddName = Add;
    /// Writes.
    SetName = Set;
    /// Deletes.
    DeleteName = Delete;
    /// A counter that only grows.
    GCounterName = GCounter;
    /// A counter.
    PnCounterName = PnCounter;
    /// A set.
    OrSetName = OrSet;
}

/// One operation, or several that are made at once.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[cfg_attr(not(test), expect(dead_code, reason = "it describes"))]
pub(crate) enum OperationsBody {
    One(OneOperation),
    Several(Vec<OneOperation>),
}

/// An operation.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[cfg_attr(not(test), expect(dead_code, reason = "it describes"))]
pub(crate) enum OneOperation {
    Increment(Increment),
    Count(Count),
    Element(Element),
    Write(WriteValue),
    Delete(Delete),
}

/// Counts up.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Increment {
    pub(crate) op: AddName,
    pub(crate) kind: GCounterName,
    #[schema(min_length = 1, max_length = 1_024, pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$")]
    pub(crate) path: String,
    /// 1 unless told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false, minimum = 0)]
    pub(crate) by: Option<i64>,
}

/// Counts up or down.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Count {
    pub(crate) op: AddName,
    pub(crate) kind: PnCounterName,
    #[schema(min_length = 1, max_length = 1_024, pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$")]
    pub(crate) path: String,
    /// 1 unless told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false)]
    pub(crate) by: Option<i64>,
}

/// Puts an element into a set, or takes it out.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Element {
    pub(crate) op: ElementOp,
    pub(crate) kind: OrSetName,
    #[schema(min_length = 1, max_length = 1_024, pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$")]
    pub(crate) path: String,
    /// Any JSON of at most 64 KiB; text is kept as itself.
    pub(crate) value: serde_json::Value,
}

/// What is done with an element.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(test), expect(dead_code, reason = "it describes"))]
pub(crate) enum ElementOp {
    Add,
    Remove,
}

/// Writes a value to a register.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteValue {
    pub(crate) op: SetName,
    pub(crate) kind: RegisterName,
    #[schema(min_length = 1, max_length = 1_024, pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$")]
    pub(crate) path: String,
    /// Any JSON of at most 1 MiB; text is kept as itself.
    pub(crate) value: serde_json::Value,
}

/// Deletes what is at a path.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Delete {
    pub(crate) op: DeleteName,
    #[schema(min_length = 1, max_length = 1_024, pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$")]
    pub(crate) path: String,
    /// Only what is of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = KindName, required = false)]
    pub(crate) kind: Option<KindName>,
}

#[cfg(test)]
mod tests {
    use quickcheck::{Arbitrary, Gen, quickcheck};
    use serde_json::{Value, json};

    use super::*;
    use crate::decode::{Form, operations};

    fn path(g: &mut Gen) -> String {
        let signs = ["a", "/", "..", "\"", "\\", "%2F", " ", "gr\u{fc}n", "\u{1f30a}", "x".repeat(200).as_str()]
            .map(str::to_owned);
        (0..=usize::arbitrary(g) % 4).map(|_| g.choose(&signs).cloned().unwrap_or_default()).collect()
    }

    fn value(g: &mut Gen, depth: u8) -> Value {
        match u8::arbitrary(g) % if depth == 0 { 5 } else { 7 } {
            0 => Value::Null,
            1 => json!(bool::arbitrary(g)),
            2 => json!(i64::arbitrary(g)),
            3 => json!(f64::from(i32::arbitrary(g)) / 8.0),
            4 => json!(String::arbitrary(g)),
            5 => (0..3).map(|_| value(g, depth - 1)).collect(),
            _ => json!({"a": value(g, depth - 1), "$hex": value(g, depth - 1)}),
        }
    }

    impl Arbitrary for OneOperation {
        fn arbitrary(g: &mut Gen) -> Self {
            let path = path(g);
            match u8::arbitrary(g) % 6 {
                0 => {
                    let by = Option::<u32>::arbitrary(g).map(i64::from);
                    Self::Increment(Increment { op: AddName::Add, kind: GCounterName::GCounter, path, by })
                }
                1 => {
                    let by = Option::arbitrary(g);
                    Self::Count(Count { op: AddName::Add, kind: PnCounterName::PnCounter, path, by })
                }
                2 | 3 => {
                    let op = if bool::arbitrary(g) { ElementOp::Add } else { ElementOp::Remove };
                    Self::Element(Element { op, kind: OrSetName::OrSet, path, value: value(g, 3) })
                }
                4 => {
                    let kinds = [RegisterName::LwwRegister, RegisterName::MvRegister];
                    let kind = kinds[usize::from(bool::arbitrary(g))];
                    Self::Write(WriteValue { op: SetName::Set, kind, path, value: value(g, 3) })
                }
                _ => {
                    use KindName::{GCounter, LwwRegister, MvRegister, OrSet, PnCounter};
                    let kinds =
                        [None, Some(GCounter), Some(PnCounter), Some(LwwRegister), Some(MvRegister), Some(OrSet)];
                    let kind = g.choose(&kinds).copied().flatten();
                    Self::Delete(Delete { op: DeleteName::Delete, path, kind })
                }
            }
        }
    }

    quickcheck! {
        fn whatever_is_described_is_taken(all: Vec<OneOperation>, one: OneOperation) -> bool {
            let read = |body: &OperationsBody| {
                let body = serde_json::to_vec(body).unwrap();
                operations(Form::Json, &body, usize::MAX).map(|read| read.operations.len()).ok()
            };
            let count = all.len();
            read(&OperationsBody::One(one.clone())) == Some(1)
                && read(&OperationsBody::Several([all, vec![one]].concat())) == Some(count + 1)
        }
    }

    /// Every word that is described is one that is read.
    #[test]
    fn the_words_of_the_description_are_those_of_operations() {
        let description: Value = serde_json::from_str(&TEXT).unwrap();
        let schemas = description["components"]["schemas"].as_object().unwrap();
        let words: Vec<&str> = schemas
            .values()
            .filter_map(|schema| schema["enum"].as_array())
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        assert!(words.len() >= 14, "{words:?}");
        let known =
            ["add", "remove", "set", "delete", "g_counter", "pn_counter", "lww_register", "mv_register", "or_set"];
        assert!(words.iter().all(|word| known.contains(word)), "{words:?}");
    }

    #[test]
    fn the_description_names_every_place_but_the_page() {
        let description: Value = serde_json::from_str(&TEXT).unwrap();
        let paths = description["paths"].as_object().unwrap();
        use crate::routes::Route;
        for route in Route::ALL {
            let is_described = paths.contains_key(route.name());
            assert_eq!(is_described, !matches!(route, Route::Page | Route::Description | Route::Other), "{route:?}");
        }
    }
}
