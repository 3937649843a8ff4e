use daffi::{callback, fetcher};

#[callback]
fn length((x, y): (f64, f64)) -> f64 {
    x.hypot(y)
}

#[fetcher]
async fn area(_: f64) -> f64;

fn main() {
    let _ = length((3.0, 4.0));
    let _ = area(1.0);
}
