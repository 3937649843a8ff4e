use daffi::fetcher;

#[fetcher]
async fn add(a: i64, b: i64) -> i64;

fn main() {
    let _ = add(1, "two");
}
