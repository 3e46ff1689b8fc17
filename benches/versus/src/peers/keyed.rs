//! `crdts` as one would keep many objects with it: a hash map of paths to its types, to which operations are applied.

#![expect(clippy::disallowed_types, reason = "it is what anybody would take, as it comes")]

use std::collections::HashMap;

use benches::corpus::Act;
use crdts::{CmRDT, CvRDT, LWWReg, Orswot, PNCounter, orswot, pncounter};

use super::{Cell, Floor, floor::below};

/// One object.
#[derive(Debug)]
enum Object {
    Counter(PNCounter<u64>),
    Register(LWWReg<String, (u64, u64)>),
    Set(Orswot<String, u64>),
}

/// What one replica tells the others of one change.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Of a counter.
    Counter(pncounter::Op<u64>),
    /// Of a register.
    Register(LWWReg<String, (u64, u64)>),
    /// Of a set.
    Set(orswot::Op<String, u64>),
}

/// Objects by path.
#[derive(Debug, Default)]
pub(crate) struct Keyed {
    objects: HashMap<String, Object>,
    actor: u64,
    writes: u64,
}

impl Keyed {
    /// An empty one, of this actor.
    #[must_use]
    pub(crate) fn new(actor: u64) -> Self {
        Self { objects: HashMap::new(), actor, writes: 0 }
    }

    /// Changes an object. Returns what the others have to be told.
    pub(crate) fn act(&mut self, path: &str, act: &Act) -> Op {
        self.writes += 1;
        let (actor, marker) = (self.actor, (self.writes, self.actor));
        let object = self.objects.get(path);
        let op = match act {
            Act::Count(amount) => {
                let empty = PNCounter::new();
                let counter = if let Some(Object::Counter(counter)) = object { counter } else { &empty };
                let steps = amount.unsigned_abs();
                Op::Counter(if *amount < 0 { counter.dec_many(actor, steps) } else { counter.inc_many(actor, steps) })
            }
            Act::Write(text) => Op::Register(LWWReg { val: text.clone(), marker }),
            Act::Add(element) => {
                let empty = Orswot::new();
                let set = if let Some(Object::Set(set)) = object { set } else { &empty };
                Op::Set(set.add(element.clone(), set.read_ctx().derive_add_ctx(actor)))
            }
            Act::Remove(element) => {
                let empty = Orswot::new();
                let set = if let Some(Object::Set(set)) = object { set } else { &empty };
                Op::Set(set.rm(element.clone(), set.contains(element).derive_rm_ctx()))
            }
        };
        self.apply(path, op.clone());
        op
    }

    /// Applies what another replica has done.
    pub(crate) fn apply(&mut self, path: &str, op: Op) {
        if let Op::Register(written) = &op {
            // What is written here after it is later.
            self.writes = self.writes.max(written.marker.0);
        }
        if let Some(object) = self.objects.get_mut(path) {
            match (object, op) {
                (Object::Counter(counter), Op::Counter(op)) => counter.apply(op),
                (Object::Register(register), Op::Register(written)) => register.merge(written),
                (Object::Set(set), Op::Set(op)) => set.apply(op),
                (object, op) => panic!("{path} is {object:?}, and not of {op:?}"),
            }
            return;
        }
        let object = match op {
            Op::Counter(op) => {
                let mut counter = PNCounter::new();
                counter.apply(op);
                Object::Counter(counter)
            }
            Op::Register(written) => Object::Register(written),
            Op::Set(op) => {
                let mut set = Orswot::new();
                set.apply(op);
                Object::Set(set)
            }
        };
        self.objects.insert(path.to_owned(), object);
    }

    /// It reads the same as the floor.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[expect(clippy::iter_over_hash_type, reason = "in any order")]
    pub(crate) fn check(&self, floor: &Floor) {
        let mut cells = 0;
        for (path, object) in &self.objects {
            let mut check = |key: &str, cell: Cell| {
                cells += 1;
                assert_eq!(floor.0.get(key), Some(&cell), "crdts: {key}");
            };
            match object {
                Object::Counter(counter) => {
                    check(path, Cell::Number(counter.read().to_string().parse().expect("a small number")));
                }
                Object::Register(register) => check(path, Cell::Text(register.val.clone())),
                Object::Set(set) => {
                    set.iter().for_each(|element| check(&below(path, element.val), Cell::There));
                }
            }
        }
        assert_eq!(cells, floor.0.len(), "crdts: what is there");
    }
}
