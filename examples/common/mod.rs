//! Where the controller of an example is: the same two options for all of them.

use std::fmt;

use daffi::{Builder, Global};

/// The place of the controller.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Place {
    /// Where the controller is, or is to listen
    #[arg(long, default_value = "localhost")]
    host: String,
    /// The controller's port
    #[arg(long, default_value_t = 8888)]
    port: u16,
}

impl Place {
    /// Sets up a node with its controller there.
    pub(crate) fn global(self) -> Builder {
        Global::builder().host(self.host).port(self.port)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
