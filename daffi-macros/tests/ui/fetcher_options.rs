use daffi::fetcher;

#[fetcher(idempotnet)]
async fn add(a: i64, b: i64) -> i64;

#[fetcher(BROADCAST, idempotent)]
async fn reload(level: u32) -> u32;

#[fetcher(idempotent)]
async fn frames(from: u64) -> impl Iterator<Item = u64>;

#[fetcher(name = "sum", name = "total")]
async fn sum(numbers: &[i64]) -> i64;

#[fetcher(of = "shop::buy")]
async fn buy(item: &str) -> u32;

#[fetcher(BG = 2)]
async fn train(epochs: u32);

fn main() {
    let _ = (add(1, 2), reload(1), frames(1), sum(&[]), buy("bread"), train(2));
}
