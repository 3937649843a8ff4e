use daffi::callback;

#[callback(no_cancle)]
fn save(page: u32) {
    let _ = page;
}

#[callback(inline = true, queue = 4)]
fn ping() {}

#[callback(limit = 0)]
fn shrink(frame: u32) -> u32 {
    frame
}

#[callback(limit = 4, limit = 8, queue = -1)]
fn grow(frame: u32) -> u32 {
    frame
}

#[callback("add")]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

fn main() {
    save(1);
    ping();
    let _ = (shrink(1), grow(1), add(1, 2));
}
