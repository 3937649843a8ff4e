//! The children's side of a soak.

mod callee;
mod caller;
mod producer;
mod receiver;

use std::{net::Ipv4Addr, time::Duration};

use clap::{Args, Subcommand};
use daffi::{Builder, Global};
use daffi_controller::{Config, Controller};
use serde::{Deserialize, Serialize};

use crate::{Result, process::Parent};

/// How long a node that ends waits for what runs.
const GRACE: Duration = Duration::from_secs(2);

/// How long a controller that is told to stop waits for streams: those without end outlast it, and go on with the next one.
const CONTROLLER_GRACE: Duration = Duration::from_millis(500);

#[derive(Debug, Subcommand)]
pub(crate) enum Part {
    /// Carries everything, at a port that it is told
    Controller {
        #[arg(long)]
        port: u16,
    },
    /// Streams
    Producer(Place),
    /// Takes streams, slowly if it is told so
    Receiver {
        #[command(flatten)]
        place: Place,
        #[arg(long)]
        slow: bool,
    },
    /// Answers calls
    Callee(Place),
    /// Calls, and sees who leaves
    Caller(Place),
}

#[derive(Debug, Args)]
pub(crate) struct Place {
    #[arg(long)]
    port: u16,
    #[arg(long)]
    name: String,
}

impl Place {
    fn builder(self) -> Builder {
        Global::builder().process_name(self.name).host("127.0.0.1").port(self.port)
    }
}

impl Part {
    /// Plays it until the parent wants no more.
    pub(crate) async fn play(self) -> Result<()> {
        match self {
            Self::Controller { port } => controller(port).await,
            Self::Producer(place) => producer::play(place).await,
            Self::Receiver { place, slow } => receiver::play(place, slow).await,
            Self::Callee(place) => callee::play(place).await,
            Self::Caller(place) => caller::play(place).await,
        }
    }
}

async fn controller(port: u16) -> Result<()> {
    let mut config = Config::of_user()?;
    config.listen = (Ipv4Addr::LOCALHOST, port).into();
    let controller = Controller::start(&config)?;
    let mut parent = Parent::new();
    parent.answer(&controller.address().port())?;
    parent.order::<()>().await?;
    controller.stop(CONTROLLER_GRACE).await;
    Ok(())
}

/// An item of any stream.
#[derive(Debug, Serialize, Deserialize)]
struct Item {
    stream: u64,
    number: u64,
    #[serde(with = "serde_bytes")]
    body: Vec<u8>,
}
