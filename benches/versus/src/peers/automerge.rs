//! `automerge`: a map of values, and its counters.

use automerge::{ActorId, AutoCommit, ROOT, ReadDoc, ScalarValue, Value, transaction::Transactable};

use super::{Cell, Counters, Document, Write};

/// A document whose root is the map.
#[derive(Debug)]
pub(crate) struct AutomergeMap(AutoCommit);

/// A document whose root has the counters.
#[derive(Debug)]
pub(crate) struct AutomergeCounters(AutoCommit);

impl Document for AutomergeMap {
    const NAME: &'static str = "automerge";

    fn new(replica: u64) -> Self {
        Self(document(replica))
    }

    fn write(&mut self, writes: &[Write]) -> Vec<u8> {
        for (key, cell) in writes {
            match cell {
                Some(Cell::Number(sum)) => self.0.put(ROOT, key.as_str(), *sum),
                Some(Cell::Text(text)) => self.0.put(ROOT, key.as_str(), text.as_str()),
                Some(Cell::There) => self.0.put(ROOT, key.as_str(), true),
                None => self.0.delete(ROOT, key.as_str()),
            }
            .expect("it is taken");
        }
        sent(&mut self.0)
    }

    fn merge(&mut self, sent: &[u8]) {
        self.0.load_incremental(sent).expect("it was sent so");
    }

    fn save(&mut self) -> Vec<u8> {
        self.0.save()
    }

    fn load(replica: u64, saved: &[u8]) -> Self {
        Self(AutoCommit::load(saved).expect("it was saved so").with_actor(actor(replica)))
    }

    fn get(&self, key: &str) -> Option<Cell> {
        let (value, _) = self.0.get(ROOT, key).expect("a root has keys")?;
        match value {
            Value::Scalar(scalar) => match &*scalar {
                ScalarValue::Int(sum) => Some(Cell::Number(*sum)),
                ScalarValue::Str(text) => Some(Cell::Text(text.to_string())),
                ScalarValue::Boolean(true) => Some(Cell::There),
                other => panic!("{key} is {other:?}"),
            },
            Value::Object(other) => panic!("{key} is {other:?}"),
        }
    }

    fn len(&self) -> usize {
        self.0.length(ROOT)
    }
}

impl Counters for AutomergeCounters {
    const NAME: &'static str = "automerge";

    fn new(replica: u64) -> Self {
        Self(document(replica))
    }

    fn count(&mut self, counts: &[(String, i64)]) -> Vec<u8> {
        for (path, amount) in counts {
            if self.0.get(ROOT, path.as_str()).expect("a root has keys").is_some() {
                self.0.increment(ROOT, path.as_str(), *amount).expect("it is a counter");
            } else {
                self.0.put(ROOT, path.as_str(), ScalarValue::counter(*amount)).expect("it is taken");
            }
        }
        sent(&mut self.0)
    }

    fn merge(&mut self, sent: &[u8]) {
        self.0.load_incremental(sent).expect("it was sent so");
    }

    fn value(&self, path: &str) -> i64 {
        let found = self.0.get(ROOT, path).expect("a root has keys");
        found.and_then(|(value, _)| value.as_i64()).expect("a counter")
    }
}

fn document(replica: u64) -> AutoCommit {
    AutoCommit::new().with_actor(actor(replica))
}

fn actor(replica: u64) -> ActorId {
    ActorId::from(replica.to_be_bytes())
}

fn sent(document: &mut AutoCommit) -> Vec<u8> {
    document.commit();
    document.save_incremental()
}
