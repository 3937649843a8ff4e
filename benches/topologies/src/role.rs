//! What the program is when it is started by itself: a controller, a sender or a receiver.

use std::{net::Ipv4Addr, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use daffi::{Global, callbacks};
use daffi_controller::{Config, Controller};

use crate::{
    Result,
    process::Parent,
    soak,
    work::{Work, calls::Calls, crowd::Crowd, frames::Frames, loaded::Loaded, memory::Memory, sequence, tiny::Tiny},
};

/// How long a sender waits for the receivers to come.
const GATHERING: Duration = Duration::from_secs(30);

/// How long a node that ends waits for what runs. Nothing should.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Carries everything
    Controller,
    /// Streams or calls when it is told to
    Sender {
        #[command(flatten)]
        place: Place,
        /// Which nodes to wait for
        #[arg(long, value_delimiter = ',')]
        receivers: Vec<String>,
    },
    /// Is many nodes, which stay or come and go as it is told
    Crowd {
        #[arg(long)]
        port: u16,
    },
    /// Takes items or calls, and tells what came
    Receiver {
        #[command(flatten)]
        place: Place,
    },
    /// A part of a soak
    #[command(subcommand)]
    Soak(soak::Part),
}

#[derive(Debug, Args)]
pub(crate) struct Place {
    #[arg(long)]
    work: WorkName,
    #[arg(long)]
    port: u16,
    #[arg(long)]
    name: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WorkName {
    Tiny,
    Frames,
    Calls,
    Loaded,
    Memory,
}

impl Role {
    /// Plays it until the parent wants no more.
    pub(crate) async fn play(self) -> Result<()> {
        match self {
            Self::Controller => controller().await,
            Self::Crowd { port } => crowd(port).await,
            Self::Soak(part) => part.play().await,
            Self::Sender { place, receivers } => match place.work {
                WorkName::Tiny => sender::<Tiny>(place, receivers).await,
                WorkName::Frames => sender::<Frames>(place, receivers).await,
                WorkName::Calls => sender::<Calls>(place, receivers).await,
                WorkName::Loaded => sender::<Loaded>(place, receivers).await,
                WorkName::Memory => sender::<Memory>(place, receivers).await,
            },
            Self::Receiver { place } => match place.work {
                WorkName::Tiny => receiver::<Tiny>(place).await,
                WorkName::Frames => receiver::<Frames>(place).await,
                WorkName::Calls => receiver::<Calls>(place).await,
                WorkName::Loaded => receiver::<Loaded>(place).await,
                WorkName::Memory => receiver::<Memory>(place).await,
            },
        }
    }
}

async fn controller() -> Result<()> {
    let mut config = Config::of_user()?;
    config.listen = (Ipv4Addr::LOCALHOST, 0).into();
    let controller = Controller::start(&config)?;
    let mut parent = Parent::new();
    parent.answer(&controller.address().port())?;
    // It takes no orders but to end.
    parent.order::<()>().await?;
    controller.stop(Duration::ZERO).await;
    Ok(())
}

async fn crowd(port: u16) -> Result<()> {
    let mut parent = Parent::new();
    parent.answer(&())?;
    let mut crowd = Crowd::new(port);
    while let Some(order) = parent.order().await? {
        crowd.obey(order).await?;
        parent.answer(&())?;
    }
    crowd.leave().await;
    Ok(())
}

async fn sender<W: Work>(place: Place, receivers: Vec<String>) -> Result<()> {
    let node = builder(place).callbacks(callbacks![]).start().await?;
    for receiver in receivers {
        node.wait_process(receiver).timeout(GATHERING).await?;
    }
    let mut parent = Parent::new();
    parent.answer(&())?;
    while let Some(order) = parent.order().await? {
        parent.answer(&W::send(order).await?)?;
    }
    node.stop_within(GRACE).await;
    Ok(())
}

async fn receiver<W: Work>(place: Place) -> Result<()> {
    let node = W::offer(builder(place)).start().await?;
    let mut parent = Parent::new();
    parent.answer(&())?;
    while let Some(question) = parent.order().await? {
        parent.answer(&sequence::answer(question))?;
    }
    node.stop_within(GRACE).await;
    Ok(())
}

fn builder(place: Place) -> daffi::Builder {
    Global::builder().process_name(place.name).host("127.0.0.1").port(place.port)
}
