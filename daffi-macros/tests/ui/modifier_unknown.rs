use daffi::fetcher;

#[fetcher(stream)]
async fn show_stream(frame: u32);

#[fetcher(BROADCST)]
async fn reload(level: u32) -> u32;

#[fetcher(ASYNC)]
async fn add(a: i64, b: i64) -> i64;

fn main() {
    let _ = show_stream(1..4);
    let _ = reload(1);
    let _ = add(1, 2);
}
