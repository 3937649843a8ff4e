use daffi::{callback, fetcher};

#[fetcher]
async fn name(id: u32) -> &'static str;

#[callback]
fn title(text: &str) -> Option<&str> {
    text.lines().next()
}

fn main() {
    let _ = name(1);
    let _ = title("daffi");
}
