use daffi::callback;

struct Frame;

struct Viewer;

#[callback]
impl Viewer {
    #[callback]
    fn show(&self, frame: Frame) {
        let _ = frame;
    }
}

fn main() {}
