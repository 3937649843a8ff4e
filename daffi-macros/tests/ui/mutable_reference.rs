use daffi::{callback, fetcher};

#[fetcher]
async fn sort(numbers: &mut Vec<i64>);

#[callback]
fn reverse(numbers: &mut Vec<i64>) {
    numbers.reverse();
}

fn main() {
    let _ = sort(&mut vec![2, 1]);
    reverse(&mut vec![2, 1]);
}
