use daffi::{callback, fetcher};

#[fetcher(STREAM, on_slow = Latest)]
async fn show(frame: u32);

#[fetcher(STREAM, on_slow = DropOldest(0))]
async fn keep(frame: u32);

#[fetcher(on_slow = KeepLatest)]
async fn add(a: i64, b: i64) -> i64;

#[callback(lossless = true)]
fn write(frame: u32) {
    let _ = frame;
}

#[callback(lossless)]
fn count(to: u32) -> impl Iterator<Item = u32> {
    0..to
}

fn main() {
    let _ = (show([1]), keep([1]), add(1, 2).on_slow(daffi::OnSlow::KeepLatest));
    write(1);
    let _ = count(1);
}
