use daffi::fetcher;

#[fetcher(BG(no_reply))]
async fn train(epochs: u32);

#[fetcher(STREAM(fast))]
async fn show_stream(frame: u32);

#[fetcher(BG, BROADCAST)]
async fn reload(level: u32) -> u32;

fn main() {}
