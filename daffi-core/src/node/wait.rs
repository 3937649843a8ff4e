//! Waiting for a node or a callback to appear.

use std::{fmt, sync::Arc, time::Duration};

use super::{Inner, State, directory::Directory, error, runtime::Op};

/// Waiting for a node or a callback: `.await` it, or `.wait()` where there is no async runtime. Without
/// [`timeout`](Self::timeout) it waits as long as it takes.
#[derive(Debug)]
#[must_use = "it does nothing until it is awaited or waited for"]
pub struct Wait {
    pub(super) inner: Arc<Inner>,
    pub(super) what: What,
    pub(super) timeout: Option<Duration>,
}

impl Wait {
    /// Gives up after this time.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Blocks the thread until it is there.
    ///
    /// # Errors
    ///
    /// [`WaitError`].
    pub fn wait(self) -> Result<(), WaitError> {
        self.into_future().wait()
    }
}

impl IntoFuture for Wait {
    type Output = Result<(), WaitError>;
    type IntoFuture = Op<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { inner, what, timeout } = self;
        let timer = timeout.map(|timeout| {
            let _runtime = inner.runtimes.io.enter();
            (timeout, tokio::time::sleep(timeout))
        });
        Op::new(async move {
            let mut directory = inner.directory.subscribe();
            let mut state = inner.state.subscribe();
            let passed = async {
                match timer {
                    Some((timeout, timer)) => {
                        timer.await;
                        timeout
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                found = directory.wait_for(|directory| what.is_there(directory)) => {
                    found.map(drop).map_err(|_| WaitError::Stopped { what: what.to_string() })
                }
                _ = state.wait_for(|state| matches!(state, State::Ended(_))) => {
                    Err(WaitError::Stopped { what: what.to_string() })
                }
                after = passed => {
                    let present = what.present(&inner.directory.borrow());
                    Err(WaitError::Timeout { what: what.to_string(), after, present })
                }
            }
        })
    }
}

/// Waiting for a node or callback took too long.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// It did not appear in time.
    #[error("{what} did not appear within {after:?}; present: {}", error::list(.present))]
    Timeout {
        /// What was waited for.
        what: String,
        /// For how long.
        after: Duration,
        /// The nodes, or the callbacks, that are there.
        present: Vec<String>,
    },
    /// The node stopped meanwhile.
    #[error("the node stopped while it waited for {what}")]
    Stopped {
        /// What was waited for.
        what: String,
    },
}

/// The sentence itself: it is what a `main` prints that returns the error.
impl fmt::Debug for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug)]
pub(super) enum What {
    Process(String),
    Function(String),
}

impl What {
    fn is_there(&self, directory: &Directory) -> bool {
        match self {
            Self::Process(name) => directory.has_node(name),
            Self::Function(name) => directory.has_callback(name),
        }
    }

    fn present(&self, directory: &Directory) -> Vec<String> {
        match self {
            Self::Process(_) => directory.present(),
            Self::Function(_) => directory.known(),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(name) => write!(f, "node {name:?}"),
            Self::Function(name) => write!(f, "callback {name:?}"),
        }
    }
}
