//! A child process, as the program sees it: orders to its stdin, lines from its stdout, and its CPU time.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use nix::{
    time::{ClockId, clock_getcpuclockid},
    unistd::Pid,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::Result;

/// This program in another role. Killed and reaped when dropped: nothing that it could still do is of use.
#[derive(Debug)]
pub(crate) struct Process {
    what: String,
    child: Child,
    orders: ChildStdin,
    lines: Receiver<String>,
    /// Counts what all its threads use, in user and kernel mode, those that have ended included.
    cpu_clock: ClockId,
}

impl Process {
    /// Starts it; `args` say what it is to be, `what` is its name in errors.
    ///
    /// To be called on the main thread: the child dies with the thread that started it.
    pub(crate) fn start(what: String, args: &[&str]) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("could not start {what}: {error}"))?;
        let orders = child.stdin.take().ok_or("the child has no stdin")?;
        let output = child.stdout.take().ok_or("the child has no stdout")?;
        let cpu_clock = clock_getcpuclockid(Pid::from_raw(child.id().try_into()?))?;
        let (sender, lines) = channel();
        // A pipe cannot be read with a time limit, a channel can. The thread ends with the child.
        thread::spawn(move || {
            BufReader::new(output).lines().map_while(std::io::Result::ok).try_for_each(|l| sender.send(l))
        });
        Ok(Self { what, child, orders, lines, cpu_clock })
    }

    /// Waits for its next line.
    pub(crate) fn line(&mut self, patience: Duration) -> Result<String> {
        let what = &self.what;
        self.lines.recv_timeout(patience).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("{what} did not answer within {} s", patience.as_secs()).into(),
            RecvTimeoutError::Disconnected => format!("{what} ended without an answer").into(),
        })
    }

    /// Waits for its next answer.
    pub(crate) fn answer<A: DeserializeOwned>(&mut self, patience: Duration) -> Result<A> {
        let line = self.line(patience)?;
        serde_json::from_str(&line).map_err(|error| format!("{} answered {line:?}: {error}", self.what).into())
    }

    /// Gives it an order and waits for the answer.
    pub(crate) fn ask<Q: Serialize, A: DeserializeOwned>(&mut self, order: &Q, patience: Duration) -> Result<A> {
        self.order(order)?;
        self.answer(patience)
    }

    /// Gives it an order.
    pub(crate) fn order<Q: Serialize>(&mut self, order: &Q) -> Result<()> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        Ok(self.orders.write_all(&line).map_err(|error| format!("{} takes no orders: {error}", self.what))?)
    }

    /// How much CPU time it has used.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let time = self.cpu_clock.now().map_err(|error| format!("{} is gone: {error}", self.what))?;
        Ok(time.into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
