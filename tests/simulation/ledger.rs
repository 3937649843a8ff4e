//! What is known of a run: what was done, in which order, and what should not have been.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::Instant;

/// One process: a node from its start to its end. A name may have several, one after the other.
pub(crate) type Process = u32;

/// What is known of a run. Clones are the same.
#[derive(Clone)]
pub(crate) struct Ledger {
    began: Instant,
    books: Arc<Mutex<Books>>,
}

#[derive(Default)]
struct Books {
    trace: Vec<String>,
    faults: Vec<String>,
    processes: Vec<Life>,
    /// How often a call ran in a process.
    runs: BTreeMap<(u64, Process), u32>,
    /// What came of a stream to a process, in the order in which it came, and when.
    taken: BTreeMap<(u64, Process), Vec<(u64, Duration)>>,
    /// How often a schedule fired.
    fired: BTreeMap<u64, u64>,
    /// Callbacks that have begun and not ended.
    running: BTreeMap<u64, u32>,
    /// Calls of which it was said that they did not run, at any node or at this one.
    never_ran: Vec<(u64, Option<String>)>,
}

/// When a process lived.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) name: String,
    pub(crate) from: Duration,
    pub(crate) to: Option<Duration>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), books: Arc::default() }
    }

    /// How long the run has lasted.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Notes something in the trace.
    pub(crate) fn note(&self, what: fmt::Arguments<'_>) {
        let line = format!("{:>10?} {what}", self.now());
        self.books().trace.push(line);
    }

    /// Notes that a promise was broken.
    pub(crate) fn fault(&self, what: impl fmt::Display) {
        self.note(format_args!("FAULT {what}"));
        self.books().faults.push(what.to_string());
    }

    /// Notes that a promise was broken, unless it was kept.
    pub(crate) fn check(&self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.fault(what());
        }
    }

    pub(crate) fn born(&self, name: &str) -> Process {
        let (from, mut books) = (self.now(), self.books());
        books.processes.push(Life { name: name.to_owned(), from, to: None });
        books.processes.len() as Process - 1
    }

    pub(crate) fn died(&self, process: Process) {
        let now = self.now();
        self.books().processes[process as usize].to.get_or_insert(now);
    }

    pub(crate) fn lives(&self, process: Process) -> bool {
        self.books().processes[process as usize].to.is_none()
    }

    /// The processes that had this name.
    pub(crate) fn processes(&self, name: &str) -> Vec<(Process, Life)> {
        let books = self.books();
        let all = books.processes.iter().cloned().enumerate().map(|(number, life)| (number as Process, life));
        all.filter(|(_, life)| life.name == name).collect()
    }

    /// A callback begins for a call or stream; it goes on until this is dropped.
    pub(crate) fn begin(&self, id: u64) -> Running {
        *self.books().running.entry(id).or_default() += 1;
        Running { id, ledger: self.clone() }
    }

    pub(crate) fn run(&self, call: u64, process: Process) {
        self.note(format_args!("call {call} runs in {process}"));
        *self.books().runs.entry((call, process)).or_default() += 1;
    }

    /// It was said that a call did not run, at this node or at all.
    pub(crate) fn must_not_run(&self, call: u64, node: Option<&str>) {
        self.books().never_ran.push((call, node.map(str::to_owned)));
    }

    pub(crate) fn never_ran(&self) -> Vec<(u64, Option<String>)> {
        self.books().never_ran.clone()
    }

    /// How often a call ran, by process.
    pub(crate) fn runs(&self, call: u64) -> Vec<(Process, u32)> {
        let books = self.books();
        books.runs.range((call, 0)..=(call, Process::MAX)).map(|((_, process), runs)| (*process, *runs)).collect()
    }

    pub(crate) fn take(&self, stream: u64, process: Process, item: u64) {
        self.note(format_args!("stream {stream}: {item} in {process}"));
        let now = self.now();
        self.books().taken.entry((stream, process)).or_default().push((item, now));
    }

    /// What a process has of a stream.
    pub(crate) fn taken(&self, stream: u64, process: Process) -> Vec<u64> {
        let books = self.books();
        books.taken.get(&(stream, process)).into_iter().flatten().map(|(item, _)| *item).collect()
    }

    /// When the last item of a stream came to a process.
    pub(crate) fn last_taken(&self, stream: u64, process: Process) -> Option<Duration> {
        self.books().taken.get(&(stream, process))?.last().map(|(_, at)| *at)
    }

    /// A schedule is over, and fired so often.
    pub(crate) fn fired(&self, schedule: u64, times: u64) {
        self.books().fired.insert(schedule, times);
    }

    /// How often a schedule fired that is over.
    pub(crate) fn firings(&self, schedule: u64) -> Option<u64> {
        self.books().fired.get(&schedule).copied()
    }

    /// The calls and streams whose callbacks still run.
    pub(crate) fn running(&self) -> Vec<u64> {
        self.books().running.iter().filter(|(_, count)| **count > 0).map(|(id, _)| *id).collect()
    }

    pub(crate) fn faults(&self) -> Vec<String> {
        self.books().faults.clone()
    }

    pub(crate) fn trace(&self) -> Vec<String> {
        self.books().trace.clone()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }
}

/// A callback that runs.
pub(crate) struct Running {
    id: u64,
    ledger: Ledger,
}

impl Drop for Running {
    fn drop(&mut self) {
        *self.ledger.books().running.get_mut(&self.id).expect("it was begun") -= 1;
    }
}
