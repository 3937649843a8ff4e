use daffi::callback;

struct Counter;

#[callback]
impl Counter {
    #[callback]
    fn count(&self) -> u64 {
        0
    }
}

#[callback]
impl Counter {
    #[callback]
    fn reset(&self) {}
}

fn main() {
    let _ = Counter.count();
    Counter.reset();
}
