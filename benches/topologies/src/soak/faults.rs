//! What is done to the processes of a soak, and what has to follow.

use std::{
    fmt,
    time::{Duration, Instant},
};

use fastrand::Rng;
use rustix::process::Signal;

use super::{
    load::{Load, PATIENCE, now},
    system::{CALLEE, CALLER, CONTROLLER, PRODUCERS, RECEIVERS},
    talk::{CallerOrder, Kind, ReceiverOrder},
};
use crate::Result;

/// How long a controller that was killed stays away, at most; in milliseconds.
const AWAY: u64 = 1_500;

/// How long a process stands still: shorter and longer than a node that says nothing is taken for alive, in milliseconds.
const STILL: (u64, u64) = (1_000, 3_000);

/// How long to wait for a node's death to be noticed.
const NOTICE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// It is killed, and started again after so many milliseconds.
    KillController(u64),
    /// It is told to stop, and started again.
    StopController,
    /// This process stands still for so many milliseconds.
    Pause(&'static str, u64),
    /// It is killed, and another process of its name started.
    KillReceiver(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KillController(away) => write!(f, "kill the controller, for {away} ms"),
            Self::StopController => write!(f, "stop the controller"),
            Self::Pause(name, still) => write!(f, "pause {name}, for {still} ms"),
            Self::KillReceiver(name) => write!(f, "kill {name}"),
        }
    }
}

impl Fault {
    pub(super) fn choose(chance: &mut Rng) -> Self {
        let still = STILL.0 + chance.u64(..=STILL.1);
        match chance.u32(..10) {
            0..=2 => Self::KillController(chance.u64(..AWAY)),
            3 => Self::StopController,
            4 => Self::Pause(CONTROLLER, still),
            5 => Self::Pause(PRODUCERS[chance.usize(..PRODUCERS.len())], still),
            6 | 7 => Self::Pause(RECEIVERS[chance.usize(..RECEIVERS.len())], still),
            8 => Self::Pause(CALLEE, still),
            // The first is the witness.
            _ => Self::KillReceiver(RECEIVERS[chance.usize(1..RECEIVERS.len())]),
        }
    }

    /// Does it, and waits until the steady stream goes on.
    pub(super) async fn happen(self, load: &mut Load) -> Result<()> {
        load.begin_fault(&self);
        match self {
            Self::KillController(away) => {
                load.system.kill(CONTROLLER).await?;
                load.wait(Duration::from_millis(away)).await;
                load.system.launch(CONTROLLER).await?;
                let resumed = load.goes_on().await?;
                load.measures.resume.extend(resumed);
            }
            Self::StopController => {
                load.system.stop(CONTROLLER).await?;
                load.system.launch(CONTROLLER).await?;
                let resumed = load.goes_on().await?;
                load.measures.resume.extend(resumed);
            }
            Self::Pause(name, still) => {
                load.system.process(name)?.signal(Signal::STOP)?;
                load.wait(Duration::from_millis(still)).await;
                load.system.process(name)?.signal(Signal::CONT)?;
                load.goes_on().await?;
            }
            Self::KillReceiver(name) => kill_receiver(name, load).await?,
        }
        Ok(())
    }
}

async fn kill_receiver(name: &'static str, load: &mut Load) -> Result<()> {
    let collected = now();
    load.collect().await?;
    let before: u64 = load.system.ask(CALLER, &CallerOrder::Left(name.into())).await?;
    load.system.kill(name).await?;
    load.has_killed(name, collected);
    let killed = Instant::now();
    let order = CallerOrder::AwaitLeft { node: name.into(), beyond: before, millis: NOTICE.as_millis() as u64 };
    let left: u64 = load.system.ask(CALLER, &order).await?;
    if left > before {
        load.measures.notice.push(killed.elapsed());
    } else {
        load.complain(format!("nobody noticed within {NOTICE:?} that {name} was killed"));
    }
    load.system.launch(name).await?;
    let launched = Instant::now();
    let order = ReceiverOrder::Await { kind: Kind::Live, beyond: 0, millis: PATIENCE.as_millis() as u64 };
    match load.system.ask(name, &order).await? {
        0u64 => load.complain(format!("{name} came back and got nothing of the live stream within {PATIENCE:?}")),
        _ => load.measures.rejoin.push(launched.elapsed()),
    }
    Ok(())
}
