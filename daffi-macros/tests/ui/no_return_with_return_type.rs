use daffi::fetcher;

#[fetcher(BG(no_return))]
async fn train(epochs: u32) -> f64;

fn main() {}
