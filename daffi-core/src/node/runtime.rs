//! Threads: who runs what.
//!
//! A node's I/O runs on a thread of its own, which runs no user code, so a slow callback never delays a packet. Callbacks and
//! the sources of streams run on one runtime that all nodes of the process share. Neither is the caller's runtime: calls
//! can be made from any executor, or from none ([`Op::wait`]).

use std::{
    fmt,
    future::pending,
    io,
    panic::resume_unwind,
    pin::Pin,
    sync::{OnceLock, mpsc},
    task::{Context, Poll},
    thread,
};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::oneshot,
    task::{JoinError, JoinHandle},
    time::Instant,
};

use super::desk::Desk;
use crate::wire::limits;

/// Something that is under way: `.await` it, or `.wait()` for it where there is no async runtime. Dropping it cancels it.
#[must_use = "it does nothing until it is awaited or waited for"]
pub struct Op<T>(Pin<Box<dyn Future<Output = T> + Send>>);

impl<T> Op<T> {
    /// For the crates of daffi itself.
    #[doc(hidden)]
    pub fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Box::pin(future))
    }

    /// Blocks the thread until it is done. For programs without an async runtime, and for sync callbacks; in async code it
    /// would hold up other tasks of the thread.
    pub fn wait(self) -> T {
        pollster::block_on(self)
    }
}

impl<T> Future for Op<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.0.as_mut().poll(cx)
    }
}

impl<T> fmt::Debug for Op<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Op")
    }
}

/// Where a node's tasks run.
#[derive(Debug)]
pub(crate) struct Runtimes {
    /// Connections, and nothing that blocks or belongs to the user.
    pub(crate) io: Handle,
    /// Callbacks and sources.
    pub(crate) work: Handle,
    /// Begins callbacks that come alone. None on a runtime that is not daffi's.
    desk: Option<&'static Desk>,
    /// Ends the I/O thread when dropped.
    _thread: Option<oneshot::Sender<()>>,
}

impl Runtimes {
    /// A new I/O thread, and the process's runtime for callbacks.
    pub(crate) fn own(name: &str) -> io::Result<Self> {
        let (ended, end) = oneshot::channel::<()>();
        let (started, start) = mpsc::channel();
        // The runtime is made and dropped on its thread: elsewhere it might be within another runtime, which forbids that.
        thread::Builder::new().name(format!("daffi-{name}")).spawn(move || {
            match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => {
                    let _ = started.send(Ok(runtime.handle().clone()));
                    // An error means that the node is dropped, which is the end.
                    let _ = runtime.block_on(end);
                }
                Err(error) => drop(started.send(Err(error))),
            }
        })?;
        // The thread answers in any case.
        let io = start.recv().map_err(io::Error::other)??;
        let (work, desk) = callbacks()?;
        Ok(Self { io, work, desk: Some(desk), _thread: Some(ended) })
    }

    /// All on the current runtime: for tests with an in-memory network and a paused clock.
    pub(crate) fn current() -> Self {
        Self { io: Handle::current(), work: Handle::current(), desk: None, _thread: None }
    }

    /// The time that deadlines go by: that of the I/O thread, whatever clock the runtime has that asks. A test may have paused
    /// that one, and the network knows nothing of it.
    pub(crate) fn now(&self) -> Instant {
        let _runtime = self.io.enter();
        Instant::now()
    }

    /// Runs a callback that comes alone, as long as it takes; sooner than as a task, if it is short.
    pub(crate) fn run_alone(&self, callback: impl Future<Output = ()> + Send + 'static) {
        match self.desk {
            Some(desk) => desk.run(callback),
            None => drop(self.work.spawn(callback)),
        }
    }
}

/// Runs on a thread that may block. The runtime has the thread begin, not the caller, which may be an I/O thread: where many such
/// threads want the processor, those who hold the lock of their pool may not get it for a long time.
pub(crate) fn run_blocking<T: Send + 'static>(
    work: &Handle,
    run: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    work.spawn(async {
        match tokio::task::spawn_blocking(run).await.map_err(JoinError::try_into_panic) {
            Ok(value) => value,
            Err(Ok(panic)) => resume_unwind(panic),
            // The runtime shuts down, and this task with it.
            Err(Err(_)) => pending().await,
        }
    })
}

/// The runtime for callbacks and sources, and the thread that begins callbacks. They live as long as the process.
fn callbacks() -> io::Result<(Handle, &'static Desk)> {
    static STARTED: OnceLock<(Runtime, Desk)> = OnceLock::new();
    if STARTED.get().is_none() {
        let runtime = Builder::new_multi_thread()
            .thread_name("daffi-callback")
            .max_blocking_threads(limits::MAX_BLOCKING)
            .enable_all()
            .build()?;
        let desk = Desk::start(runtime.handle().clone())?;
        if let Err((second, _desk)) = STARTED.set((runtime, desk)) {
            second.shutdown_background();
        }
    }
    let (runtime, desk) = STARTED.wait();
    Ok((runtime.handle().clone(), desk))
}
