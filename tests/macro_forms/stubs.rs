//! The forms of a stub, each checked against its callback by the compiler.

use std::sync::Mutex;

use daffi::{
    BackgroundCall, BroadcastCall, Call, Incoming, Never, OneWayCall, PeriodCall, ResultsCall, StreamCall, callback,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Clone)]
pub struct Frame(u32);

#[derive(Serialize, Deserialize)]
pub struct Summary(u64);

#[derive(Serialize, Deserialize)]
pub struct ReadError;

pub mod service {
    use super::*;

    #[callback(name = "resize")]
    pub fn shrink(_: daffi::Context, frame: &Frame, name: &str, parts: &[Frame]) -> Result<Frame, ReadError> {
        let _ = (name, parts);
        Ok(frame.clone())
    }

    #[callback]
    pub fn frames(count: u32) -> impl Iterator<Item = Frame> {
        (0..count).map(Frame)
    }

    #[callback]
    pub fn read(path: String) -> Result<impl Iterator<Item = Vec<u8>>, ReadError> {
        Ok([path.into_bytes()].into_iter())
    }

    #[callback]
    pub fn record(items: Incoming<Frame>) -> Summary {
        let _ = items;
        Summary(0)
    }

    pub struct Counter(pub Mutex<i64>);

    #[callback(name = "counters")]
    impl Counter {
        #[callback(name = "bump-by")]
        fn bump(&self, by: i64) -> i64 {
            *self.0.lock().unwrap() + by
        }

        #[callback]
        fn total(&self, items: Incoming<i64>) -> Result<i64, String> {
            let _ = items;
            Ok(1)
        }
    }
}

mod declared {
    use super::{Frame, ReadError, Summary, service};
    use daffi::fetcher;

    #[fetcher(name = "resize", of = service::shrink)]
    pub(crate) async fn shrink(frame: &Frame, name: String, parts: Vec<Frame>) -> Result<Frame, ReadError>;

    #[fetcher(idempotent, BG, of = super::service::shrink, name = "resize")]
    pub(crate) fn later(frame: Frame, name: &str, parts: &[Frame]) -> Result<Frame, ReadError>;

    #[fetcher(BG(no_return), of = service::shrink, name = "resize")]
    pub(crate) fn unheard(frame: Frame, name: &str, parts: &[Frame]);

    #[fetcher(BROADCAST)]
    pub(crate) fn reload() -> u32;

    #[fetcher(PERIOD)]
    pub(crate) fn tick(count: u32);

    #[fetcher(of = service::frames)]
    pub(crate) async fn frames(count: u32) -> impl Stream<Item = Frame> + Send;

    #[fetcher(of = service::read)]
    pub(crate) async fn read(path: &str) -> Result<impl Iterator<Item = Vec<u8>>, ReadError>;

    #[fetcher(STREAM, of = service::record)]
    pub(crate) async fn record(frame: Frame) -> Summary;

    #[fetcher(STREAM, name = "record", of = service::record)]
    pub(crate) async fn record_unasked(frame: Frame) -> Result<(), ReadError>;
}

// What a macro writes has other places than what it is given.
macro_rules! stub {
    ($name:ident, $item:ty, $result:ty) => {
        #[daffi::fetcher(name = "resize", of = service::shrink)]
        async fn $name(frame: $item, name: &str, parts: &[$item]) -> $result;
    };
}

stub!(shrink_too, Frame, Result<Frame, ReadError>);

/// Counts, elsewhere.
#[daffi::fetcher(name = "counters", of = service::Counter)]
pub trait Counter {
    /// Adds.
    #[fetcher(name = "bump-by")]
    async fn bump(by: i64) -> i64;

    #[fetcher(STREAM, name = "bump-by")]
    async fn bump_all(by: i64);

    #[fetcher(STREAM)]
    async fn total(number: i64) -> Result<i64, String>;

    #[fetcher(of = service::frames)]
    async fn frames(count: u32) -> impl futures_util::Stream<Item = Frame>;
}

#[test]
fn a_stub_has_the_builder_of_its_modifier() {
    let (frame, name) = (Frame(1), String::from("a"));
    let _: Call<Frame, ReadError> = declared::shrink(&frame, name.clone(), vec![]);
    let _: Call<Frame, ReadError> = shrink_too(frame.clone(), &name, &[]);
    let _: BackgroundCall<Frame, ReadError> = declared::later(frame.clone(), &name, &[]);
    let _: OneWayCall = declared::unheard(frame.clone(), &name, &[]);
    let _: BroadcastCall<u32, Never> = declared::reload();
    let _: PeriodCall<(), Never> = declared::tick(1);
    let _: ResultsCall<Frame, Never> = declared::frames(3);
    let _: ResultsCall<Vec<u8>, ReadError> = declared::read(&name);
    let _: StreamCall<Summary, Never> = declared::record([frame.clone()]);
    let _: StreamCall<(), ReadError> = declared::record_unasked([frame]);
    let counter = Counter::new().to("desk").under("left");
    let _: Call<i64> = counter.bump(1);
    let _: StreamCall = counter.bump_all([1, 2]);
    let _: StreamCall<i64, String> = counter.total([1, 2]);
    let _: ResultsCall<Frame> = counter.frames(2);
    assert!(format!("{:?}", Counter::default()).starts_with("Counter"));
}
