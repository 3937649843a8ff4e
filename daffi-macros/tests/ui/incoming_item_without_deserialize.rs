use daffi::{Incoming, callback};

struct Frame;

#[callback]
async fn show(items: Incoming<Frame>) {
    let _ = items;
}

fn main() {}
