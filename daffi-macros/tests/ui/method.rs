use daffi::{callback, fetcher};

struct Viewer;

impl Viewer {
    #[callback]
    fn show(&self, frame: u32) {
        let _ = frame;
    }

    #[fetcher]
    async fn hide(&self, frame: u32);
}

fn main() {
    Viewer.show(1);
}
