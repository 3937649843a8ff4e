//! Tasks that the thread which wakes them can run, so that nobody needs to be woken.
//!
//! A thread that has something to send would wake the I/O thread, which would send it. To wake a thread takes longer than to
//! send a small datagram, and leaves the sender with nothing to do meanwhile. So the tasks that send are [`Assisted`]: within
//! [`assist`] a thread polls those that it woke by itself. They still belong to their runtime, which polls them for every
//! other reason, and whenever the assistance did not get to them.
//!
//! Only this module and those who make such tasks know of it: what is polled is the same future in either case, one thread
//! at a time, always with the same waker.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    task::{Context, Poll, Wake, Waker},
};

use futures_util::task::AtomicWaker;
use tokio::task::coop;

/// How many polls one assistance may take. A frame takes two: of what writes it into a QUIC stream, and of what sends the
/// datagram. Whoever wakes more than these has more to do than to send a frame.
const MAX_TURNS: usize = 4;

thread_local! {
    static ASSISTANCE: Assistance = const {
        Assistance {
            under_way: Cell::new(false),
            woken: RefCell::new(Vec::new()),
            afterwards: RefCell::new(Vec::new()),
        }
    };
}

/// What this thread assists with.
struct Assistance {
    under_way: Cell<bool>,
    /// The tasks that were woken here and have not been polled since.
    woken: RefCell<Vec<Arc<dyn Turn>>>,
    /// What is to be done between polls.
    afterwards: RefCell<Vec<Box<dyn FnOnce()>>>,
}

/// Does `act`, and then polls the [`Assisted`] tasks that it woke, on this thread, unless another thread is at it. Returns once
/// each was polled or left to its runtime; it never waits for another thread's poll.
pub(crate) fn assist(act: impl FnOnce()) {
    let mut act = Some(act);
    let assisted = ASSISTANCE.try_with(|assistance| act.take().map(|act| assistance.lend(act)));
    // A thread at its end has no assistance any more, and wakes as any other does.
    if let (Err(_), Some(act)) = (assisted, act) {
        act();
    }
}

/// Whether this thread assists.
pub(crate) fn assists() -> bool {
    ASSISTANCE.try_with(|assistance| assistance.under_way.get()).unwrap_or(false)
}

/// Does something as soon as the poll of a task is over that this thread assists with, or at once if it does not.
pub(crate) fn after_turn(act: impl FnOnce() + 'static) {
    if assists() {
        ASSISTANCE.with(|assistance| assistance.afterwards.borrow_mut().push(Box::new(act)));
    } else {
        act();
    }
}

impl Assistance {
    fn lend(&self, act: impl FnOnce()) {
        if self.under_way.replace(true) {
            // Within an assistance already, which polls what is woken here too.
            return act();
        }
        let _end = End(self);
        act();
        for _ in 0..MAX_TURNS {
            let Some(task) = self.next() else {
                break;
            };
            task.turn();
            self.finish_turn();
        }
    }

    fn next(&self) -> Option<Arc<dyn Turn>> {
        let mut woken = self.woken.borrow_mut();
        // In the order in which they were woken; there are hardly ever two.
        if woken.is_empty() { None } else { Some(woken.remove(0)) }
    }

    fn finish_turn(&self) {
        for act in self.afterwards.take() {
            act();
        }
    }

    /// Takes note that a task was woken, if this thread will poll it.
    fn takes<T: Send + 'static>(&self, task: &Arc<Task<T>>) -> bool {
        if !self.under_way.get() {
            return false;
        }
        let mut woken = self.woken.borrow_mut();
        if !woken.iter().any(|other| std::ptr::addr_eq(Arc::as_ptr(other), Arc::as_ptr(task))) {
            woken.push(task.clone());
        }
        true
    }
}

/// Ends an assistance, by a panic of `act` too: what it did not get to is the runtime's.
struct End<'a>(&'a Assistance);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.under_way.set(false);
        self.0.finish_turn();
        while let Some(task) = self.0.next() {
            task.leave_to_runtime();
        }
    }
}

/// A task as those who assist it see it.
trait Turn: Send + Sync {
    /// Polls it, unless another thread is at it.
    fn turn(self: Arc<Self>);
    /// Has its runtime poll it.
    fn leave_to_runtime(&self);
}

/// A future that other threads can assist with between the polls of the task that it is part of. Dropping it drops what is
/// inside, whoever polled that last.
pub(crate) struct Assisted<T>(Arc<Task<T>>);

struct Task<T> {
    stage: Mutex<Stage<T>>,
    /// The task in its runtime.
    outer: AtomicWaker,
}

enum Stage<T> {
    Running(Pin<Box<dyn Future<Output = T> + Send>>),
    /// It ended while a thread assisted.
    Ended(Result<T, Box<dyn Any + Send>>),
    /// Nothing is left: its end was told, or it was dropped.
    Gone,
}

impl<T> Assisted<T> {
    /// Makes a future one that can be assisted with. It must not need a runtime's context, for the other threads have none.
    pub(crate) fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        let stage = Mutex::new(Stage::Running(Box::pin(future)));
        Self(Arc::new(Task { stage, outer: AtomicWaker::new() }))
    }
}

impl<T: Send + 'static> Future for Assisted<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Self(task) = self.get_mut();
        // Before the poll: a thread that finds the lock taken wakes this, and that must not be lost.
        task.outer.register(cx.waker());
        let mut stage = task.lock();
        if let Stage::Running(future) = &mut *stage {
            match future.as_mut().poll(&mut Context::from_waker(&Waker::from(task.clone()))) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(ended) => *stage = Stage::Ended(Ok(ended)),
            }
        }
        match std::mem::replace(&mut *stage, Stage::Gone) {
            Stage::Ended(Ok(ended)) => Poll::Ready(ended),
            Stage::Ended(Err(panic)) => {
                drop(stage);
                resume_unwind(panic)
            }
            // As of any future: not to be polled after its end.
            Stage::Running(_) | Stage::Gone => Poll::Pending,
        }
    }
}

impl<T> Drop for Assisted<T> {
    fn drop(&mut self) {
        // What is inside may hold wakers, and thereby this task: here the circle is broken.
        let stage = std::mem::replace(&mut *self.0.lock(), Stage::Gone);
        drop(stage);
    }
}

impl<T> Task<T> {
    fn lock(&self) -> MutexGuard<'_, Stage<T>> {
        // A future that panicked is dropped with its task.
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + 'static> Turn for Task<T> {
    fn turn(self: Arc<Self>) {
        let mut stage = match self.stage.try_lock() {
            Ok(stage) => stage,
            // It may have looked already at what it was woken for.
            Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => return self.leave_to_runtime(),
        };
        let Stage::Running(future) = &mut *stage else {
            return;
        };
        let waker = Waker::from(self.clone());
        let mut cx = Context::from_waker(&waker);
        // The budget of the task that this thread happens to run is not this one's: used up, it would leave a timer unregistered.
        let mut unconstrained = coop::unconstrained(future.as_mut());
        let ended = match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut unconstrained).poll(&mut cx))) {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(ended)) => Ok(ended),
            // It is not this thread's affair: the task goes on to panic where it belongs.
            Err(panic) => Err(panic),
        };
        let spent = std::mem::replace(&mut *stage, Stage::Ended(ended));
        drop(stage);
        drop(spent);
        self.leave_to_runtime();
    }

    fn leave_to_runtime(&self) {
        self.outer.wake();
    }
}

impl<T: Send + 'static> Wake for Task<T> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !ASSISTANCE.try_with(|assistance| assistance.takes(self)).unwrap_or(false) {
            self.leave_to_runtime();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::{
            atomic::{AtomicUsize, Ordering::SeqCst},
            mpsc,
        },
        thread::{self, ThreadId},
        time::Duration,
    };

    use tokio::{sync::Notify, task::JoinHandle};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Spawns a task that tells which thread polls it, at first and after each wake; until `polled` says that it ends.
    fn spawn(
        polled: impl FnMut() -> Poll<()> + Send + 'static,
    ) -> (JoinHandle<()>, Arc<Notify>, mpsc::Receiver<ThreadId>) {
        let (told, tell) = mpsc::channel();
        let woken = Arc::new(Notify::new());
        let (inner, mut polled) = (woken.clone(), polled);
        let task = tokio::spawn(Assisted::new(async move {
            loop {
                told.send(thread::current().id()).unwrap();
                if polled().is_ready() {
                    return;
                }
                inner.notified().await;
            }
        }));
        (task, woken, tell)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn the_thread_that_wakes_a_task_polls_it() {
        let (task, woken, polls) = spawn(|| Poll::Pending);
        let own = polls.recv_timeout(PATIENCE).unwrap();
        assert_ne!(own, thread::current().id());
        // The first poll goes on after it has told: until it is through, this may be left to the runtime.
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            assist(|| woken.notify_one());
            if polls.recv_timeout(PATIENCE).unwrap() == thread::current().id() {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "each poll was the runtime's");
        }
        woken.notify_one();
        assert_eq!(polls.recv_timeout(PATIENCE), Ok(own));
        task.abort();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_task_that_is_being_polled_is_polled_again_by_its_runtime() {
        let (go_on, wait) = mpsc::channel();
        let (task, woken, polls) = spawn(move || {
            wait.recv_timeout(PATIENCE).unwrap();
            Poll::Pending
        });
        let own = polls.recv_timeout(PATIENCE).unwrap();
        assist(|| woken.notify_one());
        assert!(polls.try_recv().is_err(), "it was polled by two threads at a time");
        go_on.send(()).unwrap();
        assert_eq!(polls.recv_timeout(PATIENCE), Ok(own));
        go_on.send(()).unwrap();
        task.abort();
    }

    #[tokio::test]
    async fn the_end_and_a_panic_are_the_runtimes() {
        let ends = |panics: bool| {
            let mut polls = 0;
            move || {
                polls += 1;
                assert!(polls == 1 || !panics, "as it should");
                if polls == 1 { Poll::Pending } else { Poll::Ready(()) }
            }
        };
        for panics in [false, true] {
            let (task, woken, polls) = spawn(ends(panics));
            tokio::task::yield_now().await;
            assist(|| woken.notify_one());
            assert_eq!(polls.try_iter().count(), 2, "it was polled within the assistance");
            assert_eq!(task.await.is_err_and(|error| error.is_panic()), panics);
        }
    }

    #[tokio::test]
    async fn dropping_a_task_drops_what_holds_its_waker() {
        let held = Arc::new(Mutex::new(None));
        let inside = held.clone();
        let mut task = Assisted::new(poll_fn(move |cx| {
            *inside.lock().unwrap() = Some(cx.waker().clone());
            Poll::<()>::Pending
        }));
        assert!(futures_util::poll!(&mut task).is_pending());
        drop(task);
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn no_wake_is_lost_between_many_threads() {
        const THREADS: usize = 4;
        const EACH: usize = 5_000;
        let (sent, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (source, sink) = (sent.clone(), seen.clone());
        // Looks only when it is polled, so a poll that is missing shows at the end.
        let (task, woken, _polls) = spawn(move || {
            sink.store(source.load(SeqCst), SeqCst);
            if sink.load(SeqCst) == THREADS * EACH { Poll::Ready(()) } else { Poll::Pending }
        });
        for _ in 0..THREADS {
            let (sent, woken) = (sent.clone(), woken.clone());
            thread::spawn(move || {
                for _ in 0..EACH {
                    sent.fetch_add(1, SeqCst);
                    assist(|| woken.notify_one());
                }
            });
        }
        tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap();
        assert_eq!(seen.load(SeqCst), THREADS * EACH);
    }

    #[tokio::test]
    async fn what_is_left_for_after_a_turn_is_done_out_of_the_poll() {
        let deeds = Arc::new(Mutex::new(Vec::new()));
        let noted = deeds.clone();
        let (task, woken, _polls) = spawn(move || {
            let later = noted.clone();
            after_turn(move || later.lock().unwrap().push("after"));
            noted.lock().unwrap().push("polled");
            Poll::Pending
        });
        tokio::task::yield_now().await;
        assert_eq!(*deeds.lock().unwrap(), ["after", "polled"], "nobody assisted");
        deeds.lock().unwrap().clear();
        assist(|| woken.notify_one());
        assert_eq!(*deeds.lock().unwrap(), ["polled", "after"]);
        task.abort();
    }

    #[tokio::test]
    async fn a_wake_within_an_assistance_waits_for_its_turn() {
        let (first, woken, first_polls) = spawn(|| Poll::Pending);
        let also = woken.clone();
        let (second, woken, second_polls) = spawn(move || {
            assist(|| also.notify_one());
            Poll::Pending
        });
        tokio::task::yield_now().await;
        let before = (first_polls.try_iter().count(), second_polls.try_iter().count());
        assert_eq!(before.1, 1);
        assist(|| woken.notify_one());
        assert_eq!((first_polls.try_iter().count(), second_polls.try_iter().count()), (1, 1));
        first.abort();
        second.abort();
    }
}
