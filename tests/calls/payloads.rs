//! What can be passed and returned, and how much of it.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use daffi::{callback, callbacks};
use futures_util::future::join_all;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{SeqAccess, Visitor},
};
use tokio::sync::Notify;

use crate::{common::soon, pair, probe::Probe};

const MIB: usize = 1 << 20;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Config {
    name: String,
    limits: BTreeMap<String, u32>,
    mode: Mode,
    nested: Option<Box<Self>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Mode {
    Off,
    Fixed(u32, f64),
    Between { low: i8, high: i64 },
}

fn config() -> Config {
    let mode = |mode| Config { name: "größe".into(), limits: BTreeMap::from([("a".into(), 1)]), mode, nested: None };
    let between = mode(Mode::Between { low: -1, high: i64::MAX });
    Config { nested: Some(Box::new(between)), ..mode(Mode::Fixed(7, 0.1)) }
}

mod served {
    use super::*;

    #[callback]
    pub(super) fn lend(text: &str, bytes: &[u8], numbers: &[i32], config: &Config) -> String {
        format!("{text} {bytes:?} {numbers:?} {}", config.name)
    }

    #[callback]
    pub(super) async fn lend_later(text: &str, bytes: &[u8], numbers: &[i32], config: &Config) -> String {
        tokio::task::yield_now().await;
        format!("{text} {bytes:?} {numbers:?} {}", config.name)
    }

    #[callback]
    pub(super) async fn echo(config: Config) -> Config {
        config
    }

    #[callback]
    pub(super) async fn nothing() {}

    #[callback]
    pub(super) async fn several(
        pair: (u8, String),
        map: HashMap<String, Vec<Option<bool>>>,
        letter: char,
        unit: (),
    ) -> ((u8, String), HashMap<String, Vec<Option<bool>>>, char, ()) {
        (pair, map, letter, unit)
    }

    #[callback]
    #[expect(clippy::too_many_arguments, reason = "the most that there may be")]
    pub(super) fn sixteen(
        a: u8,
        b: u8,
        c: u8,
        d: u8,
        e: u8,
        f: u8,
        g: u8,
        h: u8,
        i: u8,
        j: u8,
        k: u8,
        l: u8,
        m: u8,
        n: u8,
        o: u8,
        p: u8,
    ) -> Vec<u32> {
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p].map(u32::from).to_vec()
    }

    #[callback]
    pub(super) async fn shape(argument: Shape) -> String {
        argument.0
    }

    #[callback]
    pub(super) fn reversed(bytes: Vec<u8>) -> Vec<u8> {
        bytes.into_iter().rev().collect()
    }

    #[callback]
    pub(super) async fn checked(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        if bytes.is_empty() { Err("no bytes".into()) } else { Ok(bytes) }
    }

    /// Returns when this many of it run at once.
    #[callback]
    pub(super) async fn crowd(key: u64, size: usize) -> usize {
        static CROWDS: Mutex<BTreeMap<u64, &'static (AtomicUsize, Notify)>> = Mutex::new(BTreeMap::new());
        let crowd = *CROWDS.lock().unwrap().entry(key).or_insert_with(|| Box::leak(Box::default()));
        let all_here = crowd.1.notified();
        let place = crowd.0.fetch_add(1, Ordering::SeqCst);
        if place + 1 == size {
            crowd.1.notify_waiters();
        } else {
            all_here.await;
        }
        place
    }
}

mod asked {
    use super::*;

    #[daffi::fetcher]
    pub(super) async fn lend(text: &str, bytes: &[u8], numbers: &[i32], config: &Config) -> String;

    #[daffi::fetcher]
    pub(super) async fn lend_later(text: String, bytes: Vec<u8>, numbers: Vec<i32>, config: Config) -> String;

    #[daffi::fetcher]
    pub(super) async fn echo(config: &Config) -> Config;

    #[daffi::fetcher]
    pub(super) async fn nothing();

    #[daffi::fetcher]
    pub(super) async fn several(
        pair: (u8, &str),
        map: &HashMap<String, Vec<Option<bool>>>,
        letter: char,
        unit: (),
    ) -> ((u8, String), HashMap<String, Vec<Option<bool>>>, char, ());

    #[daffi::fetcher]
    #[expect(clippy::too_many_arguments, reason = "the most that there may be")]
    pub(super) async fn sixteen(
        a: u8,
        b: u8,
        c: u8,
        d: u8,
        e: u8,
        f: u8,
        g: u8,
        h: u8,
        i: u8,
        j: u8,
        k: u8,
        l: u8,
        m: u8,
        n: u8,
        o: u8,
        p: u8,
    ) -> Vec<u32>;

    #[daffi::fetcher]
    pub(super) async fn shape(argument: &[u8]) -> String;

    #[daffi::fetcher]
    pub(super) async fn reversed(bytes: &[u8]) -> Vec<u8>;

    #[daffi::fetcher]
    pub(super) async fn checked(bytes: Vec<u8>) -> Result<Vec<u8>, String>;

    #[daffi::fetcher]
    pub(super) async fn crowd(key: u64, size: usize) -> usize;

    pub(super) mod shapes {
        use super::super::Shape;

        #[daffi::fetcher]
        pub(crate) async fn shape(argument: Vec<u8>) -> String;

        #[daffi::fetcher]
        pub(crate) async fn reversed(bytes: Vec<u8>) -> Shape;

        #[daffi::fetcher]
        pub(crate) async fn checked(bytes: &[u8]) -> Result<Shape, String>;
    }
}

/// Says in which form a value came: as bytes, or number by number.
struct Shape(String);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyShape;
        impl<'de> Visitor<'de> for AnyShape {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes or a sequence")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Shape, E> {
                Ok(Shape(format!("{} bytes", bytes.len())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Shape, A::Error> {
                let mut count = 0;
                while numbers.next_element::<u8>()?.is_some() {
                    count += 1;
                }
                Ok(Shape(format!("{count} numbers")))
            }
        }
        deserializer.deserialize_any(AnyShape)
    }
}

#[tokio::test]
async fn arguments_can_be_borrowed_on_either_side() {
    let pair = pair(callbacks![served::lend, served::lend_later]).await;
    let expected = "text [1, 2] [-3, 4] größe";
    let lent = asked::lend("text", &[1, 2], &[-3, 4], &config()).on(&pair.caller);
    assert_eq!(lent.await.as_deref(), Ok(expected));
    let given = asked::lend_later("text".into(), vec![1, 2], vec![-3, 4], config()).on(&pair.caller);
    assert_eq!(given.await.as_deref(), Ok(expected));
}

#[tokio::test]
async fn values_arrive_as_they_were() {
    let pair = pair(callbacks![served::echo, served::nothing, served::several, served::sixteen]).await;
    assert_eq!(asked::echo(&config()).on(&pair.caller).await, Ok(config()));
    let off = Config { mode: Mode::Off, ..config() };
    assert_eq!(asked::echo(&off).on(&pair.caller).await, Ok(off));
    assert_eq!(asked::nothing().on(&pair.caller).await, Ok(()));
    let map = HashMap::from([("x".to_owned(), vec![None, Some(true)]), (String::new(), vec![])]);
    let several = asked::several((255, "é"), &map, '\u{10ffff}', ()).on(&pair.caller).await;
    assert_eq!(several, Ok(((255, "é".into()), map, '\u{10ffff}', ())));
    let sixteen = asked::sixteen(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255).on(&pair.caller).await;
    assert_eq!(sixteen, Ok((0..15).chain([255]).collect()));
}

#[tokio::test]
async fn bytes_travel_as_bytes_and_not_number_by_number() {
    let pair = pair(callbacks![served::shape, served::reversed, served::checked]).await;
    let bytes = vec![200; MIB];
    let expected = "1048576 bytes";
    assert_eq!(asked::shape(&bytes).on(&pair.caller).await.as_deref(), Ok(expected));
    assert_eq!(asked::shapes::shape(bytes.clone()).on(&pair.caller).await.as_deref(), Ok(expected));
    assert_eq!(asked::shapes::reversed(bytes.clone()).on(&pair.caller).await.unwrap().0, expected);
    assert_eq!(asked::shapes::checked(&bytes).on(&pair.caller).await.unwrap().0, expected);
    assert_eq!(asked::checked(vec![]).on(&pair.caller).await, Err(daffi::CallError::App("no bytes".into())));
}

#[tokio::test]
async fn large_arguments_and_results_arrive_whole() {
    let pair = pair(callbacks![served::reversed]).await;
    // Around where a frame gets a stream of its own, and far above.
    for size in [0, 1, (16 << 10) - 64, 16 << 10, (16 << 10) + 64, MIB, 20 * MIB] {
        let bytes: Vec<_> = (0..size).map(|n| (n % 251) as u8).collect();
        let mut reversed = soon(asked::reversed(&bytes).on(&pair.caller).into_future()).await.unwrap();
        reversed.reverse();
        assert!(reversed == bytes, "{size} bytes came back otherwise");
    }
}

#[tokio::test]
async fn large_calls_at_once_do_not_get_mixed_up() {
    let pair = pair(callbacks![served::reversed]).await;
    let inputs: Vec<_> = (0..16u8).map(|n| vec![n; MIB + usize::from(n)]).collect();
    let calls = inputs.iter().map(|bytes| asked::reversed(bytes).on(&pair.caller).into_future());
    for (result, input) in soon(join_all(calls)).await.into_iter().zip(inputs) {
        assert!(result.unwrap() == input);
    }
}

#[tokio::test]
async fn a_thousand_calls_run_at_once() {
    let probe = Probe::new();
    let pair = pair(callbacks![served::crowd]).await;
    let calls = (0..1_000).map(|_| asked::crowd(probe.key, 1_000).on(&pair.caller).into_future());
    let mut places: Vec<_> = soon(join_all(calls)).await.into_iter().map(Result::unwrap).collect();
    places.sort_unstable();
    assert_eq!(places, (0..1_000).collect::<Vec<_>>());
}
