//! Who is measured. A new system is a room here and a place in [`ALL`].

mod certificate;
mod daffi;
mod daffi3;
mod nats;
mod pipeline;
mod raw_quinn;
mod raw_tcp;
pub(crate) mod tonic_hop;
mod zenoh;

use std::{fmt, net::SocketAddr, path::Path};

pub(crate) use self::daffi3::install as install_daffi3;
use crate::{
    Result,
    role::{Orders, Place},
    work::stream::{Intake, Kind, Scene},
};

/// Something that carries calls or streams through a router.
pub(crate) trait System: fmt::Debug + Send + Sync {
    /// On the command line and in results.
    fn name(&self) -> &'static str;

    /// Whether what goes over the wire is encrypted.
    fn tls(&self) -> bool;

    /// Of what takes part, the versions.
    ///
    /// # Errors
    ///
    /// If something is not installed: what, and how to install it.
    fn version(&self) -> Result<String>;

    /// Where the router listens, if that is what it says in this line.
    fn listens_at(&self, line: &str) -> Option<SocketAddr> {
        serde_json::from_str(line).ok()
    }

    /// How it makes calls, if it does.
    fn calls(&self) -> Option<&dyn Calls> {
        None
    }

    /// How it streams, if it does.
    fn streams(&self) -> Option<&dyn Streams> {
        None
    }
}

/// Carries calls from a caller through a router to a responder and back. Each part runs in a process of its own, and blocks its
/// thread until the process is killed or something fails.
pub(crate) trait Calls {
    /// Is the router: picks a free port, prints where it listens, and carries. `dir` is a directory of the run, empty at
    /// first, in which the router leaves what the others need to know.
    fn route(&self, dir: &Path) -> Result<()>;

    /// Is the responder: tells the parent when it is there, and echoes.
    fn respond(&self, place: &Place) -> Result<()>;

    /// Is the caller: tells the parent when it is there, and takes [orders to call](crate::work::calls::Order). The responder
    /// is there already.
    fn call(&self, place: &Place, orders: Orders) -> Result<()>;
}

/// Carries a stream from a sender through a router to receivers. Processes and threads as for [`Calls`].
pub(crate) trait Streams {
    /// Whether it takes part in this work.
    fn carries(&self, kind: Kind) -> bool;

    /// Whether it promises that every item arrives.
    fn lossless(&self, kind: Kind) -> bool;

    /// What part of the items it gets, as a divisor: what the fastest do in a second would take the slowest minutes.
    fn slowness(&self, _: Kind) -> u32 {
        1
    }

    /// Is the router, as [`Calls::route`].
    fn relay(&self, dir: &Path, scene: &Scene) -> Result<()>;

    /// Is a receiver: tells the parent when it is sure to get what is sent from now on, and gives each item to `intake`. It is
    /// the slow one if that has a [pause](Intake::pause).
    fn receive(&self, place: &Place, scene: &Scene, intake: &'static Intake) -> Result<()>;

    /// Is the sender: tells the parent when it is there, and takes [orders to stream](crate::work::stream::carry_out). The
    /// receivers are there already.
    fn send(&self, place: &Place, scene: &Scene, orders: Orders) -> Result<()>;
}

/// In the order in which a round takes them.
pub(crate) const ALL: [&dyn System; 10] = [
    &daffi::Daffi,
    &zenoh::TCP,
    &zenoh::TLS,
    &zenoh::QUIC,
    &nats::CLEAR,
    &nats::TLS,
    &tonic_hop::TonicHop,
    &daffi3::Daffi3,
    &raw_tcp::RawTcp,
    &raw_quinn::RawQuinn,
];

/// The system of this name.
///
/// # Errors
///
/// If there is none: which there are.
pub(crate) fn by_name(name: &str) -> Result<&'static dyn System> {
    ALL.into_iter().find(|system| system.name() == name).ok_or_else(|| {
        let names = ALL.map(System::name).join(", ");
        format!("there is no such system; there are {names}").into()
    })
}

/// Name and version of a crate that this program was built with.
fn locked(name: &str) -> String {
    let version = include_str!("../../Cargo.lock")
        .split("[[package]]")
        .filter(|package| package.lines().any(|line| line == format!("name = \"{name}\"")))
        .find_map(|package| package.lines().find_map(|line| line.strip_prefix("version = ")))
        .unwrap_or("of unknown version");
    format!("{name} {}", version.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_find_their_systems() {
        for system in ALL {
            assert_eq!(by_name(system.name()).unwrap().name(), system.name());
            assert!(system.calls().is_some() || system.streams().is_some(), "{} does nothing", system.name());
        }
        let error = by_name("pigeons").unwrap_err().to_string();
        assert!(error.contains("raw-tcp"), "{error}");
    }

    #[test]
    fn versions_are_those_of_the_lock_file() {
        assert_eq!(locked("daffi"), concat!("daffi ", env!("CARGO_PKG_VERSION")));
        assert!(locked("tonic").starts_with("tonic 0."));
        assert_eq!(locked("pigeons"), "pigeons of unknown version");
    }
}
