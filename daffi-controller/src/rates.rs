//! How fast each node may send.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use daffi_core::link::Throttle;

/// The throttles of all nodes. One that comes back has the one that it had, so nobody is the faster for it.
#[derive(Debug)]
pub(crate) struct Rates {
    bytes_per_second: Option<u64>,
    /// By a node's name.
    throttles: Mutex<HashMap<String, Throttle>>,
}

impl Rates {
    /// For so many bytes a second of each node; for any number if there is no limit.
    pub(crate) fn new(bytes_per_second: Option<u64>) -> Self {
        Self { bytes_per_second, throttles: Mutex::default() }
    }

    /// A node's throttle. It is known for as long as somebody has it, and until what it let through is paid for.
    pub(crate) fn of(&self, node: &str) -> Throttle {
        let Some(bytes_per_second) = self.bytes_per_second else { return Throttle::default() };
        // Single insertions and removals: a panic leaves the map whole.
        let mut throttles = self.throttles.lock().unwrap_or_else(PoisonError::into_inner);
        throttles.retain(|_, throttle| !throttle.is_as_new());
        throttles.entry(node.to_owned()).or_insert_with(|| Throttle::new(bytes_per_second)).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MOMENT: Duration = Duration::from_nanos(1);

    async fn must_wait(throttle: Throttle) -> bool {
        tokio::time::timeout(MOMENT, throttle.pay(1)).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_back_owes_what_it_owed() {
        let rates = Rates::new(Some(1_000));
        assert!(tokio::time::timeout(MOMENT, rates.of("a").pay(5_000)).await.is_err());
        assert!(must_wait(rates.of("a")).await);
        assert!(!must_wait(rates.of("b")).await, "another has one of its own");
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(!must_wait(rates.of("a")).await);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_kept_of_who_is_gone_and_owes_nothing() {
        let rates = Rates::new(Some(1_000));
        let stays = rates.of("stays");
        for number in 0..100 {
            rates.of(&number.to_string()).pay(10).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        rates.of("last");
        let mut known: Vec<_> = rates.throttles.lock().unwrap().keys().cloned().collect();
        known.sort();
        assert_eq!(known, ["last", "stays"]);
        drop(stays);
        Rates::new(None).of("a").pay(usize::MAX).await;
    }
}
