//! A child process, and the protocol between it and its parent: lines of JSON, orders to its stdin and answers from its
//! stdout. The end of its stdin ends it, so no child outlives the benchmark.

use std::{io::Write, path::Path, process::Stdio, time::Duration};

use procfs::{WithCurrentSystemInfo, process::Process as Proc};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, Stdin},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::Result;

/// No answer takes longer unless something hangs: the longest stream lasts for half an hour.
const PATIENCE: Duration = Duration::from_secs(2_100);

/// How long a child has to end by itself.
const FAREWELL: Duration = Duration::from_secs(10);

/// This program in another role.
#[derive(Debug)]
pub(crate) struct Process {
    role: String,
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    proc: Proc,
}

impl Process {
    /// Starts it; `args` say what it is to be.
    pub(crate) fn start(args: &[&str], state: &Path) -> Result<Self> {
        Self::start_with(args, state, &[])
    }

    /// Starts it with these variables in its environment.
    pub(crate) fn start_with(args: &[&str], state: &Path, variables: &[(&str, &str)]) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(args)
            .envs(variables.iter().copied())
            .env("DAFFI_STATE_DIR", state)
            // They would lead to another controller than this benchmark's.
            .env_remove("DAFFI_TOKEN")
            .env_remove("DAFFI_TOKEN_FILE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let orders = child.stdin.take().ok_or("the child has no stdin")?;
        let answers = child.stdout.take().ok_or("the child has no stdout")?;
        let pid = child.id().ok_or("the child has no number")?;
        Ok(Self {
            role: args.join(" "),
            child,
            orders,
            answers: BufReader::new(answers).lines(),
            proc: Proc::new(pid.try_into()?)?,
        })
    }

    /// Waits for its next answer.
    pub(crate) async fn answer<A: DeserializeOwned>(&mut self) -> Result<A> {
        let role = &self.role;
        match timeout(PATIENCE, self.answers.next_line()).await {
            Ok(Ok(Some(line))) => {
                serde_json::from_str(&line).map_err(|error| format!("`{role}` answered {line:?}: {error}").into())
            }
            Ok(Ok(None)) => Err(format!("`{role}` ended without an answer").into()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(format!("`{role}` did not answer within {} s", PATIENCE.as_secs()).into()),
        }
    }

    /// Gives it an order and waits for the answer.
    pub(crate) async fn ask<Q: Serialize, A: DeserializeOwned>(&mut self, order: &Q) -> Result<A> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        self.orders.write_all(&line).await?;
        self.answer().await
    }

    /// How many seconds of CPU time it has used, in user and kernel mode.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let stat = self.proc.stat()?;
        Ok((stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64)
    }

    /// How much memory it has in use, in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        Ok(self.proc.stat()?.rss_bytes().get())
    }

    /// How many files and sockets it has open.
    pub(crate) fn open_files(&self) -> Result<usize> {
        Ok(self.proc.fd_count()?)
    }

    /// The number that tells it from other processes.
    pub(crate) const fn id(&self) -> i32 {
        self.proc.pid
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.id()).ok_or("the child has no number")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Kills it, which leaves it no time to take leave.
    pub(crate) async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Ends it.
    pub(crate) async fn finish(self) -> Result<()> {
        let Self { role, mut child, orders, answers: _answers, proc: _ } = self;
        drop(orders);
        match timeout(FAREWELL, child.wait()).await {
            Ok(status) if status.as_ref().is_ok_and(std::process::ExitStatus::success) => Ok(()),
            Ok(status) => Err(format!("`{role}` ended with {}", status?).into()),
            Err(_) => {
                child.kill().await?;
                Err(format!("`{role}` did not end within {} s and was killed", FAREWELL.as_secs()).into())
            }
        }
    }
}

/// The parent, as a child sees it.
#[derive(Debug)]
pub(crate) struct Parent(Lines<BufReader<Stdin>>);

impl Parent {
    pub(crate) fn new() -> Self {
        Self(BufReader::new(tokio::io::stdin()).lines())
    }

    /// The next order; none is the order to end.
    pub(crate) async fn order<Q: DeserializeOwned>(&mut self) -> Result<Option<Q>> {
        match self.0.next_line().await? {
            Some(line) => Ok(Some(serde_json::from_str(&line)?)),
            None => Ok(None),
        }
    }

    /// Answers.
    pub(crate) fn answer<A: Serialize>(&self, answer: &A) -> Result<()> {
        let mut line = serde_json::to_vec(answer)?;
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        out.write_all(&line)?;
        Ok(out.flush()?)
    }
}
