use daffi::{callback, fetcher};

#[callback(name = "shrink frame")]
fn shrink(frame: u32) -> u32 {
    frame
}

#[callback(name = shrink)]
fn grow(frame: u32) -> u32 {
    frame
}

#[fetcher(name = "")]
async fn reload(level: u32) -> u32;

#[fetcher(name = "camera/1")]
trait Camera {
    async fn shoot() -> u32;
}

fn main() {
    let _ = (shrink(1), grow(1), reload(1), Camera::new().shoot());
}
