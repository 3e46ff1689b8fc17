//! Random logs for the codec: real histories of a few replicas, and what their rows say in a form to compare.

use std::collections::BTreeMap;

use crdt_core::{Bytes, Dot, DotSource, Frontier, Kind, Object, ObjectChanges, Position, Tally, Timestamp};
use replica::{
    key::ObjectKey,
    keyspace::{Mark, MarkValue},
    log::{Eviction, Keys, LogHeader, Row, RowBody, encode_segment},
    name::{ReplicaName, Roster},
};
use sim::Random;

/// What a row says, to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Of a counter.
    Counter(Vec<Tally>),
    /// Of a register: the write, and what it superseded.
    Register(Option<(Dot, Timestamp, Vec<u8>)>, Vec<Dot>),
    /// Of a set: elements, whether added, what was removed.
    Set(Vec<(Vec<u8>, bool, Vec<Dot>)>),
}

/// What changes say.
#[must_use]
pub fn said_by_changes(changes: &ObjectChanges) -> Said {
    match changes {
        ObjectChanges::Counter(changes) => Said::Counter(changes.tallies().to_vec()),
        ObjectChanges::Register(changes) => {
            let write = changes.added().first();
            let write = write.map(|write| (write.dot, write.timestamp, write.value.to_vec()));
            Said::Register(write, changes.removed().to_vec())
        }
        ObjectChanges::Set(changes) => {
            let edits = changes.edits();
            Said::Set(edits.map(|(e, edit)| (e.to_vec(), !edit.added().is_empty(), edit.removed().to_vec())).collect())
        }
    }
}

/// What a row that was read says.
#[must_use]
pub fn said_by_row(row: Row<'_, '_>) -> Said {
    match row.body {
        RowBody::Counter(tallies) => Said::Counter(tallies.to_vec()),
        RowBody::Register { written, removed } => {
            let written = written.map(|write| (write.dot, write.timestamp, write.value.to_vec()));
            Said::Register(written, removed.to_vec())
        }
        RowBody::Set(mut edits) => {
            let mut said = Vec::new();
            while let Some(edit) = edits.next() {
                said.push((edit.element.to_vec(), edit.added, edit.removed.to_vec()));
            }
            Said::Set(said)
        }
    }
}

/// A replica that changes objects and cuts segments.
#[derive(Debug)]
pub struct Author {
    /// Its name.
    pub name: ReplicaName,
    /// Its objects.
    pub objects: BTreeMap<ObjectKey, Object>,
    /// What it has applied and published.
    pub frontier: Frontier,
    source: DotSource,
    open: BTreeMap<ObjectKey, ObjectChanges>,
    now: Timestamp,
}

/// A segment before it is encoded.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The header.
    pub header: LogHeader,
    /// The rows.
    pub rows: BTreeMap<ObjectKey, ObjectChanges>,
    /// The evictions.
    pub evictions: Vec<Eviction>,
    /// The marks.
    pub marks: Vec<Mark>,
    /// Where it goes.
    pub key: String,
}

impl Draft {
    /// Its bytes.
    ///
    /// # Panics
    ///
    /// When it has none.
    #[must_use]
    pub fn encode(&self, roster: &Roster) -> bytes::Bytes {
        encode_segment(&self.header, roster, self.rows.iter(), &self.evictions, &self.marks, &self.key, None)
            .expect("a draft is sound")
    }
}

/// The names that are used.
pub const NAMES: [&str; 4] = ["eu-west-1", "us-east-1", "ap-southeast-1", "eu-west-1-b"];

/// Everybody, by id.
#[must_use]
pub fn roster() -> Roster {
    let mut roster = Roster::default();
    for name in NAMES {
        roster.insert(name_of(name)).expect("no two names share an id");
    }
    roster
}

/// A name that is one.
#[must_use]
pub fn name_of(name: &str) -> ReplicaName {
    name.parse().expect("a name")
}

/// An empty object.
#[must_use]
pub fn object(kind: Kind) -> Object {
    Object::new(kind, Default::default())
}

/// Small numbers mostly, and now and then one of any size.
pub fn number(random: &mut Random) -> u64 {
    let bits = random.below(64);
    if random.chance(700_000) { random.below(200) } else { random.next() >> bits }
}

fn path(random: &mut Random) -> String {
    const STEMS: [&str; 6] =
        ["board/daily/", "board/", "gr\u{f6}\u{df}e/\u{e4}", "gr\u{f6}\u{df}e/\u{f6}", "b", "carts/\u{65e5}\u{672c}/"];
    let stem = STEMS[random.below(6) as usize];
    format!("{stem}{:x}", random.below(40))
}

fn bytes(random: &mut Random) -> Bytes {
    let length = if random.chance(900_000) { random.below(12) } else { random.below(400) };
    (0..length).map(|_| (random.next() & 3) as u8).collect()
}

impl Author {
    /// A replica that has done nothing.
    #[must_use]
    pub fn new(name: &str, epoch: u32) -> Self {
        let name = name_of(name);
        Self {
            source: DotSource::new(name.id(), epoch),
            name,
            objects: BTreeMap::new(),
            frontier: Frontier::default(),
            open: BTreeMap::new(),
            now: Timestamp::new(1_700_000_000_000, 0),
        }
    }

    /// Changes something.
    ///
    /// # Panics
    ///
    /// Never.
    pub fn act(&mut self, random: &mut Random) {
        let kind = Kind::ALL[random.below(5) as usize];
        let key = ObjectKey::new(path(random), kind).expect("a path");
        let state = self.objects.entry(key.clone()).or_insert_with(|| object(kind));
        let changes = self.open.entry(key).or_insert_with(|| ObjectChanges::none(kind));
        let open = self.source.open();
        self.now = Timestamp::new(self.now.millis() + random.below(300), random.below(3) as u16);
        if random.chance(150_000) {
            state.delete(open, changes).expect("the same kind");
            return;
        }
        match (state, changes) {
            (Object::GCounter(counter), _) => {
                let _overflow = counter.add(number(random), open);
            }
            (Object::PnCounter(counter), _) => {
                let amount = (number(random) >> 1).cast_signed();
                let _overflow = counter.add(if random.chance(400_000) { -amount } else { amount }, open);
            }
            (Object::LwwRegister(register), ObjectChanges::Register(changes)) => {
                register.set(bytes(random), self.now, open, changes);
            }
            (Object::MvRegister(register), ObjectChanges::Register(changes)) => {
                register.set(bytes(random), self.now, open, changes);
            }
            (Object::OrSet(set), ObjectChanges::Set(changes)) => {
                let most = if random.chance(100_000) { 60 } else { 3 };
                for _ in 0..=random.below(most) {
                    let element = bytes(random);
                    if random.chance(700_000) {
                        set.add(element, open, changes);
                    } else {
                        set.remove(&*element, open, changes);
                    }
                }
            }
            _ => unreachable!("changes are of the object's kind"),
        }
    }

    /// Cuts the open segment, with own tallies as they stand.
    pub fn cut(&mut self, random: &mut Random) -> Draft {
        let dot = self.source.cut();
        let mut rows = core::mem::take(&mut self.open);
        for (key, object) in &self.objects {
            let own = object.tallies().iter().find(|tally| tally.parts().replica == dot.replica);
            if let Some(own) = own.filter(|own| own.parts().last == dot.position) {
                let changes = rows.entry(key.clone()).or_insert_with(|| ObjectChanges::none(key.kind()));
                if let ObjectChanges::Counter(changes) = changes {
                    changes.record(*own);
                }
            }
        }
        rows.retain(|_, changes| !changes.is_empty());
        self.frontier.advance(dot);
        let mut ack = self.frontier.clone();
        if random.chance(500_000) {
            ack = Frontier::default();
        }
        let header = LogHeader {
            replica: self.name.clone(),
            position: dot.position,
            nonce: [random.next() as u8; 16],
            previous: random.chance(800_000).then(|| blake3::hash(&random.next().to_le_bytes())),
            wall_ms: number(random),
            hlc: self.now,
            frontier: self.frontier.clone(),
            ack,
        };
        let evictions = if random.chance(100_000) {
            vec![Eviction { replica: name_of(NAMES[3]), last: Position::from(number(random)) }]
        } else {
            Vec::new()
        };
        let key = Keys::new("root").expect("a root").log(&header.replica, header.position);
        Draft { header, rows, evictions, marks: marks(random), key }
    }

    /// Applies what another has cut, by merging its changes.
    ///
    /// # Panics
    ///
    /// When a row is of the wrong kind.
    pub fn apply(&mut self, draft: &Draft) {
        for (key, changes) in &draft.rows {
            let state = self.objects.entry(key.clone()).or_insert_with(|| object(key.kind()));
            state.merge_changes(&self.frontier, changes).expect("the same kind");
        }
        self.frontier.advance(draft.header.dot());
        self.objects.retain(|_, object| !object.is_empty());
    }
}

/// A few marks.
pub fn marks(random: &mut Random) -> Vec<Mark> {
    let mut marks: Vec<Mark> = (0..random.below(4))
        .map(|_| Mark {
            name: format!("topic/{}", random.below(99)).into_bytes().into(),
            value: if random.chance(500_000) {
                MarkValue::Number(number(random))
            } else {
                MarkValue::Hash([random.next() as u8; 32])
            },
            time: Timestamp::from(number(random)),
        })
        .collect();
    marks.sort_by(|left, right| left.name.cmp(&right.name));
    marks.dedup_by(|left, right| left.name == right.name);
    marks
}

/// A random history of three replicas: every segment that was cut, and how the replicas ended.
#[must_use]
pub fn history(seed: u64, steps: u64) -> (Vec<Draft>, Vec<Author>) {
    let mut random = Random::new(seed);
    let epochs = [0, 1_700_000_000, random.next() as u32];
    let mut authors: Vec<_> = NAMES.iter().zip(epochs).map(|(name, epoch)| Author::new(name, epoch)).collect();
    let mut drafts: Vec<Draft> = Vec::new();
    let mut applied = [0; 3];
    for _ in 0..steps {
        let who = random.below(3) as usize;
        match random.below(10) {
            0 => {
                let draft = authors[who].cut(&mut random);
                drafts.push(draft);
            }
            // Every log's drafts come in their order, since all come in the order of cutting.
            1 | 2 if applied[who] < drafts.len() => {
                let draft = &drafts[applied[who]];
                if draft.header.replica != authors[who].name {
                    authors[who].apply(draft);
                }
                applied[who] += 1;
            }
            _ => authors[who].act(&mut random),
        }
    }
    (drafts, authors)
}
