use daffi::{Incoming, callback, fetcher};

#[callback]
fn show(items: Incoming<u32>, gain: f32) {
    let _ = (items, gain);
}

#[callback]
async fn draw(items: &mut Incoming<u32>) {
    let _ = items;
}

#[callback]
fn lines(items: Incoming<&str>) {
    let _ = items;
}

#[callback(inline)]
fn count(items: Incoming<u32>) -> u64 {
    let _ = items;
    0
}

#[callback]
fn double(items: Incoming<u32>) -> impl Iterator<Item = u32> {
    let _ = items;
    [2, 4].into_iter()
}

#[fetcher]
async fn total(items: Incoming<u32>) -> u64;

fn main() {}
