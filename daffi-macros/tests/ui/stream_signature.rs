use daffi::fetcher;

#[fetcher(STREAM)]
async fn nothing();

#[fetcher(STREAM)]
async fn points(x: f32, y: f32);

#[fetcher(STREAM)]
async fn lines(line: &str);

fn main() {}
