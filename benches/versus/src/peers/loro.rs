//! `loro`: a map of values, and its counters, which are floating-point numbers.

use loro::{ExportMode, LoroDoc, LoroMap as Map, LoroValue, ValueOrContainer};

use super::{Cell, Counters, Document, Write};

/// A document with one map.
#[derive(Debug)]
pub(crate) struct LoroMap {
    doc: LoroDoc,
    map: Map,
}

/// A document with a map of counters.
#[derive(Debug)]
pub(crate) struct LoroCounters(LoroMap);

impl LoroMap {
    fn sent(&self, change: impl FnOnce(&Map)) -> Vec<u8> {
        let before = self.doc.oplog_vv();
        change(&self.map);
        self.doc.commit();
        self.doc.export(ExportMode::updates(&before)).expect("it is exported")
    }
}

impl Document for LoroMap {
    const NAME: &'static str = "loro";

    fn new(replica: u64) -> Self {
        let doc = LoroDoc::new();
        doc.set_peer_id(replica).expect("nothing is written yet");
        let map = doc.get_map("paths");
        Self { doc, map }
    }

    fn write(&mut self, writes: &[Write]) -> Vec<u8> {
        self.sent(|map| {
            for (key, cell) in writes {
                match cell {
                    Some(Cell::Number(sum)) => map.insert(key, *sum),
                    Some(Cell::Text(text)) => map.insert(key, text.as_str()),
                    Some(Cell::There) => map.insert(key, true),
                    None => map.delete(key),
                }
                .expect("it is taken");
            }
        })
    }

    fn merge(&mut self, sent: &[u8]) {
        let status = self.doc.import(sent).expect("it was sent so");
        assert!(status.pending.is_none(), "nothing is missing");
    }

    fn save(&mut self) -> Vec<u8> {
        self.doc.export(ExportMode::Snapshot).expect("it is exported")
    }

    fn load(replica: u64, saved: &[u8]) -> Self {
        let mut loaded = Self::new(replica);
        loaded.merge(saved);
        loaded
    }

    fn get(&self, key: &str) -> Option<Cell> {
        match self.map.get(key)? {
            ValueOrContainer::Value(LoroValue::I64(sum)) => Some(Cell::Number(sum)),
            ValueOrContainer::Value(LoroValue::String(text)) => Some(Cell::Text(text.to_string())),
            ValueOrContainer::Value(LoroValue::Bool(true)) => Some(Cell::There),
            other => panic!("{key} is {other:?}"),
        }
    }

    fn len(&self) -> usize {
        self.map.len()
    }
}

impl Counters for LoroCounters {
    const NAME: &'static str = "loro";

    fn new(replica: u64) -> Self {
        Self(LoroMap::new(replica))
    }

    fn count(&mut self, counts: &[(String, i64)]) -> Vec<u8> {
        self.0.sent(|map| {
            for (path, amount) in counts {
                let counter = map.ensure_mergeable_counter(path).expect("a counter");
                counter.increment(*amount as f64).expect("it is taken");
            }
        })
    }

    fn merge(&mut self, sent: &[u8]) {
        self.0.merge(sent);
    }

    fn value(&self, path: &str) -> i64 {
        match self.0.map.get(path) {
            Some(ValueOrContainer::Container(loro::Container::Counter(counter))) => counter.get_value() as i64,
            other => panic!("{path} is {other:?}"),
        }
    }
}
