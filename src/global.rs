//! `Global`: this process's place in the system.

use std::{fmt, net::SocketAddr, ops::Deref, path::PathBuf, sync::Arc, time::Duration};

use daffi_controller::{Config, Controller, DEFAULT_GRACE, DEFAULT_PORT, Limits, listen_address};
use daffi_core::{
    node::{Callback, JoinError, Node, Op, Service},
    transport::{JoinToken, StateDir},
};

/// A process's place in the system: a node, a controller, or both. Derefs to its [`Node`].
///
/// The first `Global` of a process that has a node is the one that calls go through unless they name another with `.on(&node)`, or are
/// made by a callback, which goes on through the node that received it.
///
/// Clones are the same place; when the last is dropped, node and controller end without waiting for what runs.
/// [`stop`](Self::stop) waits.
#[derive(Debug, Clone)]
#[must_use = "dropping it ends the node and the controller"]
pub struct Global {
    node: Option<Node>,
    controller: Option<Arc<Controller>>,
}

/// A [`Global`] did not start.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The controller did not start.
    #[error("the controller did not start: {0}")]
    Controller(#[from] daffi_controller::StartError),
    /// The node did not join.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// Neither a node nor a controller was asked for.
    #[error("there is nothing to start: `init_node(false)` needs `init_controller(true)`")]
    Nothing,
}

/// The sentence itself: it is what a `main` prints that returns the error.
impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Global {
    /// Sets it up.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The address of the controller in this process, if there is one.
    pub fn controller_address(&self) -> Option<SocketAddr> {
        self.controller.as_ref().map(|controller| controller.address())
    }

    /// The join token of the controller in this process, if there is one. It is a secret.
    pub fn controller_token(&self) -> Option<JoinToken> {
        self.controller.as_ref().map(|controller| controller.token())
    }

    /// Has the controller in this process read its config file, its tokens and its certificates again; nothing happens if there is none.
    /// See [`Controller::reload`](daffi_controller::Controller::reload). It may block for as long as it takes to read files.
    ///
    /// # Errors
    ///
    /// [`StartError::Controller`], for a mistake in any of them; then all stays as it was.
    pub fn reload_controller(&self) -> Result<(), StartError> {
        self.controller.as_ref().map_or(Ok(()), |controller| Ok(controller.reload()?))
    }

    /// Waits until the node has ended; without a node, until the controller has. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`JoinError::Disconnected`], if the node did not end because it was asked to.
    pub fn join(&self) -> Op<Result<(), JoinError>> {
        match (&self.node, &self.controller) {
            (Some(node), _) => node.join(),
            (None, Some(controller)) => {
                let controller = controller.clone();
                Op::new(async move {
                    controller.stopped().await;
                    Ok(())
                })
            }
            (None, None) => Op::new(async { Ok(()) }),
        }
    }

    /// Ends it: the node leaves once the callbacks that it runs for others have returned, then the controller lets what runs
    /// finish, and closes every connection. Each within 5 seconds; [`stop_within`](Self::stop_within) sets another grace.
    pub fn stop(&self) -> Op<()> {
        self.stop_within(DEFAULT_GRACE)
    }

    /// Ends it with another grace.
    pub fn stop_within(&self, grace: Duration) -> Op<()> {
        let (node, controller) = (self.node.as_ref().map(|node| node.stop(grace)), self.controller.clone());
        Op::new(async move {
            if let Some(stopped) = node {
                stopped.await;
            }
            if let Some(controller) = controller {
                controller.stop(grace).await;
            }
        })
    }
}

impl Deref for Global {
    type Target = Node;

    /// # Panics
    ///
    /// If it was started with `init_node(false)`.
    fn deref(&self) -> &Node {
        // Documented: whoever asked for no node has none.
        self.node.as_ref().expect("this Global was started with `init_node(false)` and has no node")
    }
}

impl AsRef<Node> for Global {
    fn as_ref(&self) -> &Node {
        self
    }
}

/// Sets up a [`Global`]; [`start`](Self::start) it.
#[derive(Debug, Clone)]
#[must_use = "nothing happens until it is started"]
pub struct Builder {
    node: daffi_core::node::Builder,
    init_node: bool,
    init_controller: bool,
    host: String,
    port: u16,
    others: Vec<(String, u16)>,
    state_dir: Option<PathBuf>,
    config_file: Option<PathBuf>,
    token_given: bool,
    limits: Option<Limits>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            node: Node::builder(),
            init_node: true,
            init_controller: false,
            host: "localhost".into(),
            port: DEFAULT_PORT,
            others: Vec::new(),
            state_dir: None,
            config_file: None,
            token_given: false,
            limits: None,
        }
    }
}

impl Builder {
    /// The name that others see: 1 to 128 letters, digits, `_`, `-` and `.`. Without one the node makes one up.
    pub fn process_name(mut self, name: impl Into<String>) -> Self {
        self.node = self.node.name(name);
        self
    }

    /// Where the controller is, or is to listen: a host name or address, `localhost` unless told otherwise. A controller listens
    /// at exactly this address: `0.0.0.0` opens it to every network of the machine.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// The controller's port, 8888 unless told otherwise. A controller in this process takes any free one if it is 0.
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Where a controller is that takes the place of those before it, should none of them answer or all of them be about to stop. A node
    /// that has lost its controller looks for one from the first on, and gives each two seconds to answer and five to let it in.
    /// One in this process has no others.
    ///
    /// Controllers know nothing of each other: nodes meet that have joined the same one. Each has to have the same key and token, as
    /// with a copy of the state directory, or certificates of one authority.
    pub fn or_controller(mut self, host: impl Into<String>, port: u16) -> Self {
        self.others.push((host.into(), port));
        self
    }

    /// Whether to run a controller in this process; not unless told otherwise.
    pub const fn init_controller(mut self, init: bool) -> Self {
        self.init_controller = init;
        self
    }

    /// Whether to be a node; so unless told otherwise.
    pub const fn init_node(mut self, init: bool) -> Self {
        self.init_node = init;
        self
    }

    /// The join token, for a controller of another user or machine. Without it the node looks at `DAFFI_TOKEN`, then at the file that
    /// `DAFFI_TOKEN_FILE` names, then at the state directory of the user, where a local controller leaves it.
    pub fn token(mut self, token: impl AsRef<str>) -> Self {
        self.node = self.node.token(token);
        self.token_given = true;
        self
    }

    /// A file with the join token. On Unix it is refused if others than its owner may read it, as is one that `DAFFI_TOKEN_FILE` names.
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.node = self.node.token_file(path);
        self.token_given = true;
        self
    }

    /// The directory where the controller keeps its key and token, instead of the user's state directory: that of the controller in
    /// this process, or of one on this machine that a node joins, unless it is given a token.
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(path.into());
        self
    }

    /// The node's certificate and its private key, two PEM files; beside the token, for a controller that asks for one. The certificate
    /// names the node, and is of an authority that the controller trusts. Without it, the node looks at the files that `DAFFI_CERT`
    /// and `DAFFI_KEY` name. They are read each time that the node joins.
    pub fn certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.node = self.node.certificate(certificate, key);
        self
    }

    /// A PEM file with the authorities that vouch for controllers: the node then trusts any controller that has a certificate of one of
    /// them, instead of the one whose fingerprint is in the join token. Without it, the node looks at the file that `DAFFI_CA` names.
    pub fn ca(mut self, path: impl Into<PathBuf>) -> Self {
        self.node = self.node.ca(path);
        self
    }

    /// The config file of the controller in this process: its rules, certificates and limits, as `daffi-controller --config` reads it.
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.config_file = Some(path.into());
        self
    }

    /// How much the controller in this process lets others use of it. Without it that is what the config file says.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Offers exactly these, made by [`callbacks!`](crate::callbacks), instead of all `#[callback]`s of the program.
    pub fn callbacks(mut self, callbacks: impl IntoIterator<Item = Callback>) -> Self {
        self.node = self.node.callbacks(callbacks);
        self
    }

    /// Offers the methods of a value too, whose impl block has `#[callback]`. For several values of one type see
    /// [`serve_as`](Self::serve_as).
    pub fn serve<S: Service>(mut self, value: S) -> Self {
        self.node = self.node.serve(value);
        self
    }

    /// Offers the methods of a value under a name of its own: `bump` of one served as `left` is called `left.bump`.
    pub fn serve_as<S: Service>(mut self, name: impl Into<String>, value: S) -> Self {
        self.node = self.node.serve_as(name, value);
        self
    }

    /// How long a call waits that sets no timeout; 30 seconds unless told otherwise.
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.node = self.node.call_timeout(timeout);
        self
    }

    /// How long to look for the controller before giving up; 30 seconds unless told otherwise.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.node = self.node.connect_timeout(timeout);
        self
    }

    /// Whether the node joins again when its connection is lost. Unless told otherwise it does; a node that does not ends with
    /// its connection.
    pub fn reconnect(mut self, reconnect: bool) -> Self {
        self.node = self.node.reconnect(reconnect);
        self
    }

    /// Starts the controller, if there is to be one, and joins. A node whose controller is not there yet keeps trying, up to
    /// [`connect_timeout`](Self::connect_timeout). Cancel safe.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub fn start(self) -> Op<Result<Global, StartError>> {
        Op::new(async move {
            if !self.init_controller {
                if !self.init_node {
                    return Err(StartError::Nothing);
                }
                let mut builder = self.node;
                if let Some(path) = self.state_dir.filter(|_| !self.token_given) {
                    builder = builder.state_dir(path);
                }
                builder = builder.controller(self.host, self.port);
                for (host, port) in self.others {
                    builder = builder.or_controller(host, port);
                }
                let node = builder.join().await?;
                return Ok(Global { node: Some(node), controller: None });
            }
            let state = match self.state_dir {
                Some(path) => StateDir::at(path),
                None => StateDir::of_user().map_err(daffi_controller::StartError::from)?,
            };
            let mut config = Config::ephemeral(listen_address(&self.host, self.port)?).with_state(state);
            (config.file, config.limits) = (self.config_file, self.limits);
            let controller = Controller::start(&config)?;
            let mut node = None;
            if self.init_node {
                let mut builder = self.node;
                if !self.token_given {
                    builder = builder.token(controller.token().to_string());
                }
                let address = reachable(controller.address());
                node = Some(builder.controller(address.ip().to_string(), address.port()).join().await?);
            }
            Ok(Global { node, controller: Some(Arc::new(controller)) })
        })
    }
}

/// Where a node of this process reaches a controller that listens on every address.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
