//! The forms of a callback, and what a node is told of each.

use daffi::{__private::Kind, Context, Incoming, callback, callbacks};
use futures_util::Stream;
use serde::{Deserialize, Serialize};

pub mod model {
    #[derive(serde::Serialize, serde::Deserialize, Clone)]
    pub struct Frame(pub u32);
}

use model::Frame;

#[derive(Serialize, Deserialize)]
struct Summary {
    frames: u64,
}

#[derive(Serialize, Deserialize)]
struct ReadError;

#[callback(name = "resize", inline, no_cancel, limit = 4, queue = 16)]
fn shrink(frame: model::Frame) -> Frame {
    frame
}

#[callback]
fn greet(greeting: &str, cx: Context, names: &[String]) -> String {
    format!("{greeting}, {names:?} from {}", cx.caller())
}

#[callback(limit = 2)]
async fn whoami(_: &Context, mut r#type: Vec<u8>) -> Vec<u8> {
    std::future::ready(()).await;
    r#type.push(0);
    r#type
}

#[callback]
fn frames(count: u32) -> impl Iterator<Item = Frame> + Send {
    (0..count).map(Frame)
}

#[callback]
async fn frames_read(path: &str) -> impl Stream<Item = Result<Frame, ReadError>> + use<> {
    let empty = path.is_empty();
    futures_util::stream::iter(empty.then_some(Err(ReadError)))
}

#[callback]
fn chunks(path: &str) -> Result<impl Iterator<Item = Vec<u8>> + use<>, ReadError> {
    let path = path.to_owned();
    if path.is_empty() { Err(ReadError) } else { Ok([path.into_bytes()].into_iter()) }
}

#[callback]
fn chunks_read() -> Result<impl Iterator<Item = Result<Vec<u8>, ReadError>>, ReadError> {
    Ok([Err(ReadError)].into_iter())
}

#[callback]
fn ticks() -> impl Iterator<Item = ()> {
    [(), ()].into_iter()
}

#[callback]
fn show(items: Incoming<Frame>) -> Summary {
    let _ = items;
    Summary { frames: 0 }
}

#[callback]
async fn record(cx: Context, items: Incoming<Vec<u8>>) -> Result<Summary, ReadError> {
    std::future::ready(()).await;
    let _ = (cx, items);
    Err(ReadError)
}

#[test]
fn each_form_is_described() {
    let offered = callbacks![shrink, greet, whoami, frames, frames_read, chunks, chunks_read, ticks, show, record];
    let told: Vec<_> = offered
        .iter()
        .map(|callback| {
            (callback.name, callback.signature.kind, callback.signature.parameters, callback.signature.result)
        })
        .collect();
    type Told = (&'static str, Kind, &'static [(&'static str, &'static str)], &'static str);
    let expected: [Told; 10] = [
        ("resize", Kind::Call, &[("frame", "Frame")], "Frame"),
        ("greet", Kind::Call, &[("greeting", "String"), ("names", "Vec<String>")], "String"),
        ("whoami", Kind::Call, &[("type", "Vec<u8>")], "Vec<u8>"),
        ("frames", Kind::Results, &[("count", "u32")], "Frame"),
        ("frames_read", Kind::Results, &[("path", "String")], "Result<Frame, ReadError>"),
        ("chunks", Kind::Results, &[("path", "String")], "Result<Vec<u8>, ReadError>"),
        ("chunks_read", Kind::Results, &[], "Result<Vec<u8>, ReadError>"),
        ("ticks", Kind::Results, &[], "()"),
        ("show", Kind::Incoming, &[("items", "Frame")], "Summary"),
        ("record", Kind::Incoming, &[("items", "Vec<u8>")], "Result<Summary, ReadError>"),
    ];
    assert_eq!(told, expected);
    let [shrink, greet, whoami, ..] = offered;
    assert!(shrink.options.inline && shrink.options.no_cancel);
    assert_eq!((shrink.options.limit, whoami.options.limit), (Some((4, 16)), Some((2, 2))));
    assert_eq!(greet.signature.text, "greet(greeting: &str, names: &[String]) -> String");
    // The line of the function's name, not of the attribute.
    assert_eq!((shrink.line + 5, greet.options.limit), (greet.line, None));
}
