use daffi::callback;

struct Viewer;

impl Viewer {
    #[callback]
    fn show(&self, frame: u32) {
        let _ = frame;
    }
}

fn main() {
    Viewer.show(1);
}
