use daffi::fetcher;

#[fetcher(STREAM)]
async fn nothing();

#[fetcher(STREAM)]
async fn points(x: f32, y: f32);

#[fetcher(STREAM)]
async fn lines(line: &str);

#[fetcher(STREAM)]
async fn doubled(number: u32) -> u32;

fn main() {
    let _ = doubled(1..4);
}
