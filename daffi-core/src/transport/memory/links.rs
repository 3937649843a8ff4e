//! What a test does to a network's links.

use std::time::Duration;

use tokio::time::Instant;

use super::{Link, Network, lock, path::Condition};

/// One link of a [`Network`], or all of them, to be made slow, lossy or dead. Each method says so from now on and hands the
/// links back, for the next one.
///
/// What is done to all links replaces what was done to single ones before, and goes for links that are made later.
#[derive(Debug, Clone)]
pub struct Links {
    network: Network,
    /// All links without one.
    name: Option<String>,
}

impl Links {
    pub(super) const fn one(network: Network, name: String) -> Self {
        Self { network, name: Some(name) }
    }

    pub(super) const fn all(network: Network) -> Self {
        Self { network, name: None }
    }

    /// Everything that is sent takes so long, one way. Tokio's timers are exact to a millisecond, and round up.
    pub fn delay(&self, delay: Duration) -> &Self {
        self.change(|condition| condition.delay = delay)
    }

    /// Each packet is lost with this probability, and so is each that is sent for it again.
    ///
    /// Streams are reliable: what was lost arrives later, and so does what is behind it on the same stream; other streams pass
    /// it by. A packet carries 1,200 bytes, the least that QUIC counts on (RFC 9000, section 14). It is sent again after QUIC's
    /// probe time-out (RFC 9002, section 6.2.1) for a link whose delay is steady: the round trip, 1 ms, and the 25 ms that a peer
    /// may take to acknowledge. Each further time takes twice as long, up to [`limits::KEEP_ALIVE`]: a connection is probed that
    /// often anyway.
    ///
    /// A connection survives any loss here; for one that does not see [`partition`](Self::partition).
    ///
    /// # Panics
    ///
    /// If the probability is below 0, is not below 1, or is not a number.
    ///
    /// [`limits::KEEP_ALIVE`]: crate::wire::limits::KEEP_ALIVE
    #[track_caller]
    pub fn loss(&self, probability: f64) -> &Self {
        assert!(
            (0.0..1.0).contains(&probability),
            "the loss of a link was to be {probability}: it is a probability, from 0.0 to below 1.0; \
             where nothing is to get through, use `partition`"
        );
        self.change(|condition| condition.loss = probability)
    }

    /// Breaks the connections that there are: both sides learn of it at once, and what is on its way is lost. New ones can be
    /// made.
    pub fn cut(&self) -> &Self {
        self.change(|condition| condition.cuts += 1)
    }

    /// From now on packets vanish, and nobody is told: what is on its way does not arrive, and no connection can be made. One that
    /// is there ends on both sides after [`limits::SILENCE`](crate::wire::limits::SILENCE), or what the controller's limit `silence` says,
    /// unless it is healed before.
    pub fn partition(&self) -> &Self {
        self.change(|condition| condition.partitioned = condition.partitioned.or_else(|| Some(Instant::now())))
    }

    /// Ends a partition. On connections that outlived it everything that vanished arrives now, as if it had just been sent again.
    pub fn heal(&self) -> &Self {
        self.change(|condition| condition.partitioned = None)
    }

    fn change(&self, change: impl Fn(&mut Condition)) -> &Self {
        let mut inner = lock(&self.network.inner);
        let fresh = inner.fresh;
        match &self.name {
            Some(name) => {
                let link = inner.links.entry(name.clone()).or_insert_with(|| Link::new(fresh));
                link.condition.send_modify(change);
            }
            None => {
                change(&mut inner.fresh);
                inner.links.values().for_each(|link| link.condition.send_modify(&change));
            }
        }
        drop(inner);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(network: &Network, link: &str) -> Condition {
        let inner = lock(&network.inner);
        inner.links.get(link).map_or(inner.fresh, |link| *link.condition.borrow())
    }

    #[test]
    fn what_is_done_to_all_links_is_done_to_old_and_new_ones() {
        let network = Network::new();
        network.link("a").delay(Duration::from_secs(1)).loss(0.5).partition();
        network.links().delay(Duration::from_secs(2)).heal();
        network.link("c").loss(0.25);
        let (a, b, c) = (condition(&network, "a"), condition(&network, "b"), condition(&network, "c"));
        assert_eq!([a.delay, b.delay, c.delay], [Duration::from_secs(2); 3]);
        assert_eq!([a.loss, b.loss, c.loss], [0.5, 0.0, 0.25]);
        assert_eq!(a.partitioned, None);
    }

    #[test]
    fn a_loss_that_is_no_probability_is_refused() {
        for wrong in [-0.1, 1.0, 1.5, f64::NAN, f64::INFINITY] {
            let refused = std::panic::catch_unwind(|| drop(Network::new().links().loss(wrong).clone()));
            let message = *refused.unwrap_err().downcast::<String>().unwrap();
            assert!(message.contains("from 0.0 to below 1.0"), "{message}");
        }
    }
}
