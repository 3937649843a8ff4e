//! daffi 3 for Python: a router, and clients as receivers and as sender, in clear text. Each part is a script that takes this
//! process's place.

mod install;

use std::{os::unix::process::CommandExt, path::Path, process::Command};

pub(crate) use self::install::install;
use super::{Streams, System};
use crate::{
    Result,
    role::{Orders, Place},
    work::stream::{Intake, Kind, Scene},
};

#[derive(Debug)]
pub(crate) struct Daffi3;

impl System for Daffi3 {
    fn name(&self) -> &'static str {
        "daffi-3"
    }

    fn tls(&self) -> bool {
        false
    }

    fn version(&self) -> Result<String> {
        let script =
            "import daffi, platform; print('daffi', daffi.__version__ + ', Python', platform.python_version())";
        let output = Command::new(install::installed()?).args(["-c", script]).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn streams(&self) -> Option<&dyn Streams> {
        Some(self)
    }
}

impl Streams for Daffi3 {
    /// It queues without limit for who is slow, so it is not asked what becomes of such items.
    fn carries(&self, kind: Kind) -> bool {
        kind != Kind::SlowReceiver
    }

    /// What nobody acknowledges nobody promises.
    fn lossless(&self, _: Kind) -> bool {
        false
    }

    fn slowness(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Tiny => 30,
            Kind::Frames | Kind::BigFrames => 2,
            Kind::Live | Kind::SlowReceiver => 1,
        }
    }

    fn relay(&self, _: &Path, _: &Scene) -> Result<()> {
        become_script(include_str!("router.py"), &[])
    }

    fn receive(&self, place: &Place, scene: &Scene, _: &'static Intake) -> Result<()> {
        let args = [place.router.port().to_string(), place.number.to_string(), scene.to_json()?];
        become_script(include_str!("receiver.py"), &args)
    }

    fn send(&self, place: &Place, scene: &Scene, _: Orders) -> Result<()> {
        become_script(include_str!("sender.py"), &[place.router.port().to_string(), scene.to_json()?])
    }
}

fn become_script(script: &str, args: &[String]) -> Result<()> {
    let error = Command::new(install::installed()?).args(["-c", script]).args(args).exec();
    Err(format!("could not run Python: {error}").into())
}
