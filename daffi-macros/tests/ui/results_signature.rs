use daffi::{callback, fetcher};

struct OpenError;
struct ReadError;

#[callback]
fn lines(path: &str) -> Result<impl Iterator<Item = Result<String, ReadError>> + use<>, OpenError> {
    let _ = path;
    Ok([Err(ReadError)].into_iter())
}

#[callback]
fn words(text: String) -> impl Iterator {
    let words: Vec<_> = text.split(' ').map(str::to_owned).collect();
    words.into_iter()
}

#[callback]
fn tags() -> impl Iterator<Item = &'static str> {
    ["a", "b"].into_iter()
}

#[callback]
fn sizes() -> impl Iterator<Item = std::io::Result<u64>> {
    [Ok(1)].into_iter()
}

#[callback]
fn maybe() -> Option<impl Iterator<Item = u32>> {
    Some(0..3)
}

#[fetcher(BROADCAST)]
async fn frames(from: u64) -> impl Iterator<Item = u64>;

#[fetcher(STREAM)]
async fn doubled(number: u64) -> impl Iterator<Item = u64>;

fn main() {
    let _ = (lines("a"), words(String::new()), tags(), sizes(), maybe());
    let _ = (frames(1), doubled([1]));
}
