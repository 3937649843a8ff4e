#![deny(unused_must_use)]

use daffi::fetcher;

#[fetcher]
async fn add(a: i64, b: i64) -> i64;

fn main() {
    add(1, 2);
}
