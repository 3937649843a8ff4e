use daffi::fetcher;

struct Frame;

#[fetcher]
async fn frames(count: usize) -> impl Iterator<Item = Frame>;

fn main() {
    let _ = frames(3);
}
