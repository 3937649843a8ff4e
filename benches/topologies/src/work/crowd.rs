//! Many nodes in one process: those that stay, and those that come, call once and go.

use std::time::Duration;

use daffi::{Global, callback, callbacks};
use serde::{Deserialize, Serialize};
use tokio::{task::JoinSet, time::sleep};

use crate::Result;

/// How many join at a time of those that stay.
const AT_ONCE: usize = 25;

/// How long to look for what others have done: nobody tells.
const LOOK: Duration = Duration::from_millis(200);

#[callback]
async fn answer(number: u64) -> u64 {
    number
}

mod stub {
    #[daffi::fetcher]
    pub(super) async fn answer(number: u64) -> u64;
}

/// What a crowd is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// So many nodes join and stay; the number of the first.
    Stay { first: usize, count: usize },
    /// Each node that stays sees so many.
    See { total: usize },
    /// So many nodes join, call a node that stays, and leave; how many at a time, and the number of the first.
    Pass { first: usize, count: usize, at_once: usize },
}

/// The nodes of this process.
#[derive(Debug)]
pub(crate) struct Crowd {
    port: u16,
    nodes: Vec<Global>,
}

impl Crowd {
    pub(crate) const fn new(port: u16) -> Self {
        Self { port, nodes: Vec::new() }
    }

    pub(crate) async fn obey(&mut self, order: Order) -> Result<()> {
        match order {
            Order::Stay { first, count } => {
                let port = self.port;
                self.nodes =
                    all(first..first + count, AT_ONCE, move |number| async move { Ok(start(port, number).await?) })
                        .await?;
            }
            Order::See { total } => {
                for node in &self.nodes {
                    while node.nodes().len() != total {
                        sleep(LOOK).await;
                    }
                }
            }
            Order::Pass { first, count, at_once } => {
                let port = self.port;
                let pass = move |number: usize| async move {
                    let node = start(port, number).await?;
                    node.wait_function("answer").await?;
                    let told = number as u64;
                    let heard = stub::answer(told).on(&node).await?;
                    node.stop().await;
                    if heard == told { Ok(()) } else { Err("an answer to another call".into()) }
                };
                all(first..first + count, at_once, pass).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn leave(self) {
        for node in self.nodes {
            node.stop().await;
        }
    }
}

async fn start(port: u16, number: usize) -> std::result::Result<Global, daffi::StartError> {
    let callbacks = if number == 0 { callbacks![answer].to_vec() } else { Vec::new() };
    let node = Global::builder().process_name(format!("node-{number}")).host("127.0.0.1").port(port);
    node.callbacks(callbacks).start().await
}

/// Does this for all of them, so many at a time.
async fn all<T, F>(numbers: std::ops::Range<usize>, at_once: usize, each: impl Fn(usize) -> F) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let (mut running, mut done) = (JoinSet::new(), Vec::new());
    for number in numbers {
        if running.len() == at_once
            && let Some(one) = running.join_next().await
        {
            done.push(one??);
        }
        running.spawn(each(number));
    }
    while let Some(one) = running.join_next().await {
        done.push(one??);
    }
    Ok(done)
}
