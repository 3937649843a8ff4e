use daffi::fetcher;

enum MathError {}

#[fetcher]
async fn div(a: i64, b: i64) -> Result<i64, MathError>;

fn main() {
    let _ = div(1, 2);
}
