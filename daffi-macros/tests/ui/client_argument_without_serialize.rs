use daffi::fetcher;

struct Frame;

#[fetcher]
trait Viewer {
    async fn show(frame: &Frame, times: u32);
}

fn main() {
    let _ = Viewer::new().show(&Frame, 2);
}
