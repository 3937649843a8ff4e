use daffi::{callback, fetcher};

#[fetcher]
async fn greet(name: impl ToString) -> String;

#[callback]
fn count(up_to: u32) -> impl ToString {
    up_to
}

fn main() {
    let _ = greet("daffi");
    let _ = count(3);
}
