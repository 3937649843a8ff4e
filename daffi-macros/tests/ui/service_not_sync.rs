use std::cell::Cell;

use daffi::callback;

struct Counter {
    count: Cell<u64>,
}

#[callback]
impl Counter {
    #[callback]
    fn bump(&self, by: u64) -> u64 {
        self.count.set(self.count.get() + by);
        self.count.get()
    }
}

fn main() {}
