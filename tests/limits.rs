//! What a controller lets others use of it, over real sockets: each limit at its edge, and how strangers are kept small.

mod common;

#[path = "limits/backlog.rs"]
mod backlog;
#[path = "limits/control.rs"]
mod control;
#[path = "limits/edges.rs"]
mod edges;
#[path = "limits/file.rs"]
mod file;
#[path = "limits/gathering.rs"]
mod gathering;
#[path = "limits/peer.rs"]
mod peer;
#[path = "limits/rates.rs"]
mod rates;
#[path = "joining/raw.rs"]
#[allow(dead_code, reason = "what joins by hand is for the tests of joining too")]
mod raw;
#[path = "limits/strangers.rs"]
mod strangers;

use daffi::Limits;

/// The defaults, with this change.
fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}
