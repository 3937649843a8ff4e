use daffi::{callback, fetcher};

#[callback]
const fn one() -> u32 {
    1
}

#[callback]
unsafe extern "C" fn two() -> u32 {
    2
}

#[fetcher]
unsafe fn three() -> u32;

fn main() {
    let _ = one();
}
