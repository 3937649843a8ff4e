use daffi::callback;

#[callback]
async fn add(a: i64, b: i64) -> i64;

fn main() {
    let _ = add(1, 2);
}
