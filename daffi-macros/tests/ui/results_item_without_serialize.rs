use daffi::callback;

struct Frame;

#[callback]
fn frames(count: usize) -> impl Iterator<Item = Frame> {
    (0..count).map(|_| Frame)
}

fn main() {}
