//! Calls: a node with an async callback, a node with a stub.
//!
//! A node has a thread of its own for I/O; the caller awaits its calls on a runtime of one thread, as the fastest peers' callers
//! do.

use std::path::Path;

use daffi::{callback, callbacks};

use super::{Daffi, GATHERING, controller, node};
use crate::{
    Result,
    role::{Orders, Place, block_on, tell},
    system::Calls,
    work::calls,
};

const RESPONDER: &str = "responder";

#[callback]
async fn echo(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

mod stub {
    #[daffi::fetcher]
    pub(super) async fn echo(bytes: &[u8]) -> Vec<u8>;
}

impl Calls for Daffi {
    fn route(&self, dir: &Path) -> Result<()> {
        controller(dir)
    }

    fn respond(&self, place: &Place) -> Result<()> {
        let g = node(place, RESPONDER).callbacks(callbacks![echo]).start().wait()?;
        tell(&())?;
        Ok(g.join().wait()?)
    }

    fn call(&self, place: &Place, orders: Orders) -> Result<()> {
        block_on(async {
            let g = node(place, "caller").callbacks(callbacks![]).start().await?;
            g.wait_process(RESPONDER).timeout(GATHERING).await?;
            calls::carry_out(orders, |bytes| async move { Ok(stub::echo(&bytes).await?) }).await
        })
    }
}
