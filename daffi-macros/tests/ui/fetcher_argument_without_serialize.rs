use daffi::fetcher;

struct Frame {
    pixels: Vec<u8>,
}

#[fetcher]
async fn sharpen(frame: Frame, amount: u8);

fn main() {
    let _ = sharpen(Frame { pixels: Vec::new() }, 2);
}
