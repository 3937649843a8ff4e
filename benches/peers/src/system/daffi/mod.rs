//! daffi as it comes: TLS on, a controller in a process of its own.

mod calls;
mod streams;

use std::{path::Path, time::Duration};

use daffi::{Builder, Global};

use super::{Calls, Streams, System, locked};
use crate::{
    Result,
    role::{Place, tell},
};

/// How long one waits for the directory to name the others.
const GATHERING: Duration = Duration::from_secs(30);

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

    fn calls(&self) -> Option<&dyn Calls> {
        Some(self)
    }

    fn streams(&self) -> Option<&dyn Streams> {
        Some(self)
    }
}

/// Runs a controller that leaves its token in this directory.
fn controller(dir: &Path) -> Result<()> {
    let builder = Global::builder().host("127.0.0.1").port(0).init_node(false).init_controller(true);
    let g = builder.state_dir(dir).start().wait()?;
    tell(&g.controller_address().ok_or("there is no controller")?)?;
    Ok(g.join().wait()?)
}

fn node(place: &Place, name: &str) -> Builder {
    let Place { dir, router, .. } = place;
    let builder = Global::builder().process_name(name).host(router.ip().to_string()).port(router.port());
    // A node that joined again would hide that it had been lost.
    builder.token_file(dir.join("token")).reconnect(false)
}
