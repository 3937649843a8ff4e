//! Which connections are taken before anything is known of their peers.
//!
//! A stranger costs a handshake of half a millisecond and some 40 kB until it has shown that it knows the secret, or its time is over.
//! So these are counted, in all and by address, and their rate is bounded. Whoever has not shown that its address is its own gets no more
//! than a half of anything, and is asked to show it beyond that: false addresses never answer a Retry, so they leave the other half to
//! those who do.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use daffi_core::{transport::Incoming, wire::bucket::Bucket};
use tokio::time::Instant;

use crate::{
    limits::Limits,
    refusals::{Counted, Ration},
};

/// From how many addresses on those that have been quiet are forgotten.
const ADDRESSES: usize = 1_024;

/// How many that were not let in are logged at once: more than go wrong when somebody makes a mistake, less than hurts.
const LOGGED: u64 = 20;

/// Lets connections in. Clones are the same gate.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Arc<Limits>,
    state: Mutex<State>,
    began: Instant,
}

#[derive(Debug)]
struct State {
    rate: Bucket,
    /// How many have not joined yet.
    unfinished: usize,
    addresses: HashMap<IpAddr, Address>,
    /// How often it is logged that connections are refused, and that those that were taken did not join: a flood is not to flood the log.
    refused: Ration,
    failed: Ration,
}

#[derive(Debug)]
struct Address {
    rate: Bucket,
    unfinished: usize,
}

/// What becomes of a connection.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Take,
    /// Its address is to be shown first.
    Validate,
    Refuse,
}

/// A connection that has not joined yet. Dropping it makes room for another.
#[derive(Debug)]
pub(crate) struct Unfinished {
    gate: Gate,
    address: Option<IpAddr>,
}

impl Gate {
    pub(crate) fn new(limits: Arc<Limits>, counted: Counted) -> Self {
        let rate = Bucket::new(limits.connections_per_second.into(), limits.connections_burst.into(), Duration::ZERO);
        let (refused, failed) = (Ration::new(1, counted.clone()), Ration::new(LOGGED, counted));
        let state = State { rate, unfinished: 0, addresses: HashMap::new(), refused, failed };
        Self(Arc::new(Shared { limits, state: Mutex::new(state), began: Instant::now() }))
    }

    /// Takes a connection, or answers it otherwise.
    pub(crate) fn pass(&self, incoming: Incoming) -> Option<(Incoming, Unfinished)> {
        let now = self.0.began.elapsed();
        let address = incoming.address().map(network);
        match self.lock().judge(address, incoming.is_validated(), &self.0.limits, now) {
            Verdict::Take => Some((incoming, Unfinished { gate: self.clone(), address })),
            Verdict::Validate => {
                incoming.validate();
                None
            }
            Verdict::Refuse => {
                incoming.refuse();
                None
            }
        }
    }

    /// Logs how many were not logged. To be called at the end of a period.
    pub(crate) fn log_rest(&self) {
        let (refused, failed) = {
            let mut state = self.lock();
            (state.refused.rest(), state.failed.rest())
        };
        if let Some(passed_over) = refused {
            tracing::warn!(passed_over, "refused more connections than were logged");
        }
        if let Some(passed_over) = failed {
            tracing::warn!(passed_over, "more connections were not established, or not let in, than were logged");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counters and a table: a panic leaves them whole.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn judge(&mut self, address: Option<IpAddr>, validated: bool, limits: &Limits, now: Duration) -> Verdict {
        match self.take(address, validated, limits, now) {
            Ok(()) => Verdict::Take,
            // It may be somebody else who has used up what this address has, or what all have.
            Err(_) if !validated => Verdict::Validate,
            Err(why) => self.refuse(why, address, now),
        }
    }

    /// Counts a connection, or says what there is too much of.
    fn take(
        &mut self,
        address: Option<IpAddr>,
        validated: bool,
        limits: &Limits,
        now: Duration,
    ) -> Result<(), &'static str> {
        // What is left to those who have shown their addresses.
        let rest = |burst: u32| if validated { 0 } else { u64::from(burst.div_ceil(2)) };
        let half = |places: usize| if validated { places } else { places / 2 };
        let places = if validated { limits.handshakes } else { limits.validate_above.min(half(limits.handshakes)) };
        if self.unfinished >= places {
            return Err("too many connections that have not joined");
        }
        let Some(ip) = address else {
            self.unfinished += 1;
            return Ok(());
        };
        // Before anything is kept of the address.
        if !self.rate.has_beyond(rest(limits.connections_burst), now) {
            return Err("too many connections a second");
        }
        if self.addresses.len() >= ADDRESSES {
            self.addresses.retain(|_, address| address.unfinished > 0 || !address.rate.is_full(now));
        }
        let (per_second, burst) = (limits.connections_per_second_per_address, limits.connections_burst_per_address);
        let new = || Address { rate: Bucket::new(per_second.into(), burst.into(), now), unfinished: 0 };
        let known = self.addresses.entry(ip).or_insert_with(new);
        if known.unfinished >= half(limits.handshakes / 2) {
            return Err("too many connections of this address that have not joined");
        }
        if !known.rate.has_beyond(rest(burst), now) {
            return Err("too many connections a second from this address");
        }
        self.rate.take(now);
        known.rate.take(now);
        known.unfinished += 1;
        self.unfinished += 1;
        Ok(())
    }

    /// Makes room for another connection.
    fn free(&mut self, address: Option<IpAddr>) {
        self.unfinished -= 1;
        if let Some(known) = address.and_then(|address| self.addresses.get_mut(&address)) {
            known.unfinished -= 1;
        }
    }

    fn refuse(&mut self, why: &str, address: Option<IpAddr>, now: Duration) -> Verdict {
        if self.refused.take(now) {
            tracing::warn!(?address, why, "refused a connection");
        }
        Verdict::Refuse
    }
}

impl Unfinished {
    /// Whether to log that it does not join.
    pub(crate) fn is_to_be_logged(&self) -> bool {
        let now = self.gate.0.began.elapsed();
        self.gate.lock().failed.take(now)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.gate.lock().free(self.address);
    }
}

/// What stands for an address: whoever has one of IPv6 has the 2^64 of its network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(9);

    fn state(limits: &Limits) -> State {
        let gate = Gate::new(Arc::new(limits.clone()), Counted::default());
        Arc::into_inner(gate.0).unwrap().state.into_inner().unwrap()
    }

    fn address(number: u32) -> Option<IpAddr> {
        Some(std::net::Ipv4Addr::from_bits(number).into())
    }

    fn limits() -> Limits {
        Limits { handshakes: 8, validate_above: 2, ..Limits::default() }
    }

    #[test]
    fn addresses_are_validated_from_the_threshold_on() {
        let (limits, mut state) = (limits(), state(&limits()));
        let mut judge = |number, validated| state.judge(address(number), validated, &limits, NOW);
        assert_eq!((judge(1, false), judge(2, false)), (Verdict::Take, Verdict::Take));
        assert_eq!((judge(3, false), judge(3, true)), (Verdict::Validate, Verdict::Take));
    }

    #[test]
    fn nothing_is_kept_of_false_addresses() {
        let (limits, mut state) = (limits(), state(&limits()));
        for number in 0..100_000 {
            state.judge(address(number), false, &limits, NOW);
        }
        assert_eq!((state.unfinished, state.addresses.len()), (2, 2));
    }

    #[test]
    fn false_addresses_use_nothing_up_that_fail_at_once() {
        let limits = Limits { connections_burst: 40, connections_burst_per_address: 40, ..Limits::default() };
        // Of many addresses; or all of the one of a node that is about to join.
        for false_address in [|number| address(number), |_| address(7)] {
            let mut state = state(&limits);
            let taken = (0..100_000).filter(|number| {
                let taken = state.judge(false_address(*number), false, &limits, NOW) == Verdict::Take;
                if taken {
                    state.free(false_address(*number));
                }
                taken
            });
            assert_eq!(taken.count(), 20);
            assert!(state.addresses.len() <= 20, "{}", state.addresses.len());
            assert!((0..20).all(|_| state.judge(address(7), true, &limits, NOW) == Verdict::Take));
            assert_eq!(state.judge(address(7), true, &limits, NOW), Verdict::Refuse);
        }
    }

    #[test]
    fn false_addresses_take_no_more_than_half_of_the_places_whatever_the_threshold() {
        let limits = Limits { handshakes: 8, ..Limits::default() };
        for (false_addresses, most) in [(1..100, 4), (1..2, 2)] {
            let mut state = state(&limits);
            let many = false_addresses.cycle().take(100);
            let taken = many.filter(|number| state.judge(address(*number), false, &limits, NOW) == Verdict::Take);
            assert_eq!(taken.count(), most);
            assert!(
                (0..8 - most).all(|number| state.judge(address(number as u32), true, &limits, NOW) == Verdict::Take)
            );
        }
    }

    #[test]
    fn one_address_takes_half_of_the_places_and_others_the_rest() {
        let (limits, mut state) = (limits(), state(&limits()));
        let mut judge = |number| state.judge(address(number), true, &limits, NOW);
        assert!((0..4).all(|_| judge(1) == Verdict::Take));
        assert_eq!(judge(1), Verdict::Refuse);
        assert!((0..4).all(|_| judge(2) == Verdict::Take));
        assert_eq!(judge(3), Verdict::Refuse);
    }

    #[test]
    fn the_rate_is_bounded_by_address_and_in_all() {
        let limits = Limits {
            connections_per_second: 10,
            connections_burst: 4,
            connections_per_second_per_address: 1,
            connections_burst_per_address: 3,
            ..Limits::default()
        };
        let mut state = state(&limits);
        let mut taken =
            |number, now| (0..10).filter(|_| state.judge(address(number), true, &limits, now) == Verdict::Take).count();
        assert_eq!((taken(1, NOW), taken(2, NOW)), (3, 1));
        assert_eq!(taken(1, NOW + Duration::from_secs(1)), 1);
    }

    #[test]
    fn quiet_addresses_are_forgotten() {
        let limits = Limits::default();
        let mut state = state(&limits);
        for number in 0..5_000 {
            // A second later each has its share again.
            let now = NOW + Duration::from_secs(number.into());
            assert_eq!(state.judge(address(number), true, &limits, now), Verdict::Take);
            state.free(address(number));
        }
        assert!(state.addresses.len() <= ADDRESSES, "{}", state.addresses.len());
    }

    #[tokio::test]
    async fn who_has_joined_makes_room() {
        let gate = Gate::new(Arc::new(limits()), Counted::default());
        gate.lock().judge(address(1), true, &gate.0.limits, NOW);
        drop(Unfinished { gate: gate.clone(), address: address(1) });
        let state = gate.lock();
        assert_eq!(
            (state.unfinished, state.addresses.values().map(|address| address.unfinished).sum::<usize>()),
            (0, 0)
        );
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1:2:3"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
