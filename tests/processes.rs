//! Processes that talk over real sockets. This program starts itself once more for each process that a test needs: with a role in
//! its environment, `participant` plays that role, and is told over stdin what to do.

#[path = "processes/calls.rs"]
mod calls;
#[path = "processes/losses.rs"]
mod losses;
#[path = "processes/moves.rs"]
mod moves;
#[path = "processes/path.rs"]
mod path;
#[cfg(target_os = "linux")]
#[path = "processes/policies.rs"]
mod policies;
#[path = "processes/proxy.rs"]
mod proxy;
#[cfg(unix)]
#[path = "processes/restarts.rs"]
mod restarts;
#[path = "processes/roles.rs"]
mod roles;
#[path = "processes/start.rs"]
mod start;
#[path = "processes/streams.rs"]
mod streams;
#[path = "processes/system.rs"]
mod system;

/// Not a test: the process that a test started. Done at once in the process that runs the tests.
#[test]
fn participant() {
    if let Ok(role) = std::env::var(system::ROLE) {
        roles::play(&role);
    }
}
