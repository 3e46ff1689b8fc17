//! `docs/semantics.md`, executed: every row is a claim, and every claim is tried in every delivery order.
//!
//! Goal: a reader can believe the tables. Method: read the document, run each row with the real types through writers,
//! give each role to each replica, deliver in every order, and compare with what the row says. A row that cannot be
//! read, a pair of operations without a row and a type without a table are faults too.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    fs,
};

use crdt_core::{
    Causal, CausalContext, DataType, Delta, GCounter, Kind, LwwRegister, MvRegister, OrSet, PnCounter, ReplicaId, Seen,
    Timestamp, Writer,
};

#[test]
fn every_row_of_the_document_holds() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/semantics.md");
    let document = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let Report { rows, orders, faults } = run_document(&document);
    assert!(faults.is_empty(), "\n  docs/semantics.md\n  {}\n", faults.join("\n  "));
    println!("{rows} rows, {orders} delivery orders");
}

#[test]
fn a_row_that_is_wrong_is_found() {
    let faults = faults_after("| any | add x | remove x | x |", "| any | add x | remove x | nothing |");
    assert!(faults.iter().any(|fault| fault.contains("`x`, not `nothing`")), "{faults:?}");
    let faults = faults_after("ann hears bob; ann add -2 | -2 |", "ann hears bob; ann add -2 | 3 |");
    assert!(faults.iter().any(|fault| fault.contains("`-2`, not `3`")), "{faults:?}");
    let faults = faults_after("| set mate @ 5 | tea | mate |", "| set mate @ 5 | tea | nothing |");
    assert!(faults.iter().any(|fault| fault.contains("`mate`, not `nothing`")), "{faults:?}");
}

#[test]
fn a_row_that_is_missing_or_unreadable_is_found() {
    let row = "| any | clear | clear | nothing | nothing | both remove the same |\n";
    let faults = faults_after(row, "");
    assert_eq!(faults.len(), 2, "one for each state before: {faults:?}");
    assert!(faults[0].contains("LwwRegister") && faults[0].contains("clear"), "{faults:?}");
    assert!(!faults_after("| any | add x | clear |", "| any | add x | wipe |").is_empty());
    assert!(!faults_after("ann add 5; bob delete |", "ann add 5; bob forgets |").is_empty());
    assert!(!faults_after("## MvRegister", "## A multi-value register").is_empty());
}

/// The faults of the document after one edit, which must apply.
fn faults_after(from: &str, to: &str) -> Vec<String> {
    let document = include_str!("../docs/semantics.md");
    assert!(document.contains(from), "the document has no `{from}`");
    run_document(&document.replacen(from, to, 1)).faults
}

// --- The types, as the document speaks of them.

/// One data type: its words, and what they do.
trait Subject: DataType + Default + PartialEq + Debug {
    /// The states that a row may begin with, beside `nothing`, each with the operation that leads there.
    const BEFORE: &'static [(&'static str, &'static str)];

    /// Operations of every sort. Each pair of them must have a row, in each state before.
    const OPERATIONS: &'static [&'static str];

    /// Does what the words say. `time` is used where they name none.
    fn act(writer: &mut Writer<Self>, words: &[&str], time: Timestamp) -> Option<Delta<Self>>;

    /// What is read.
    fn read(&self) -> String;

    /// What is kept beside it.
    fn kept(&self) -> String {
        NOTHING.to_owned()
    }

    /// What makes two pairs of operations the same for the tables.
    fn pair(_before: &str, one: &str, other: &str) -> String {
        let sort = |operation: &str| match operation.split_once(' ') {
            Some(("add", amount)) if amount.starts_with('-') => "add -".to_owned(),
            Some(("add", amount)) if amount.parse::<u64>().is_ok() => "add +".to_owned(),
            _ => operation.to_owned(),
        };
        unordered(&sort(one), &sort(other))
    }
}

const NOTHING: &str = "nothing";

fn unordered(one: &str, other: &str) -> String {
    format!("`{}` and `{}`", one.min(other), one.max(other))
}

/// Values in a fixed order: that of a multi-value register is the order of its dots.
fn list(values: impl Iterator<Item = impl ToString>) -> String {
    let mut values: Vec<_> = values.map(|value| value.to_string()).collect();
    values.sort_unstable();
    if values.is_empty() { NOTHING.to_owned() } else { values.join(", ") }
}

impl Subject for GCounter {
    const BEFORE: &'static [(&'static str, &'static str)] = &[("5", "add 5")];
    const OPERATIONS: &'static [&'static str] = &["add 2", "delete"];

    fn act(writer: &mut Writer<Self>, words: &[&str], _: Timestamp) -> Option<Delta<Self>> {
        match words {
            ["add", amount] => writer.add(amount.parse().ok()?).ok(),
            ["delete"] => Some(writer.reset()),
            _ => None,
        }
    }

    fn read(&self) -> String {
        list(self.is_live().then(|| self.value()).into_iter())
    }
}

impl Subject for PnCounter {
    const BEFORE: &'static [(&'static str, &'static str)] = &[("5", "add 5")];
    const OPERATIONS: &'static [&'static str] = &["add 2", "add -2", "delete"];

    fn act(writer: &mut Writer<Self>, words: &[&str], _: Timestamp) -> Option<Delta<Self>> {
        match words {
            ["add", amount] => writer.add(amount.parse().ok()?).ok(),
            ["delete"] => Some(writer.reset()),
            _ => None,
        }
    }

    fn read(&self) -> String {
        list(self.is_live().then(|| self.value()).into_iter())
    }
}

impl Subject for LwwRegister<String> {
    const BEFORE: &'static [(&'static str, &'static str)] = &[("water @ 20", "set water @ 20")];
    const OPERATIONS: &'static [&'static str] =
        &["set a @ 40", "set a @ 30", "set a @ 20", "set a @ 10", "set a @ 5", "clear"];

    fn act(writer: &mut Writer<Self>, words: &[&str], _: Timestamp) -> Option<Delta<Self>> {
        match words {
            ["set", value, "@", millis] => {
                Some(writer.set((*value).to_owned(), Timestamp::from_millis(millis.parse().ok()?)))
            }
            ["clear"] => Some(writer.clear()),
            _ => None,
        }
    }

    fn read(&self) -> String {
        list(self.value().into_iter())
    }

    fn kept(&self) -> String {
        list(self.losers().map(|write| &write.value))
    }

    /// A write is later than what was there before, at its time, or earlier; and two writes may be at one time.
    fn pair(before: &str, one: &str, other: &str) -> String {
        let time = |words: &str| words.split_once("@ ").and_then(|(_, time)| time.parse::<u64>().ok());
        let sort = |operation: &str| match (time(operation), time(before)) {
            (Some(time), Some(before)) => format!("set {:?} than before", time.cmp(&before)),
            (Some(_), None) => "set".to_owned(),
            (None, _) => operation.to_owned(),
        };
        let equal = if time(one).is_some() && time(one) == time(other) { " at one time" } else { "" };
        unordered(&sort(one), &sort(other)) + equal
    }
}

impl Subject for MvRegister<String> {
    const BEFORE: &'static [(&'static str, &'static str)] = &[("water", "set water")];
    const OPERATIONS: &'static [&'static str] = &["set a", "set b", "clear"];

    fn act(writer: &mut Writer<Self>, words: &[&str], time: Timestamp) -> Option<Delta<Self>> {
        match words {
            ["set", value] => Some(writer.set((*value).to_owned(), time)),
            ["clear"] => Some(writer.clear()),
            _ => None,
        }
    }

    fn read(&self) -> String {
        list(self.values())
    }

    fn pair(_: &str, one: &str, other: &str) -> String {
        let sort = |operation: &str| operation.split(' ').next().unwrap_or_default().to_owned();
        let equal = if one.starts_with("set") && one == other { " of one value" } else { "" };
        unordered(&sort(one), &sort(other)) + equal
    }
}

impl Subject for OrSet<String> {
    const BEFORE: &'static [(&'static str, &'static str)] = &[("x", "add x")];
    const OPERATIONS: &'static [&'static str] = &["add x", "remove x", "add y", "remove y", "clear"];

    fn act(writer: &mut Writer<Self>, words: &[&str], _: Timestamp) -> Option<Delta<Self>> {
        match words {
            ["add", element] => Some(writer.add((*element).to_owned())),
            ["remove", element] => Some(writer.remove(*element)),
            ["clear"] => Some(writer.clear()),
            _ => None,
        }
    }

    fn read(&self) -> String {
        list(self.elements().into_iter())
    }
}

// --- The document.

/// What was tried, and what did not hold.
#[derive(Debug, Default)]
struct Report {
    rows: usize,
    orders: usize,
    faults: Vec<String>,
}

/// A row of a table: where it is, and its cells by the heads of their columns.
#[derive(Debug)]
struct Row<'a> {
    line: usize,
    cells: BTreeMap<&'a str, &'a str>,
}

impl Row<'_> {
    fn get(&self, head: &str) -> Option<&str> {
        self.cells.get(head).copied()
    }
}

fn run_document(document: &str) -> Report {
    type Run = fn(&str, &[Row], &mut Report);
    let mut report = Report::default();
    let mut sections = sections(document, &mut report.faults);
    for kind in Kind::ALL {
        let (name, run): (&str, Run) = match kind {
            Kind::GCounter => ("GCounter", run_section::<GCounter>),
            Kind::PnCounter => ("PnCounter", run_section::<PnCounter>),
            Kind::LwwRegister => ("LwwRegister", run_section::<LwwRegister<String>>),
            Kind::MvRegister => ("MvRegister", run_section::<MvRegister<String>>),
            Kind::OrSet => ("OrSet", run_section::<OrSet<String>>),
        };
        run(name, &sections.remove(name).unwrap_or_default(), &mut report);
    }
    for (name, rows) in sections {
        report.faults.push(format!("line {}: `{name}` is none of the types, and has a table", rows[0].line));
    }
    report
}

/// The rows of all tables, by the heading above them.
fn sections<'a>(document: &'a str, faults: &mut Vec<String>) -> BTreeMap<&'a str, Vec<Row<'a>>> {
    let mut sections: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let (mut section, mut heads) = ("", None);
    for (index, line) in document.lines().enumerate() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.trim();
        }
        let Some(row) = line.strip_prefix('|').map(|row| row.trim_end().trim_end_matches('|')) else {
            heads = None;
            continue;
        };
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        match &heads {
            None => heads = Some(cells),
            Some(_) if cells.iter().all(|cell| cell.chars().all(|sign| sign == '-')) => {}
            Some(heads) if heads.len() == cells.len() => {
                let cells = heads.iter().copied().zip(cells).collect();
                sections.entry(section).or_default().push(Row { line: index + 1, cells });
            }
            Some(heads) => {
                faults.push(format!("line {}: {} cells under {} heads", index + 1, cells.len(), heads.len()));
            }
        }
    }
    sections
}

fn run_section<T: Subject>(name: &str, rows: &[Row], report: &mut Report)
where
    CausalContext: Seen<T::Key>,
{
    let befores = || T::BEFORE.iter().map(|(before, _)| *before).chain([NOTHING]);
    let mut missing: BTreeSet<String> = befores()
        .flat_map(|before| T::OPERATIONS.iter().map(move |one| (before, one)))
        .flat_map(|(before, one)| T::OPERATIONS.iter().map(move |other| (before, one, other)))
        .map(|(before, one, other)| format!("{} after `{before}`", T::pair(before, one, other)))
        .collect();
    for row in rows {
        report.rows += 1;
        let result = match (row.get("before"), row.get("one replica"), row.get("another, meanwhile"), row.get("story"))
        {
            (Some(before), Some(one), Some(other), None) => {
                let chosen: Vec<_> = befores().filter(|known| before == "any" || before == *known).collect();
                for before in &chosen {
                    missing.remove(&format!("{} after `{before}`", T::pair(before, one, other)));
                }
                if chosen.is_empty() {
                    Err(format!("`{before}` is no state to begin with"))
                } else {
                    chosen.iter().try_for_each(|before| run_pair::<T>(row, before, one, other, &mut report.orders))
                }
            }
            (None, None, None, Some(story)) => run_story::<T>(row, story, &mut report.orders),
            _ => Err("neither a pair of operations nor a story".to_owned()),
        };
        report.faults.extend(result.err().map(|fault| format!("line {}: {name}: {fault}", row.line)));
    }
    report.faults.extend(missing.into_iter().map(|pair| format!("{name}: no row for {pair}")));
}

// --- Running a row.

/// The replicas of a row. Their ids are in no particular order, so every role goes to each of them.
const NAMES: [&str; 3] = ["ann", "bob", "cat"];

/// What is claimed of a state.
struct Claim<'a> {
    read: &'a str,
    kept: Option<&'a str>,
}

impl Claim<'_> {
    fn check<T: Subject>(&self, state: &T, order: &str) -> Result<(), String> {
        let sorted = |values: &str| list(values.split(", "));
        if state.read() != sorted(self.read) {
            Err(format!("all read `{}`, not `{}`: {order}", state.read(), self.read))
        } else if self.kept.is_some_and(|kept| state.kept() != sorted(kept)) {
            Err(format!("all keep `{}`, not `{}`: {order}", state.kept(), self.kept.unwrap_or_default()))
        } else {
            Ok(())
        }
    }
}

/// Every way to give the roles of the two operations, and of who wrote what was there before, to the replicas.
fn run_pair<T: Subject>(row: &Row, before: &str, one: &str, other: &str, tried: &mut usize) -> Result<(), String>
where
    CausalContext: Seen<T::Key>,
{
    for roles in orders(NAMES.len()) {
        for (author, times) in (0..NAMES.len()).flat_map(|author| TIMES.map(|times| (author, times))) {
            let mut cast = Cast::<T>::new(&roles);
            if let Some((_, operation)) = T::BEFORE.iter().find(|(known, _)| *known == before) {
                cast.act(author, operation, times[author])?;
                (0..NAMES.len()).try_for_each(|who| cast.hear(who, author, By::State))?;
            }
            cast.act(0, one, times[0])?;
            cast.act(1, other, times[1])?;
            let greater =
                if cast.writers[0].replica() > cast.writers[1].replica() { [one, other] } else { [other, one] };
            let written = greater.map(|operation| operation.split(' ').nth(1).unwrap_or_default());
            let mean = |cell| match cell {
                "the greater replica's" => written[0],
                "the other's" => written[1],
                value => value,
            };
            let read = row.get("all read").ok_or("it does not say what all read")?;
            cast.converge(&Claim { read: mean(read), kept: row.get("all keep").map(mean) }, tried)?;
        }
    }
    Ok(())
}

/// Times for what names none: the greatest first, last, and all equal.
const TIMES: [[Timestamp; 3]; 3] = {
    const EARLY: Timestamp = Timestamp::from_millis(1);
    const LATE: Timestamp = Timestamp::from_millis(2);
    [[LATE, EARLY, EARLY], [EARLY, LATE, EARLY], [EARLY, EARLY, EARLY]]
};

fn run_story<T: Subject>(row: &Row, story: &str, tried: &mut usize) -> Result<(), String>
where
    CausalContext: Seen<T::Key>,
{
    let who = |name: &str| NAMES.iter().position(|known| *known == name).ok_or(format!("who is `{name}`?"));
    for roles in orders(NAMES.len()) {
        for by in [By::State, By::Deltas] {
            let mut cast = Cast::<T>::new(&roles);
            for step in story.split("; ") {
                let (name, action) = step.split_once(' ').ok_or(format!("cannot read `{step}`"))?;
                match action.strip_prefix("hears ") {
                    Some(other) => cast.hear(who(name)?, who(other)?, by)?,
                    None => cast.act(who(name)?, action, Timestamp::from_millis(1))?,
                }
            }
            let read = row.get("all read").ok_or("it does not say what all read")?;
            cast.converge(&Claim { read, kept: row.get("all keep") }, tried)?;
        }
    }
    Ok(())
}

/// How one replica hears another.
#[derive(Clone, Copy, Debug)]
enum By {
    /// By a merge of its whole state.
    State,
    /// By all deltas that it knows, the latest first.
    Deltas,
}

/// Three writers, all deltas so far, and who knows which.
struct Cast<T: Subject> {
    writers: Vec<Writer<T>>,
    deltas: Vec<Delta<T>>,
    known: [BTreeSet<usize>; 3],
}

impl<T: Subject> Cast<T>
where
    CausalContext: Seen<T::Key>,
{
    fn new(roles: &[usize]) -> Self {
        let writers = roles.iter().map(|role| Writer::new(ReplicaId::named(NAMES[*role]))).collect();
        Self { writers, deltas: Vec::new(), known: Default::default() }
    }

    fn act(&mut self, who: usize, operation: &str, time: Timestamp) -> Result<(), String> {
        let words: Vec<_> = operation.split(' ').collect();
        let delta = T::act(&mut self.writers[who], &words, time).ok_or(format!("cannot do `{operation}`"))?;
        self.known[who].insert(self.deltas.len());
        self.deltas.push(delta);
        Ok(())
    }

    fn hear(&mut self, who: usize, other: usize, by: By) -> Result<(), String> {
        let heard = self.known[other].clone();
        match by {
            By::State => {
                let state = (*self.writers[other]).clone();
                self.writers[who].merge(&state).map_err(|error| error.to_string())?;
            }
            By::Deltas => {
                for delta in heard.iter().rev() {
                    self.writers[who].merge_delta(&self.deltas[*delta]).map_err(|error| error.to_string())?;
                }
            }
        }
        self.known[who].extend(heard);
        Ok(())
    }

    /// Brings every replica, and one that knows nothing, up to date in every order, and demands the claim of each.
    fn converge(&self, claim: &Claim, tried: &mut usize) -> Result<(), String> {
        let states: Vec<Causal<T>> = self.writers.iter().map(|writer| (**writer).clone()).collect();
        let starts = || states.iter().cloned().chain([Causal::default()]);
        let mut end: Option<Causal<T>> = None;
        let mut arrive = |state: Causal<T>, order: String| {
            *tried += 1;
            claim.check(&*state, &order)?;
            match &end {
                Some(end) if *end != state => Err(format!("{end:?} and {state:?}: {order}")),
                Some(_) => Ok(()),
                None => {
                    end = Some(state);
                    Ok(())
                }
            }
        };
        for order in orders(self.deltas.len()) {
            for mut state in starts() {
                let mut last = None;
                for delta in order.iter().map(|index| &self.deltas[*index]) {
                    state.merge_delta(delta);
                    last.replace(delta).into_iter().for_each(|again| state.merge_delta(again));
                }
                arrive(state, format!("deltas in the order {order:?}"))?;
            }
            let mut group = Delta::default();
            order.iter().for_each(|index| group.merge(&self.deltas[*index]));
            for mut state in starts() {
                state.merge_delta(&group);
                arrive(state, format!("deltas in one group, in the order {order:?}"))?;
            }
        }
        for order in orders(states.len()) {
            for mut state in starts() {
                order.iter().for_each(|index| state.merge(&states[*index]));
                arrive(state, format!("whole states in the order {order:?}"))?;
            }
        }
        Ok(())
    }
}

/// Every order of `0..count`.
fn orders(count: usize) -> Vec<Vec<usize>> {
    (0..count).fold(vec![Vec::new()], |orders, next| {
        let places = |order: &Vec<usize>| 0..=order.len();
        let with = |order: &Vec<usize>, place| {
            let mut order = order.clone();
            order.insert(place, next);
            order
        };
        orders.iter().flat_map(|order| places(order).map(|place| with(order, place)).collect::<Vec<_>>()).collect()
    })
}
