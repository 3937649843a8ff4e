use daffi::fetcher;

struct Model;

#[fetcher(BG)]
async fn train(epochs: u32) -> Model;

fn main() {
    let _ = train(10);
}
