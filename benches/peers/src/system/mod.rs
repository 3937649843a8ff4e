//! Who is measured. A new system is a file here and a place in [`ALL`].

mod daffi;
mod nats;
mod pipeline;
mod raw_quinn;
mod raw_tcp;
pub(crate) mod tonic_hop;

use std::{fmt, net::SocketAddr, path::Path};

use crate::{
    Result,
    role::{Orders, Place},
};

/// Something that carries calls from a caller through a router to a responder and back. Each part runs in a process of its
/// own, and blocks its thread until the process is killed or something fails.
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

    /// Is the router: picks a free port, prints where it listens, and carries. `dir` is a directory of the run, empty at
    /// first, in which the router leaves what the others need to know.
    fn route(&self, dir: &Path) -> Result<()>;

    /// Where the router listens, if that is what it says in this line.
    fn listens_at(&self, line: &str) -> Option<SocketAddr> {
        serde_json::from_str(line).ok()
    }

    /// Is the responder: tells the parent when it is there, and echoes.
    fn respond(&self, place: &Place) -> Result<()>;

    /// Is the caller: tells the parent when it is there, and takes [orders to call](crate::work::calls::Order). The responder
    /// is there already.
    fn call(&self, place: &Place, orders: Orders) -> Result<()>;
}

/// In the order in which a round takes them.
pub(crate) const ALL: [&dyn System; 6] =
    [&daffi::Daffi, &nats::CLEAR, &nats::TLS, &tonic_hop::TonicHop, &raw_tcp::RawTcp, &raw_quinn::RawQuinn];

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
