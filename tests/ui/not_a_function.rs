use daffi::{callback, fetcher};

#[callback]
struct Frame;

#[fetcher]
trait Counter {
    fn bump(by: i64) -> i64;
}

#[callback]
impl Frame {
    fn show(&self) {}
}

fn main() {
    Frame.show();
}
