//! The settings of a story's replicas, in a file: intervals in milliseconds.
//! Layer 3.

use std::time::Duration;

use replica::Settings;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Whatever is said nowhere is as in `replica`.
macro_rules! written {
    ($($interval:ident),*; $($number:ident: $kind:ty),*) => {
        #[derive(Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Written {
            $(#[serde(with = "crate::milliseconds")] $interval: Duration,)*
            $($number: $kind,)*
        }

        impl From<&Settings> for Written {
            fn from(settings: &Settings) -> Self {
                Self { $($interval: settings.$interval,)* $($number: settings.$number,)* }
            }
        }

        impl From<Written> for Settings {
            fn from(written: Written) -> Self {
                let mut settings = Self::default();
                $(settings.$interval = written.$interval;)*
                $(settings.$number = written.$number;)*
                settings
            }
        }
    };
}

written! {
    flush_interval, poll_min, poll_max, discovery_interval, catch_up, snapshot_interval, ack_interval, retention, max_lag,
    clock_ahead;
    segment_bytes: u64, pending_bytes: u64, memory_bytes: u64, shards: usize
}

impl Default for Written {
    fn default() -> Self {
        Self::from(&Settings::default())
    }
}

pub(super) fn serialize<S: Serializer>(settings: &Settings, serializer: S) -> Result<S::Ok, S::Error> {
    Written::from(settings).serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Settings, D::Error> {
    Written::deserialize(deserializer).map(Settings::from)
}
