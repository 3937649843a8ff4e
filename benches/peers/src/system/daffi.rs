//! daffi as it comes: TLS on, a controller, a node with an async callback, a node with a stub.
//!
//! A node has a thread of its own for I/O; the caller awaits its calls on a runtime of one thread, as the fastest peers' callers
//! do.

use std::{path::Path, time::Duration};

use daffi::{Builder, Global, callback, callbacks};

use super::{System, locked};
use crate::{
    Result,
    role::{Orders, Place, block_on, tell},
    work::calls,
};

/// How long the caller waits for the directory to name the responder.
const GATHERING: Duration = Duration::from_secs(30);

const RESPONDER: &str = "responder";

#[callback]
async fn echo(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

mod stub {
    #[daffi::fetcher]
    pub(super) async fn echo(bytes: &[u8]) -> Vec<u8>;
}

#[derive(Debug)]
pub(crate) struct Daffi;

impl System for Daffi {
    fn name(&self) -> &'static str {
        "daffi"
    }

    fn tls(&self) -> bool {
        true
    }

    fn version(&self) -> Result<String> {
        Ok(locked("daffi"))
    }

    fn route(&self, dir: &Path) -> Result<()> {
        let builder = Global::builder().host("127.0.0.1").port(0).init_node(false).init_controller(true);
        let g = builder.state_dir(dir).start().wait()?;
        tell(&g.controller_address().ok_or("there is no controller")?)?;
        Ok(g.join().wait()?)
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

fn node(place: &Place, name: &str) -> Builder {
    let Place { dir, router } = place;
    let builder = Global::builder().process_name(name).host(router.ip().to_string()).port(router.port());
    // A node that joined again would hide that it had been lost.
    builder.token_file(dir.join("token")).reconnect(false)
}
