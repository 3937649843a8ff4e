use std::io;

use daffi::{callback, fetcher};

#[fetcher]
async fn size(path: &str) -> io::Result<u64>;

#[callback]
fn length(path: &str) -> io::Result<u64> {
    Ok(std::fs::metadata(path)?.len())
}

fn main() {
    let _ = size("frames.bin");
}
