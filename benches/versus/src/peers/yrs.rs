//! `yrs`: a map of values. It has no counters.

use yrs::{Any, Doc, Map, MapRef, Number, Out, ReadTxn, StateVector, Transact, Update, updates::decoder::Decode};

use super::{Cell, Document, Write};

/// A document with one map.
#[derive(Debug)]
pub(crate) struct YrsMap {
    doc: Doc,
    map: MapRef,
}

impl Document for YrsMap {
    const NAME: &'static str = "yrs";

    fn new(replica: u64) -> Self {
        let doc = Doc::with_client_id(replica);
        let map = doc.get_or_insert_map("paths");
        Self { doc, map }
    }

    fn write(&mut self, writes: &[Write]) -> Vec<u8> {
        let mut transaction = self.doc.transact_mut();
        for (key, cell) in writes {
            let value = match cell {
                Some(Cell::Number(sum)) => Any::Number(Number::Int(*sum)),
                Some(Cell::Text(text)) => Any::from(text.as_str()),
                Some(Cell::There) => Any::Bool(true),
                None => {
                    self.map.remove(&mut transaction, key);
                    continue;
                }
            };
            let _item = self.map.insert(&mut transaction, key.as_str(), value);
        }
        transaction.encode_update_v1()
    }

    fn merge(&mut self, sent: &[u8]) {
        let update = Update::decode_v1(sent).expect("it was sent so");
        self.doc.transact_mut().apply_update(update).expect("it is merged");
    }

    fn save(&mut self) -> Vec<u8> {
        self.doc.transact().encode_state_as_update_v1(&StateVector::default())
    }

    fn load(replica: u64, saved: &[u8]) -> Self {
        let mut loaded = Self::new(replica);
        loaded.merge(saved);
        loaded
    }

    fn get(&self, key: &str) -> Option<Cell> {
        match self.map.get(&self.doc.transact(), key)? {
            Out::Any(Any::Number(Number::Int(sum))) => Some(Cell::Number(sum)),
            Out::Any(Any::String(text)) => Some(Cell::Text(text.to_string())),
            Out::Any(Any::Bool(true)) => Some(Cell::There),
            other => panic!("{key} is {other:?}"),
        }
    }

    fn len(&self) -> usize {
        self.map.len(&self.doc.transact()) as usize
    }
}
