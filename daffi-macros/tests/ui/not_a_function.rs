use daffi::{callback, fetcher};

#[callback]
struct Frame;

#[fetcher]
mod stubs {}

#[fetcher]
impl Frame {
    fn show(&self) {}
}

#[callback]
trait Counter {
    fn bump(by: i64) -> i64;
}

fn main() {
    Frame.show();
}
