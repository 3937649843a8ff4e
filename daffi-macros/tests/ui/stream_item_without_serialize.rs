use daffi::fetcher;

struct Frame;

#[fetcher(STREAM)]
async fn show_stream(frame: Frame);

fn main() {
    let _ = show_stream([Frame]);
}
