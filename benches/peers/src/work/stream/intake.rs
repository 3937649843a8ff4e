//! What comes to a receiver: counted, checked, and told to the parent.

use std::{
    sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Scene, item::Marks};
use crate::{
    Result,
    clock::monotonic_ns,
    role::{Orders, tell},
};

/// When nothing more came for so long after the sender was done, nothing more will: no system keeps items for a second.
const QUIET: Duration = Duration::from_secs(2);

/// What the slow receiver reads in a second.
const SLOW_BYTES_PER_S: u64 = 2_000_000;

/// What a receiver is told to do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Begin anew: so many items will come. The answer is nothing.
    Expect { count: u64 },
    /// The sender is done: tell what came, when all has come or nothing more comes. The answer is [`Seen`].
    Finish,
}

/// What came to a receiver.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) items: u64,
    /// Items that came after a later one, or twice.
    pub(crate) disordered: u64,
    /// Items of another length, or mixed with others.
    pub(crate) broken: u64,
    /// When the last of them came, by [`monotonic_ns`].
    pub(crate) last_ns: u64,
    /// How old each of them was when it came, of those that say when they were made.
    pub(crate) ages_ns: Vec<u64>,
}

/// A receiver's account of a stream. Items are taken by one thread at a time: plain loads and stores are enough, and small items
/// cost next to nothing.
#[derive(Debug)]
pub(crate) struct Intake {
    length: usize,
    pause: Option<Duration>,
    expected: AtomicU64,
    /// The number of the next item, if none is lost.
    next: AtomicU64,
    items: AtomicU64,
    disordered: AtomicU64,
    broken: AtomicU64,
    last_ns: AtomicU64,
    ages_ns: Mutex<Vec<u64>>,
    /// Whether the last item has come.
    done: Mutex<bool>,
    is_done: Condvar,
}

impl Intake {
    /// Begins to take the parent's orders, in a thread that ends with the process.
    pub(crate) fn start(scene: &Scene, number: u32, mut orders: Orders) -> &'static Self {
        let intake: &Self = Box::leak(Box::new(Self::new(scene, number)));
        thread::spawn(move || {
            if let Err(error) = intake.attend(&mut orders) {
                eprintln!("daffi-peers: receiver {number}: {error}");
                std::process::exit(1);
            }
        });
        intake
    }

    fn new(scene: &Scene, number: u32) -> Self {
        let slow = scene.slow && number == 0;
        let pause = Duration::from_secs(1) * scene.length / SLOW_BYTES_PER_S as u32;
        Self {
            length: scene.length as usize,
            pause: slow.then_some(pause),
            expected: AtomicU64::new(0),
            next: AtomicU64::new(0),
            items: AtomicU64::new(0),
            disordered: AtomicU64::new(0),
            broken: AtomicU64::new(0),
            last_ns: AtomicU64::new(0),
            ages_ns: Mutex::default(),
            done: Mutex::new(false),
            is_done: Condvar::new(),
        }
    }

    /// How long to do nothing after each item, if this is the slow receiver.
    pub(crate) const fn pause(&self) -> Option<Duration> {
        self.pause
    }

    /// Takes an item, and blocks the thread for the pause.
    pub(crate) fn take_and_pause(&self, item: &[u8]) {
        self.take(item);
        if let Some(pause) = self.pause {
            thread::sleep(pause);
        }
    }

    /// Takes an item.
    pub(crate) fn take(&self, item: &[u8]) {
        self.take_marks(if item.len() == self.length { Marks::read(item) } else { None });
    }

    /// Takes an item with these marks; nothing for one that is not whole.
    pub(crate) fn take_marks(&self, marks: Option<Marks>) {
        let Some(Marks { number, made_ns }) = marks else {
            add(&self.broken, 1);
            return;
        };
        let next = self.next.load(Relaxed);
        if number < next {
            add(&self.disordered, 1);
            return;
        }
        self.next.store(number + 1, Relaxed);
        add(&self.items, 1);
        if made_ns > 0 {
            let now = monotonic_ns();
            self.last_ns.store(now, Relaxed);
            lock(&self.ages_ns).push(now.saturating_sub(made_ns));
        }
        if number + 1 == self.expected.load(Relaxed) {
            self.last_ns.store(monotonic_ns(), Relaxed);
            *lock(&self.done) = true;
            self.is_done.notify_all();
        }
    }

    fn attend(&self, orders: &mut Orders) -> Result<()> {
        while let Some(order) = orders.next_blocking()? {
            match order {
                Order::Expect { count } => {
                    self.expect(count);
                    tell(&())?;
                }
                Order::Finish => tell(&self.finish())?,
            }
        }
        Ok(())
    }

    fn expect(&self, count: u64) {
        for number in [&self.next, &self.items, &self.disordered, &self.broken, &self.last_ns] {
            number.store(0, Relaxed);
        }
        lock(&self.ages_ns).clear();
        *lock(&self.done) = false;
        self.expected.store(count, Relaxed);
    }

    /// Waits until all has come or nothing more comes.
    fn finish(&self) -> Seen {
        let mut done = lock(&self.done);
        let mut items = self.items.load(Relaxed);
        loop {
            // Nobody panics while holding it.
            let (guard, waited) = match self.is_done.wait_timeout_while(done, QUIET, |done| !*done) {
                Ok(woken) => woken,
                Err(poisoned) => poisoned.into_inner(),
            };
            done = guard;
            if !waited.timed_out() {
                return self.seen();
            }
            let now = self.items.load(Relaxed);
            if now == items {
                if self.last_ns.load(Relaxed) == 0 {
                    // The last item is missing. Another came, when it was not yet quiet.
                    let quiet = u64::try_from(QUIET.as_nanos()).unwrap_or(u64::MAX);
                    self.last_ns.store(monotonic_ns().saturating_sub(quiet), Relaxed);
                }
                return self.seen();
            }
            items = now;
        }
    }

    fn seen(&self) -> Seen {
        Seen {
            items: self.items.load(Relaxed),
            disordered: self.disordered.load(Relaxed),
            broken: self.broken.load(Relaxed),
            last_ns: self.last_ns.load(Relaxed),
            ages_ns: lock(&self.ages_ns).clone(),
        }
    }
}

fn add(number: &AtomicU64, more: u64) {
    number.store(number.load(Relaxed) + more, Relaxed);
}

/// Nothing is left half done by a thread that panics with it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::stream::Kind;

    const SCENE: Scene = Scene { kind: Kind::SlowReceiver, length: 64, receivers: 2, fps: Some(60), slow: true };

    fn item(number: u64) -> Vec<u8> {
        let mut item = vec![0; 64];
        Marks { number, made_ns: monotonic_ns() }.write(&mut item);
        item
    }

    #[test]
    fn what_comes_is_counted_and_what_is_wrong_told_apart() {
        let intake = Intake::new(&SCENE, 1);
        intake.expect(6);
        for number in [0, 1, 3, 2, 3] {
            intake.take(&item(number));
        }
        intake.take(&item(4)[..63]);
        intake.take(&[0; 64]);
        intake.take(&item(5));
        let seen = intake.finish();
        assert_eq!((seen.items, seen.disordered, seen.broken), (4, 2, 2));
        assert_eq!(seen.ages_ns.len(), 4);
        assert!(seen.last_ns <= monotonic_ns());

        intake.expect(1);
        intake.take(&item(0));
        assert_eq!(intake.finish().items, 1, "it began anew");
    }

    #[test]
    fn only_one_is_slow_and_as_slow_as_two_megabytes_a_second() {
        let scene = Scene { length: 1_000_000, ..SCENE };
        assert_eq!(Intake::new(&scene, 0).pause(), Some(Duration::from_millis(500)));
        assert_eq!(Intake::new(&scene, 1).pause(), None);
        assert_eq!(Intake::new(&Scene { slow: false, ..scene }, 0).pause(), None);
    }
}
