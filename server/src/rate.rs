//! How many requests a second an address may make.
//! Layer 0.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use core::time::Duration;

use tokio::time::Instant;

/// How many addresses are kept in mind. One more, and those are let go that have been quiet; if none has, all are.
const ADDRESSES_MAX: usize = 65_536;

/// Buckets of requests, one for each address, which fill up again with time.
#[derive(Debug)]
pub(crate) struct Rate {
    per_second: f64,
    left: Mutex<BTreeMap<Network, (f64, Instant)>>,
}

/// An address; of one with 128 bits the first 64, which is what somebody has who has one.
type Network = u128;

impl Rate {
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second: f64::from(per_second.max(1)), left: Mutex::default() }
    }

    /// Takes a request out of the bucket of an address. If there is none left, returns how long it takes until there is.
    pub(crate) fn take(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let burst = self.per_second * 2.0;
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.len() >= ADDRESSES_MAX {
            let full = Duration::from_secs(2);
            left.retain(|_, (_, since)| now.saturating_duration_since(*since) < full);
            if left.len() >= ADDRESSES_MAX {
                left.clear();
            }
        }
        let (requests, since) = left.entry(network(address)).or_insert((burst, now));
        let more = now.saturating_duration_since(*since).as_secs_f64() * self.per_second;
        *since = now;
        *requests = (*requests + more).min(burst);
        if *requests < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - *requests) / self.per_second));
        }
        *requests -= 1.0;
        Ok(())
    }
}

fn network(address: IpAddr) -> Network {
    match address.to_canonical() {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => u128::from(address) >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_has_so_many_a_second_and_twice_as_many_at_once() {
        let rate = Rate::new(10);
        let (one, other): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let now = Instant::now();
        let taken = |address, now| (0..100).take_while(|_| rate.take(address, now).is_ok()).count();
        assert_eq!(taken(one, now), 20);
        assert_eq!(rate.take(one, now), Err(Duration::from_millis(100)));
        assert_eq!(taken(other, now), 20);
        assert_eq!(taken(one, now + Duration::from_millis(500)), 5);
        assert_eq!(taken(one, now + Duration::from_secs(60)), 20);
    }

    #[tokio::test]
    async fn a_network_of_long_addresses_counts_as_one() {
        let rate = Rate::new(1);
        let address = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 7, 0, 0, 0, last]);
        let now = Instant::now();
        assert_eq!([1, 2, 3].map(|last| rate.take(address(last), now).is_ok()), [true, true, false]);
        assert!(rate.take(IpAddr::from([0x2001, 0xdb8, 0, 8, 0, 0, 0, 1]), now).is_ok());
    }

    #[tokio::test]
    async fn addresses_are_not_kept_without_end() {
        let rate = Rate::new(1);
        let now = Instant::now();
        for number in 0..ADDRESSES_MAX as u32 + 10 {
            assert!(rate.take(IpAddr::from(number.to_be_bytes()), now).is_ok());
        }
        assert!(rate.left.lock().unwrap().len() <= ADDRESSES_MAX);
    }
}
