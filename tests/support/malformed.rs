//! What a stranger may send: bytes that have the shape of a state or a delta, and break one of its rules.

/// What the bytes claim to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// `Causal<GCounter>`
    GCounter,
    /// `Causal<PnCounter>`
    PnCounter,
    /// `Causal<LwwRegister<u8>>`
    LwwRegister,
    /// `Causal<MvRegister<u8>>`
    MvRegister,
    /// `Causal<OrSet<u8>>`
    OrSet,
    /// `CausalContext`
    Context,
    /// `Delta<PnCounter>`
    CounterDelta,
    /// `Delta<GCounter>`
    GrowOnlyDelta,
    /// `Delta<OrSet<u8>>`
    SetDelta,
}

/// One rule broken.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is wrong.
    pub wrong: &'static str,
    /// What the bytes claim to be.
    pub claim: Claim,
    /// The same without the fault.
    pub twin: String,
    /// With it.
    pub malformed: String,
    /// What the error says.
    pub said: &'static str,
}

const ORDER: &str = "strictly ascending order";
const UNSEEN: &str = "a dot in the state is not in the context";
const CANONICAL: &str = "not the canonical one";
const NOBODY: &str = "nonzero";

/// Every rule, broken in JSON.
#[must_use]
pub fn cases() -> Vec<Case> {
    let case = |wrong, claim, twin: &str, malformed: &str, said| {
        let close = |open: &str| match claim {
            Claim::Context => open.to_owned(),
            Claim::CounterDelta | Claim::GrowOnlyDelta | Claim::SetDelta => {
                format!(r#"{{"changes":{open},"context":{}}}"#, seen())
            }
            _ => format!(r#"{{"state":[{open}],"context":{}}}"#, seen()),
        };
        Case { wrong, claim, twin: close(twin), malformed: close(malformed), said }
    };
    let mut cases = Vec::new();

    // Of two replicas everything has been seen up to position 9.
    let [a, b, c, unseen] = [dot(1, 4), dot(1, 5), dot(2, 4), dot(1, 10)];

    let two = [element(1, &[&a]), element(2, &[&b])].join(",");
    let swapped = [element(2, &[&a]), element(1, &[&b])].join(",");
    let same = [element(1, &[&a]), element(1, &[&b])].join(",");
    let fit = element(1, &[&a, &b]);
    cases.extend([
        case("elements out of order", Claim::OrSet, &two, &swapped, ORDER),
        case("an element twice", Claim::OrSet, &two, &same, ORDER),
        case("an element without dots", Claim::OrSet, &fit, &element(1, &[]), "an element without a dot"),
        case("dots out of order", Claim::OrSet, &fit, &element(1, &[&b, &a]), ORDER),
        case("a dot twice", Claim::OrSet, &fit, &element(1, &[&a, &a]), ORDER),
        case("a dot that was not seen", Claim::OrSet, &fit, &element(1, &[&unseen]), UNSEEN),
        case("a dot of nobody", Claim::OrSet, &fit, &element(1, &[&dot(0, 4)]), NOBODY),
    ]);

    let [one, other] = [tally(1, [4, 5, 9, 0, 3, 0]), tally(2, [4, 5, 9, 0, 3, 0])];
    let [two, swapped, same] = [[&one, &other], [&other, &one], [&one, &one]].map(|pair| list(&pair));
    let (up, down) = (tally(1, [4, 5, 2, 0, 3, 0]), tally(1, [4, 5, 0, 2, 0, 3]));
    let (unborn, late) = (tally(1, [5, 4, 9, 0, 3, 0]), tally(1, [4, 10, 9, 0, 3, 0]));
    let (nobody, sunk) = (tally(0, [4, 5, 9, 0, 3, 0]), tally(1, [4, 5, 9, 1, 3, 0]));
    cases.extend([
        case("tallies out of order", Claim::PnCounter, &two, &swapped, ORDER),
        case("a tally twice", Claim::PnCounter, &two, &same, ORDER),
        case("more increments reset than made", Claim::GCounter, &one, &up, "reset beyond its total"),
        case("more decrements reset than made", Claim::PnCounter, &one, &down, "reset beyond its total"),
        case("raised before it was born", Claim::PnCounter, &one, &unborn, "before it was born"),
        case("raised where nothing was seen", Claim::PnCounter, &one, &late, UNSEEN),
        case("a tally of nobody", Claim::PnCounter, &one, &nobody, NOBODY),
        case("grow-only, and counted down", Claim::GCounter, &one, &sunk, "counted down"),
    ]);

    let [two, swapped, same] = [[&a, &c], [&c, &a], [&a, &a]].map(|pair| pair.map(|dot| write(dot)).join(","));
    cases.extend([
        case("writes out of order", Claim::LwwRegister, &two, &swapped, ORDER),
        case("a write twice", Claim::MvRegister, &two, &same, ORDER),
        case("a write that was not seen", Claim::LwwRegister, &two, &write(&unseen), UNSEEN),
    ]);

    let [swapped, same] = [[dot(2, 9), dot(1, 9)], [dot(1, 8), dot(1, 9)]].map(|dots| context(&dots.join(","), ""));
    cases.extend([
        case("a frontier out of order", Claim::Context, &seen(), &swapped, "in ascending order"),
        case("a replica twice in a frontier", Claim::Context, &seen(), &same, "each replica once"),
        case("a frontier of nobody", Claim::Context, &seen(), &context(&dot(0, 9), ""), NOBODY),
    ]);

    let runs = |runs: &[(u64, u64)]| {
        let runs: Vec<_> = runs.iter().map(|(first, last)| format!("[{},{last}]", dot(1, *first))).collect();
        context(&dot(1, 3), &runs.join(","))
    };
    let (single, two) = (runs(&[(5, 6)]), runs(&[(5, 5), (7, 7)]));
    let first = context("", &format!("[{},6]", dot(1, 0)));
    let nobody = context("", &format!("[{},6]", dot(0, 5)));
    cases.extend([
        case("a run that ends before it begins", Claim::Context, &single, &runs(&[(6, 5)]), "before it begins"),
        case("a run next to the frontier", Claim::Context, &single, &runs(&[(4, 6)]), CANONICAL),
        case("a run below the frontier", Claim::Context, &single, &runs(&[(2, 3)]), CANONICAL),
        case("a run twice", Claim::Context, &single, &runs(&[(5, 6), (5, 6)]), CANONICAL),
        case("a run from the first position", Claim::Context, &single, &first, CANONICAL),
        case("a run of nobody", Claim::Context, &single, &nobody, NOBODY),
        case("runs out of order", Claim::Context, &two, &runs(&[(7, 7), (5, 5)]), CANONICAL),
        case("runs next to each other", Claim::Context, &two, &runs(&[(5, 5), (6, 7)]), CANONICAL),
        case("runs that overlap", Claim::Context, &two, &runs(&[(5, 7), (7, 8)]), CANONICAL),
    ]);

    let edit = |element: u8, added: &[&String], removed: &[&String]| {
        format!(r#"[{element},{{"added":[{}],"removed":[{}]}}]"#, list(added), list(removed))
    };
    let edits = |edits: &[String]| format!("[{}]", edits.join(","));
    let one_edit = |added: &[&String], removed: &[&String]| edits(&[edit(7, added, removed)]);
    let fit = one_edit(&[&c], &[&a, &b]);
    let (first, second) = (edit(7, &[&a], &[]), edit(8, &[&b], &[]));
    let two_edits = edits(&[first.clone(), second.clone()]);
    let [two, swapped, far] = [list(&[&one, &other]), list(&[&other, &one]), up].map(|all| format!("[{all}]"));
    let [one, late, sunk] = [one, late, sunk].map(|tally| format!("[{tally}]"));
    let beyond = "names a dot that is not in its context";
    cases.extend([
        case("adds out of order", Claim::SetDelta, &fit, &one_edit(&[&b, &a], &[&c]), ORDER),
        case("a removed dot twice", Claim::SetDelta, &fit, &one_edit(&[&c], &[&a, &a]), ORDER),
        case("a dot added and removed", Claim::SetDelta, &fit, &one_edit(&[&a], &[&a]), "both added and removed"),
        case("an edit of nothing", Claim::SetDelta, &fit, &one_edit(&[], &[]), "changes nothing"),
        case("edits out of order", Claim::SetDelta, &two_edits, &edits(&[second, first.clone()]), ORDER),
        case("two edits of one element", Claim::SetDelta, &two_edits, &edits(&[first.clone(), first]), ORDER),
        case("an add beyond the context", Claim::SetDelta, &fit, &one_edit(&[&unseen], &[]), beyond),
        case("a removal beyond the context", Claim::SetDelta, &fit, &one_edit(&[], &[&unseen]), beyond),
        case("changed tallies out of order", Claim::CounterDelta, &two, &swapped, ORDER),
        case("a changed tally reset too far", Claim::CounterDelta, &two, &far, "reset beyond its total"),
        case("a changed tally beyond the context", Claim::CounterDelta, &one, &late, beyond),
        case("grow-only, and a change that counts down", Claim::GrowOnlyDelta, &one, &sunk, "counted down"),
    ]);
    cases
}

fn seen() -> String {
    context(&list(&[&dot(1, 9), &dot(2, 9)]), "")
}

fn context(frontier: &str, cloud: &str) -> String {
    format!(r#"{{"frontier":[{frontier}],"cloud":[{cloud}]}}"#)
}

fn dot(replica: u64, position: u64) -> String {
    format!(r#"{{"replica":{replica},"position":{position}}}"#)
}

fn element(element: u8, dots: &[&String]) -> String {
    format!("[{element},[{}]]", list(dots))
}

fn write(dot: &str) -> String {
    format!(r#"{{"dot":{dot},"timestamp":0,"value":7}}"#)
}

/// The fields after the replica: `birth`, `last`, `p`, `n`, `bp`, `bn`.
fn tally(replica: u64, fields: [u64; 6]) -> String {
    let [birth, last, p, n, bp, bn] = fields;
    format!(r#"{{"replica":{replica},"birth":{birth},"last":{last},"p":{p},"n":{n},"bp":{bp},"bn":{bn}}}"#)
}

fn list(items: &[&String]) -> String {
    items.iter().map(|item| item.as_str()).collect::<Vec<_>>().join(",")
}
