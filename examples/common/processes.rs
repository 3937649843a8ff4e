//! For programs that start themselves again to play further parts.
//!
//! Each of those processes holds the reading end of a pipe to the one that started it, and ends with it: when that is through, and
//! when it is killed.

use std::{
    error::Error,
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// How long a process may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The processes that are running.
pub(crate) struct Processes {
    program: PathBuf,
    state_dir: PathBuf,
    running: Vec<Child>,
}

impl Processes {
    /// None yet. They keep and find the join token in this directory.
    pub(crate) fn new(state_dir: &Path) -> io::Result<Self> {
        Ok(Self { program: std::env::current_exe()?, state_dir: state_dir.to_owned(), running: Vec::new() })
    }

    /// Starts another; its number, and what it says when it is ready.
    pub(crate) async fn start<I, S>(&mut self, arguments: I) -> Result<(u32, String), Box<dyn Error>>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("DAFFI_STATE_DIR", &self.state_dir);
        command.env_remove("DAFFI_TOKEN").env_remove("DAFFI_TOKEN_FILE");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        // Ctrl-C goes to the starter alone, which ends the others in order.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn()?;
        let id = child.id().ok_or("a process ended at once")?;
        let output = child.stdout.take();
        self.running.push(child);
        let mut ready = String::new();
        if let Some(output) = output {
            BufReader::new(output).read_line(&mut ready).await?;
        }
        if ready.is_empty() {
            return Err("a process ended before it was ready".into());
        }
        Ok((id, ready.trim_end().to_owned()))
    }

    /// Ends them all, the last one first, and waits until they have ended. Whether all of them say that they did well.
    pub(crate) async fn end(mut self) -> bool {
        let mut well = true;
        while let Some(mut child) = self.running.pop() {
            drop(child.stdin.take());
            match timeout(PATIENCE, child.wait()).await {
                Ok(status) => well &= status.is_ok_and(|status| status.success()),
                Err(_) => {
                    well = false;
                    if let Err(error) = child.kill().await {
                        eprintln!("could not end a process: {error}");
                    }
                }
            }
        }
        well
    }
}

/// Waits for the end of the pipe.
pub(crate) fn until_the_starter_is_through() {
    // An error is an end as well.
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
}
