//! Sets a node up and joins it to its controller.

use std::{path::PathBuf, process, sync::Arc, time::Duration};

use tokio::sync::{broadcast, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Handle, Inner, Node, State,
    callback::{Callback, Service},
    context,
    credentials::{Credentials, TokenSource},
    error::JoinError,
    event,
    pending::Pending,
    period::Schedules,
    registry::{Registry, Served},
    runtime::{Op, Runtimes},
    session::{self, Target},
    stream::Arrivals,
};
use crate::{
    clock::Clock,
    transport::{DEFAULT_PORT, JoinToken, StateDir, memory},
    wire::{limits, name, varint},
};

/// How long a node looks for its controller unless told otherwise: long enough to start all processes of a system by hand, in
/// any order.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Sets up a node; [`join`](Self::join) it.
#[derive(Debug, Clone)]
#[must_use = "a node does nothing until it joins"]
pub struct Builder {
    name: Option<String>,
    target: Target,
    credentials: Credentials,
    callbacks: Option<Served>,
    values: Vec<Served>,
    call_timeout: Duration,
    connect_timeout: Duration,
    reconnect: bool,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            name: None,
            target: Target::Quic { addresses: vec![("localhost".into(), DEFAULT_PORT)] },
            credentials: Credentials::default(),
            callbacks: None,
            values: Vec::new(),
            call_timeout: limits::CALL_TIMEOUT,
            connect_timeout: CONNECT_TIMEOUT,
            reconnect: true,
        }
    }

    /// The name that others see: 1 to 128 letters, digits, `_`, `-` and `.`. Without one the node makes one up of the program's
    /// name, the process's number and some random digits.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Where the controller is; `localhost` at port 8888 unless told otherwise.
    pub fn controller(mut self, host: impl Into<String>, port: u16) -> Self {
        self.target = Target::Quic { addresses: vec![(host.into(), port)] };
        self
    }

    /// Where a controller is that takes the place of those before it, should none of them answer or all of them be about to stop. A node
    /// that has lost its controller looks for one from the first on, and gives each two seconds to answer and five to let it in.
    ///
    /// Controllers know nothing of each other: nodes meet that have joined the same one. Each has to have the same key and token, as
    /// with a copy of the state directory, or certificates of one authority.
    pub fn or_controller(mut self, host: impl Into<String>, port: u16) -> Self {
        match &mut self.target {
            Target::Quic { addresses } => addresses.push((host.into(), port)),
            Target::Memory { .. } => return self.controller(host, port),
        }
        self
    }

    /// Joins a controller of an in-memory network, on the current runtime. For tests. On a paused clock give streams async
    /// sources: while an iterator waits on its thread, tokio does not advance the clock.
    pub fn network(mut self, network: &memory::Network, controller: impl Into<String>) -> Self {
        self.target = Target::Memory { network: network.clone(), controller: controller.into() };
        self
    }

    /// The join token. Without it, the node looks at `DAFFI_TOKEN`, then at the file that `DAFFI_TOKEN_FILE` names, then at the
    /// state directory of the user, where a local controller leaves it.
    pub fn token(mut self, token: impl AsRef<str>) -> Self {
        self.credentials.token = match token.as_ref().parse::<JoinToken>() {
            Ok(token) => TokenSource::Given(token),
            Err(source) => TokenSource::Invalid("the token given to the builder".into(), source),
        };
        self
    }

    /// The state directory of a controller on this machine, where the join token is: instead of the user's.
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials.token = TokenSource::In(StateDir::at(path));
        self
    }

    /// A file with the join token. On Unix it is refused if others than its owner may read it, as is one that `DAFFI_TOKEN_FILE` names.
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials.token = TokenSource::File(path.into());
        self
    }

    /// The node's certificate and its private key, two PEM files; beside the token, for a controller that asks for one. The
    /// certificate names the node, and is of an authority that the controller trusts. Without it, the node looks at the files that
    /// `DAFFI_CERT` and `DAFFI_KEY` name. They are read each time that the node joins.
    pub fn certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.credentials.certificate = Some((certificate.into(), key.into()));
        self
    }

    /// A PEM file with the authorities that vouch for controllers: the node then trusts any controller that has a certificate of one of
    /// them, instead of the one whose fingerprint is in the join token. Without it, the node looks at the file that `DAFFI_CA` names.
    pub fn ca(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials.ca = Some(path.into());
        self
    }

    /// Offers exactly these, made by `callbacks![..]`, instead of all `#[callback]`s of the program. For several nodes in one
    /// process, and for callbacks in crates that nothing else names.
    pub fn callbacks(mut self, callbacks: impl IntoIterator<Item = Callback>) -> Self {
        self.callbacks = Some(Served::functions(callbacks));
        self
    }

    /// Offers the methods of a value too, whose impl block has `#[callback]`. For several values of one type see
    /// [`serve_as`](Self::serve_as).
    pub fn serve<S: Service>(mut self, value: S) -> Self {
        self.values.push(Served::value(value, None));
        self
    }

    /// Offers the methods of a value under a name of its own: `bump` of one served as `left` is called `left.bump`.
    pub fn serve_as<S: Service>(mut self, name: impl Into<String>, value: S) -> Self {
        self.values.push(Served::value(value, Some(name.into())));
        self
    }

    /// How long a call waits that sets no timeout; 30 seconds unless told otherwise.
    pub const fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// How long to look for the controller before giving up; 30 seconds unless told otherwise.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Whether to join again when the connection is lost. Unless told otherwise it does, for as long as it takes; a node that
    /// does not ends with its connection.
    pub const fn reconnect(mut self, reconnect: bool) -> Self {
        self.reconnect = reconnect;
        self
    }

    /// Joins. Keeps trying with growing pauses, up to [`connect_timeout`](Self::connect_timeout), while no controller
    /// answers; a refusal is final. Cancel safe: dropping the future gives up.
    ///
    /// # Errors
    ///
    /// [`JoinError`].
    pub fn join(self) -> Op<Result<Node, JoinError>> {
        let prepared = self.prepare();
        Op::new(async move {
            let (node, joined) = prepared?;
            // The task ends without an answer only when the node is dropped, which this holds.
            joined.await.unwrap_or(Ok(()))?;
            context::set_default(&node.inner);
            Ok(node)
        })
    }

    fn prepare(self) -> Result<(Node, oneshot::Receiver<Result<(), JoinError>>), JoinError> {
        let name = self.name.unwrap_or_else(made_up_name);
        name::check(&name).map_err(|source| JoinError::InvalidName { name: name.clone(), source })?;
        let (runtimes, clock) = match &self.target {
            Target::Quic { .. } => (Runtimes::own(&name).map_err(JoinError::Thread)?, Clock::System),
            Target::Memory { network, .. } => (Runtimes::current(), network.clock()),
        };
        let registry = Registry::default();
        let functions = self.callbacks.unwrap_or_else(Served::of_program);
        for served in std::iter::once(&functions).chain(&self.values) {
            for offer in registry.add(served, limits::MAX_CALLBACKS)? {
                let (callback, signature, at) = (offer.name, offer.signature, offer.location);
                tracing::info!(node = name, callback, signature, at, "offers");
            }
        }
        let stopping = CancellationToken::new();
        let handle = Arc::new(Handle(stopping.clone()));
        let inner = Arc::new(Inner {
            name,
            runtimes,
            clock,
            registry,
            directory: watch::Sender::default(),
            instance: random().unwrap_or_default(),
            link: watch::Sender::default(),
            tasks: TaskTracker::new(),
            arrivals: Arrivals::default(),
            pending: Pending::default(),
            schedules: Schedules::default(),
            events: broadcast::Sender::new(event::BACKLOG),
            state: watch::Sender::new(State::Running),
            leaving: CancellationToken::new(),
            stopping,
            call_timeout: self.call_timeout,
            connect_timeout: self.connect_timeout,
            reconnect: self.reconnect,
            handle: Arc::downgrade(&handle),
        });
        let node = Node { inner: inner.clone(), _handle: Some(handle) };
        let (joined, answer) = oneshot::channel();
        inner.runtimes.io.clone().spawn(session::keep(inner, self.target, self.credentials, joined));
        Ok((node, answer))
    }
}

/// Nothing if the operating system has no random numbers; without them there is no TLS either.
fn random() -> Option<u64> {
    use ring::rand::SecureRandom;
    let mut random = [0; 8];
    ring::rand::SystemRandom::new().fill(&mut random).ok()?;
    Some(u64::from_be_bytes(random) & varint::MAX)
}

/// The program's name, the process's number and some random digits.
fn made_up_name() -> String {
    let program = std::env::current_exe().ok();
    let stem = program.as_ref().and_then(|path| path.file_stem()).map(|stem| stem.to_string_lossy().into_owned());
    let stem = stem.filter(|stem| name::check(stem).is_ok() && stem.len() <= 64).unwrap_or_else(|| "node".into());
    // Without randomness the process's number alone tells nodes apart, on one machine.
    let digits = random().unwrap_or_default() & 0xffff;
    format!("{stem}-{}-{digits:04x}", process::id())
}
