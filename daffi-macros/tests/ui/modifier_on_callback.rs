use daffi::callback;

#[callback(STREAM)]
fn show_stream(frame: u32) {
    let _ = frame;
}

fn main() {
    show_stream(1);
}
