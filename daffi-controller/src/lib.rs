//! The controller: it knows who is there and what each offers, and carries calls and streams between the nodes.
//!
//! It never decodes a payload. A call is routed by the numbers in its frame's head; a stream is cut at batch boundaries and
//! the same bytes go to every receiver.
//!
//! - [`Controller`] runs one in this process, on a thread of its own.
//! - [`serve`] runs one in the current task over any transport, for tests.

mod access;
mod config_file;
mod directory;
mod fanout;
mod gate;
mod glob;
mod hub;
mod judge;
mod limits;
mod rates;
mod refusals;
mod router;
mod rules;
mod serve;
mod session;
mod settings;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs},
    path::PathBuf,
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use daffi_core::transport::{
    CertificateError, JoinToken, Listener, StateDir, StateError,
    quic::{self, ControllerCertificates, ListenerSettings},
};
use tokio::sync::watch;

use self::settings::{Settings, Source};

pub use self::{
    access::Access,
    config_file::{CertificateFiles, ConfigFile, ConfigFileError},
    limits::{InvalidLimits, Limits},
    rules::{Globs, InvalidGlob, Rule, Rules},
    serve::serve,
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
    /// The config file, which adds to what is said here. It is read again when the controller reloads.
    pub file: Option<PathBuf>,
    /// The certificates that it shows and asks for. What is said here counts more than what the config file says.
    pub certificates: CertificateFiles,
    /// What nodes may do, beside the rules in the config file. Without any rule that is everything.
    pub rules: Rules,
    /// How much others may use of it, from its start to its end. What is said here counts as a whole, instead of what the config file
    /// says. With neither it is [`Limits::default`].
    pub limits: Option<Limits>,
}

impl Config {
    /// Listens on loopback at [`DEFAULT_PORT`], with its state in the user's state directory.
    ///
    /// # Errors
    ///
    /// [`StateError::NoHome`].
    pub fn of_user() -> Result<Self, StateError> {
        let listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DEFAULT_PORT);
        Ok(Self::ephemeral(listen).with_state(StateDir::of_user()?))
    }

    /// Listens at this address, with a key and token that live as long as the controller.
    pub fn ephemeral(listen: SocketAddr) -> Self {
        Self {
            listen,
            state: None,
            file: None,
            certificates: CertificateFiles::default(),
            rules: Rules::default(),
            limits: None,
        }
    }

    /// The same with its key and token in this directory.
    #[must_use]
    pub fn with_state(mut self, state: StateDir) -> Self {
        self.state = Some(state);
        self
    }

    /// The same with what this config file adds.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// The same with these certificates.
    #[must_use]
    pub fn with_certificates(mut self, certificates: CertificateFiles) -> Self {
        self.certificates = certificates;
        self
    }

    /// The same with these rules.
    #[must_use]
    pub fn with_rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// The same with these limits, whatever the config file says of them.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }
}

/// A controller could not start, or not reload.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Its key or token could not be made or read.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its key could not be made.
    #[error(transparent)]
    Identity(#[from] daffi_core::transport::IdentityError),
    /// The config file cannot be used.
    #[error(transparent)]
    ConfigFile(#[from] ConfigFileError),
    /// A certificate cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// No node would take its certificate for a controller's.
    #[error(
        "no node would take {path} for a controller's certificate: {reason}; it needs the name controller.daffi, to be valid now, and its \
         authority in the same file or as the `ca`; `daffi-controller cert controller` makes one"
    )]
    Unfit {
        /// The certificate's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no state directory in which tokens could change.
    #[error("the controller has no state directory: its token lives as long as it does, and cannot be changed")]
    NoState,
    /// Nodes are to have certificates, and no authority is given.
    #[error(
        "nodes must have certificates, and there is no authority that could vouch for them: give its file as the `ca`"
    )]
    NoAuthority,
    /// The certificates cannot be used by TLS.
    #[error("the certificates cannot be used: {0}")]
    Tls(io::Error),
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

fn bind(
    address: SocketAddr,
    certificates: &ControllerCertificates,
) -> Result<(quic::Listener, SocketAddr), StartError> {
    let listen_error = |source| StartError::Listen { address, source };
    let listener = quic::Listener::bind_with(address, certificates).map_err(listen_error)?;
    let address = listener.local_addr().map_err(listen_error)?;
    Ok((listener, address))
}

/// A running controller. Dropping it stops it without grace.
#[derive(Debug)]
pub struct Controller {
    address: SocketAddr,
    /// Held while it reloads.
    source: Mutex<Source>,
    access: Access,
    limits: Limits,
    listener: ListenerSettings,
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
        let source = Source::new(config.clone())?;
        let Settings { certificates, tokens, rules, limits } = source.load()?;
        let (rule_count, access) = (rules.len(), Access::new(tokens, rules));
        let (stop, stop_asked) = watch::channel(None);
        let (set_stopped, stopped) = watch::channel(false);
        let (started, start) = mpsc::channel();
        let (listen, served, within, state) = (config.listen, access.clone(), limits.clone(), source.clone());
        // The runtime is made and dropped on its thread: elsewhere it might be within another runtime, which forbids that.
        thread::Builder::new()
            .name("daffi-controller".into())
            .spawn(move || {
                let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(started.send(Err(StartError::Thread(error)))),
                };
                runtime.block_on(async {
                    // While another controller has the port, the token stays that one's.
                    let bound = bind(listen, &certificates).and_then(|bound| state.pin(&certificates).map(|()| bound));
                    match bound {
                        Ok((listener, address)) => {
                            let _ = started.send(Ok((address, listener.settings())));
                            serve(Listener::Quic(listener), served, within, stop_asked).await;
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
        let (address, listener) = start.recv().map_err(|_| StartError::Thread(io::ErrorKind::Other.into()))??;
        let file = config.file.as_deref().map_or_else(|| "none".into(), |file| file.display().to_string());
        tracing::info!(%address, config = file, rules = rule_count, "controller listens");
        Ok(Self { address, source: Mutex::new(source), access, limits, listener, stop, stopped })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What lets nodes join it. After a rotation and a [`reload`](Self::reload) it is another one.
    pub fn token(&self) -> JoinToken {
        self.access.token()
    }

    /// Reads the config file, the tokens and the certificates again. What they say holds once this returns:
    /// - rules hold for every call and offer from then on, and end streams under way that they do not allow; calls that are under way
    ///   may finish. A node that offers what it may not offer any more stays: its offer stays known, and whoever asks for it is refused.
    /// - tokens and certificates hold for nodes that join from then on.
    ///
    /// Limits stay as they were at the start; that others are written there now is logged.
    ///
    /// Of several at once one goes after the other: what was read last holds. It may block for as long as it takes to read the files.
    ///
    /// # Errors
    ///
    /// [`StartError`], for a mistake in any of them; then all stays as it was.
    pub fn reload(&self) -> Result<(), StartError> {
        // It is never changed: one who panicked has left it whole.
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let Settings { certificates, tokens, rules, limits } = source.load()?;
        let replace = self.listener.replacing(&certificates).map_err(StartError::Tls)?;
        source.pin(&certificates)?;
        // From here on nothing fails.
        replace();
        let rule_count = rules.len();
        self.access.replace(tokens, rules);
        if limits != self.limits {
            tracing::warn!("the config file has other limits now: they hold when the controller is started again");
        }
        tracing::info!(rules = rule_count, "read the config file, tokens and certificates again");
        Ok(())
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

    #[cfg(unix)]
    #[test]
    fn of_two_reloads_the_later_counts() {
        use daffi_core::transport::{Authority, Validity};
        use std::{fs, io::Write, process::Command};

        let dir = tempfile::tempdir().unwrap();
        let [file, pipe] = ["daffi.toml", "ca.pem"].map(|name| dir.path().join(name));
        fs::write(&file, "").unwrap();
        let config = Config::ephemeral(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).with_file(&file);
        let controller = Controller::start(&config).unwrap();
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        fs::write(&file, "[certificates]\nca = \"ca.pem\"\n").unwrap();
        thread::scope(|scope| {
            let earlier = scope.spawn(|| controller.reload());
            // Opens when somebody reads it: the earlier one has read the config file by then, and waits here.
            let mut authority = fs::File::options().write(true).open(&pipe).unwrap();
            fs::write(&file, "[[rule]]\nnodes = \"*\"\ncall = \"*\"\n").unwrap();
            let (done, is_done) = mpsc::channel();
            let controller = &controller;
            let later = scope.spawn(move || {
                let reloaded = controller.reload();
                done.send(()).map(|()| reloaded)
            });
            // It does not overtake. Were it to, it would be done long before this time is over.
            assert!(is_done.recv_timeout(Duration::from_millis(300)).is_err());
            let pem = Authority::generate(Validity::days(1)).unwrap().identity().certificates_pem();
            authority.write_all(pem.as_bytes()).unwrap();
            drop(authority);
            assert!(earlier.join().unwrap().is_ok() && later.join().unwrap().unwrap().is_ok());
        });
        assert!(!controller.access.rules().is_empty(), "the earlier one has put back what it read");
    }
}
