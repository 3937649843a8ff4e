//! The methods of a value as callbacks.

use std::sync::Mutex;

use daffi::{__private::Handler, Context, Incoming, Service, callback};

pub struct Counter {
    count: Mutex<i64>,
}

// It is no secret that the methods of a public type may take private types.
struct Step(i64);

#[callback(name = "counters")]
/// Counts.
impl Counter {
    const MOST: i64 = { 100 };

    /// Adds.
    #[callback(limit = 1)]
    #[must_use]
    pub fn bump(&self, by: i64) -> i64 {
        let mut count = self.count.lock().unwrap();
        *count = (*count + Step(by).0).min(Self::MOST);
        *count
    }

    #[daffi::callback(name = "state")]
    async fn state_now(&self, cx: &Context) -> i64 {
        std::future::ready(()).await;
        let _ = cx.caller();
        *self.count.lock().unwrap()
    }

    #[cfg(windows)]
    #[callback]
    fn version(&self, since: Missing) {}

    #[callback]
    #[cfg(not(windows))]
    fn version() -> Option<u32> {
        Some(1)
    }

    #[callback]
    fn bump_all(&self, items: Incoming<i64>) -> Result<i64, String> {
        let _ = items;
        Err("none".to_owned())
    }

    #[callback]
    fn history(&self, last: usize) -> impl Iterator<Item = i64> + use<> {
        let count = *self.count.lock().unwrap();
        (0..count).take(last)
    }

    #[callback]
    async fn later(&self) -> impl futures_util::Stream<Item = i64> + use<> {
        futures_util::stream::iter([1])
    }

    #[callback]
    fn others(&self, others: Vec<Self>) -> usize {
        others.len()
    }

    fn not_remote(&mut self) {
        self.count = Mutex::new(0);
    }
}

impl serde::Serialize for Counter {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.count.lock().unwrap().serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Counter {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(|count| Self { count: Mutex::new(count) })
    }
}

struct Store<T>(T);

#[callback]
impl Store<u32> {
    #[callback]
    fn get(&self) -> u32 {
        self.0
    }
}

#[test]
fn a_value_offers_its_marked_methods() {
    let mut counter = Counter { count: Mutex::new(1) };
    counter.not_remote();
    let names: Vec<_> = <Counter as Service>::CALLBACKS.iter().map(|callback| callback.name).collect();
    let expected = ["bump", "state", "version", "bump_all", "history", "later", "others"];
    assert_eq!(names, expected.map(|name| format!("counters.{name}")));
    let [bump, state, _, bump_all, ..] = Counter::CALLBACKS else { panic!("there are some") };
    assert_eq!((bump.signature.text, bump.options.limit), ("bump(by: i64) -> i64", Some((1, 1))));
    assert_eq!(state.signature.text, "state_now() -> i64");
    assert!(matches!(state.handler, Handler::Async(_)) && matches!(bump_all.handler, Handler::TakeSync(_)));
    // Each method has a line of its own.
    assert!(bump.line < state.line && state.line < bump_all.line, "{bump:?} {state:?}");
    assert_eq!(<Store<u32> as Service>::CALLBACKS.len(), 1);
    // What was served is what is called.
    let Handler::Sync(handler) = bump.handler else { panic!("it is sync") };
    let state = counter.into_state();
    let outcome = handler(&state, &[0x91, 0x07]);
    assert_eq!((outcome.is_ok(), *state.of::<Counter>().count.lock().unwrap()), (true, 7));
}
