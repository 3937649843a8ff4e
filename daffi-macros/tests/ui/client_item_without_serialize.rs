use daffi::fetcher;

struct Frame;

#[fetcher]
trait Viewer {
    #[fetcher(STREAM)]
    async fn show(frame: Frame);
}

fn main() {
    let _ = Viewer::new().show([Frame]);
}
