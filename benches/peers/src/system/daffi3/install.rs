//! Where daffi 3 is installed, and how it comes there.

use std::{env, fs, path::PathBuf, process::Command};

use crate::Result;

/// The one that is measured. A later one may want other scripts.
const PACKAGE: &str = "daffi==3.0.1";

/// What makes the directory.
const PYTHON: &str = "python3";

/// Installs it into a virtual environment in the user's cache, from where pip takes packages. Does nothing if it is there.
///
/// # Errors
///
/// If there is no Python with venv, or pip fails.
pub(crate) fn install() -> Result<()> {
    if installed().is_ok() {
        return Ok(());
    }
    let dir = directory()?;
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    run(Command::new(PYTHON).args(["-m", "venv", "--clear"]).arg(&dir))
        .map_err(|error| format!("{error}; install Python and its venv with `apt-get install python3-venv`"))?;
    run(Command::new(dir.join("bin/pip")).args(["install", PACKAGE]))?;
    installed().map(drop)
}

/// The interpreter that has it.
///
/// # Errors
///
/// If it is not installed: how to install it.
pub(super) fn installed() -> Result<PathBuf> {
    let python = directory()?.join("bin/python");
    let has_it =
        Command::new(&python).args(["-c", "import daffi"]).output().is_ok_and(|output| output.status.success());
    if has_it { Ok(python) } else { Err("it is not installed; run this program with `install-daffi-3`".into()) }
}

/// `$XDG_CACHE_HOME`, or `~/.cache`, as programs of a user agree to have it.
fn directory() -> Result<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = cache.or_else(|| env::home_dir().map(|home| home.join(".cache")));
    Ok(cache.ok_or("there is no home directory; set XDG_CACHE_HOME")?.join("daffi-peers/daffi-3"))
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} ended with {status}").into()),
        Err(error) => Err(format!("could not run {program}: {error}").into()),
    }
}
