use daffi::callback;

struct Frame;

#[callback]
async fn sharpen(frame: Frame, amount: u8) {
    let _ = (frame, amount);
}

fn main() {}
