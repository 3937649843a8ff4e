//! The controller: it knows who is there and what each offers, and carries calls and streams between the nodes.
//!
//! It never decodes a payload. A call is routed by the numbers in its frame's head; a stream is cut at batch boundaries and
//! the same bytes go to every receiver.
//!
//! - [`Controller`] runs one in this process, on a thread of its own.
//! - [`serve`] runs one in the current task over any transport, for tests.

mod directory;
mod fanout;
mod gate;
mod hub;
mod limits;
mod router;
mod session;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs},
    sync::mpsc,
    thread,
    time::Duration,
};

use daffi_core::transport::{Identity, JoinToken, Listener, StateDir, StateError, quic};
use tokio::sync::watch;

pub use self::{
    limits::{InvalidLimits, Limits},
    session::serve,
};

pub use daffi_core::transport::DEFAULT_PORT;

/// How long a controller that stops waits for what runs, unless told otherwise.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(5);

/// What a controller needs to start.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen; port 0 picks a free one. Loopback unless told otherwise: whoever opens a controller to a network
    /// should mean it.
    pub listen: SocketAddr,
    /// Where its key, certificate and join token are kept. `None` keeps them in memory: they are new at each start.
    pub state: Option<StateDir>,
    /// How much others may use of it.
    pub limits: Limits,
}

impl Config {
    /// Listens on loopback at [`DEFAULT_PORT`], with its state in the user's state directory.
    ///
    /// # Errors
    ///
    /// [`StateError::NoHome`].
    pub fn of_user() -> Result<Self, StateError> {
        let listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DEFAULT_PORT);
        Ok(Self { listen, state: Some(StateDir::of_user()?), limits: Limits::default() })
    }

    /// Listens at this address, with a key and token that live as long as the controller.
    pub fn ephemeral(listen: SocketAddr) -> Self {
        Self { listen, state: None, limits: Limits::default() }
    }

    /// The same with its key and token in this directory.
    #[must_use]
    pub fn with_state(mut self, state: StateDir) -> Self {
        self.state = Some(state);
        self
    }

    /// The same with these limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// A controller could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Its key or token could not be made or read.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its key could not be made.
    #[error(transparent)]
    Identity(#[from] daffi_core::transport::IdentityError),
    /// Its limits cannot be as they are set.
    #[error(transparent)]
    Limits(#[from] InvalidLimits),
    /// The address cannot be listened on.
    #[error("could not listen on {address}: {source}{}", hint(.source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The host to listen at is none.
    #[error("could not look up {host:?} to listen there: {reason}")]
    Host {
        /// The host.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no thread for it.
    #[error("could not start the controller's thread: {0}")]
    Thread(io::Error),
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => " (is another controller running? choose another port, 0 for any free one)",
        io::ErrorKind::AddrNotAvailable => " (it is not an address of this machine)",
        _ => "",
    }
}

/// The address that a host name stands for; of several the IPv4 one, since that is the one to be written down.
///
/// # Errors
///
/// [`StartError::Host`].
pub fn listen_address(host: &str, port: u16) -> Result<SocketAddr, StartError> {
    let error = |reason: String| StartError::Host { host: host.to_owned(), reason };
    let addresses = (host, port).to_socket_addrs().map_err(|source| error(source.to_string()))?;
    addresses.min_by_key(SocketAddr::is_ipv6).ok_or_else(|| error("the name has no address".into()))
}

fn bind(address: SocketAddr, identity: &Identity) -> Result<(Listener, SocketAddr), StartError> {
    let listen_error = |source| StartError::Listen { address, source };
    let listener = quic::Listener::bind(address, identity).map_err(listen_error)?;
    let address = listener.local_addr().map_err(listen_error)?;
    Ok((Listener::Quic(listener), address))
}

/// A running controller. Dropping it stops it without grace.
#[derive(Debug)]
pub struct Controller {
    address: SocketAddr,
    token: JoinToken,
    stop: watch::Sender<Option<Duration>>,
    stopped: watch::Receiver<bool>,
}

impl Controller {
    /// Starts a controller on a thread of its own: one thread carries all of it, which was measured faster than several.
    /// Returns once it listens. It may block for as long as it takes to read or make the key.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub fn start(config: &Config) -> Result<Self, StartError> {
        config.limits.check()?;
        let (identity, token) = match &config.state {
            Some(state) => state.controller()?,
            None => {
                let identity = Identity::generate()?;
                let token = JoinToken::generate(identity.fingerprint());
                (identity, token)
            }
        };
        let (stop, stop_asked) = watch::channel(None);
        let (set_stopped, stopped) = watch::channel(false);
        let (started, start) = mpsc::channel();
        let (listen, served, limits) = (config.listen, token.clone(), config.limits.clone());
        // The runtime is made and dropped on its thread: elsewhere it might be within another runtime, which forbids that.
        thread::Builder::new()
            .name("daffi-controller".into())
            .spawn(move || {
                let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(started.send(Err(StartError::Thread(error)))),
                };
                runtime.block_on(async {
                    match bind(listen, &identity) {
                        Ok((listener, address)) => {
                            let _ = started.send(Ok(address));
                            serve(listener, served, limits, stop_asked).await;
                        }
                        Err(error) => drop(started.send(Err(error))),
                    }
                });
                // With the runtime the socket goes: whoever waited for the stop may listen there again.
                drop(runtime);
                set_stopped.send_replace(true);
            })
            .map_err(StartError::Thread)?;
        // The thread answers in any case.
        let address = start.recv().map_err(|_| StartError::Thread(io::ErrorKind::Other.into()))??;
        tracing::info!(%address, "controller listens");
        Ok(Self { address, token, stop, stopped })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What lets nodes join it.
    pub const fn token(&self) -> &JoinToken {
        &self.token
    }

    /// Stops it: from now on nodes are refused and no calls and streams begin; those under way may finish within `grace`; then
    /// every node is told and its connection closed. Cancel safe: once asked for, the stop goes on.
    pub async fn stop(&self, grace: Duration) {
        self.stop.send_replace(Some(grace));
        self.stopped().await;
    }

    /// Waits until it has stopped. Cancel safe.
    pub async fn stopped(&self) {
        // An error means that the thread is gone, which is stopped enough.
        let _ = self.stopped.clone().wait_for(|stopped| *stopped).await;
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert(Duration::ZERO);
            first
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_an_error_within_a_runtime_too() {
        let config = Config::ephemeral(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
        let first = Controller::start(&config).unwrap();
        let second = Controller::start(&Config { listen: first.address(), ..config });
        assert!(matches!(second, Err(StartError::Listen { .. })), "{second:?}");
        first.stop(Duration::ZERO).await;
    }
}
