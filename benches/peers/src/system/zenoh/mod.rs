//! zenoh: a router, which is what zenohd is too, and clients; with everything as it comes but for what is said here.
//!
//! Only streams: its query and reply takes longer than the calls of the others here.

mod config;
mod streams;

use super::{Streams, System, locked};
use crate::Result;

pub(crate) const TCP: Zenoh = Zenoh { name: "zenoh-tcp", link: Link::Tcp };
pub(crate) const TLS: Zenoh = Zenoh { name: "zenoh-tls", link: Link::Tls };
pub(crate) const QUIC: Zenoh = Zenoh { name: "zenoh-quic", link: Link::Quic };

#[derive(Debug)]
pub(crate) struct Zenoh {
    name: &'static str,
    link: Link,
}

/// What it goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Tcp,
    Tls,
    Quic,
}

impl System for Zenoh {
    fn name(&self) -> &'static str {
        self.name
    }

    fn tls(&self) -> bool {
        self.link != Link::Tcp
    }

    fn version(&self) -> Result<String> {
        Ok(locked("zenoh"))
    }

    fn streams(&self) -> Option<&dyn Streams> {
        Some(self)
    }
}
