//! A thread that begins callbacks: the one whom a call that comes alone is handed to.
//!
//! A runtime of several threads that gets a task wakes a thread, which wakes another to look for more tasks. Where calls come one
//! by one there are none, and most callbacks are through by their first poll. So the desk takes a callback while it has no other,
//! and polls it once; what is not through then goes on in the runtime, and so does all that comes while the desk is busy.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    thread::{self, Thread},
};

use tokio::runtime::Handle;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The thread, and the runtime that it helps.
#[derive(Debug)]
pub(crate) struct Desk {
    shared: Arc<Shared>,
    thread: Thread,
    runtime: Handle,
}

#[derive(Default)]
struct Shared {
    /// From when work is handed over until it was polled.
    busy: AtomicBool,
    work: Mutex<Option<Work>>,
}

impl Desk {
    /// Starts the thread. It lives as long as the process.
    pub(crate) fn start(runtime: Handle) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let (served, with) = (shared.clone(), runtime.clone());
        let thread = thread::Builder::new().name("daffi-desk".into()).spawn(move || served.serve(&with))?;
        Ok(Self { shared, thread: thread.thread().clone(), runtime })
    }

    /// Runs something to its end. Never blocks, and never polls it on the calling thread.
    pub(crate) fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        if self.shared.busy.swap(true, Ordering::Acquire) {
            self.runtime.spawn(work);
            return;
        }
        *self.shared.lock() = Some(Box::pin(work));
        self.thread.unpark();
    }
}

impl Shared {
    fn serve(&self, runtime: &Handle) {
        loop {
            let Some(mut work) = self.lock().take() else {
                thread::park();
                continue;
            };
            // As a task of the runtime would be polled, its budget of ready futures included. The waker may be one that wakes
            // nobody: who is pending is polled again at once, by the runtime and with its waker.
            let first =
                std::future::poll_fn(|_| Poll::Ready(work.as_mut().poll(&mut Context::from_waker(Waker::noop()))));
            match catch_unwind(AssertUnwindSafe(|| runtime.block_on(first))) {
                Ok(Poll::Pending) => drop(runtime.spawn(work)),
                // A panic ends the work, as it would end a task, and the panic hook has told of it.
                Ok(Poll::Ready(())) | Err(_) => {}
            }
            self.busy.store(false, Ordering::Release);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Work>> {
        // Something is put in or taken out: a panic leaves either.
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("busy", &self.busy).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc,
        time::{Duration, Instant},
    };

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn desk() -> Desk {
        Desk::start(Handle::current()).unwrap()
    }

    /// Waits until the desk takes what comes.
    fn wait_until_free(desk: &Desk) {
        let deadline = Instant::now() + PATIENCE;
        while desk.shared.busy.load(Ordering::Acquire) {
            assert!(Instant::now() < deadline, "the desk does not come to an end");
            thread::yield_now();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_is_short_is_done_at_the_desk() {
        let (desk, (done, tell)) = (desk(), mpsc::channel());
        for _ in 0..100 {
            wait_until_free(&desk);
            let done = done.clone();
            desk.run(async move { done.send(thread::current().id()).unwrap() });
            assert_eq!(tell.recv_timeout(PATIENCE), Ok(desk.thread.id()));
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_waits_goes_on_in_the_runtime() {
        let (desk, (told, tell)) = (desk(), mpsc::channel());
        desk.run(async move {
            told.send(thread::current().id()).unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
            told.send(thread::current().id()).unwrap();
        });
        assert_eq!(tell.recv_timeout(PATIENCE), Ok(desk.thread.id()));
        assert_ne!(tell.recv_timeout(PATIENCE), Ok(desk.thread.id()));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_never_waits_can_be_stopped_all_the_same() {
        let desk = desk();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (ended, end) = mpsc::channel();
        desk.run(async move {
            // Always ready: what ends its poll is the runtime's budget, of which an await of a channel takes a part.
            let busy = async {
                let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
                loop {
                    sender.send(()).unwrap();
                    receiver.recv().await;
                }
            };
            tokio::select! { _ = stopped => {}, () = busy => {} }
            ended.send(()).unwrap();
        });
        wait_until_free(&desk);
        stop.send(()).unwrap();
        end.recv_timeout(PATIENCE).unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn who_blocks_the_desk_keeps_nobody_waiting() {
        let (desk, (done, tell)) = (desk(), mpsc::channel());
        let (go_on, wait) = mpsc::channel::<()>();
        desk.run(async move { wait.recv_timeout(PATIENCE).unwrap() });
        for number in 0..10 {
            let done = done.clone();
            desk.run(async move { done.send(number).unwrap() });
            assert_eq!(tell.recv_timeout(PATIENCE), Ok(number));
        }
        go_on.send(()).unwrap();
        wait_until_free(&desk);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_panic_ends_the_work_and_not_the_desk() {
        let (desk, (done, tell)) = (desk(), mpsc::channel());
        desk.run(async { panic!("as it should") });
        wait_until_free(&desk);
        desk.run(async move { done.send(thread::current().id()).unwrap() });
        assert_eq!(tell.recv_timeout(PATIENCE), Ok(desk.thread.id()));
    }
}
