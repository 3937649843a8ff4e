use std::rc::Rc;

use daffi::callback;

struct Counter;

#[callback]
impl Counter {
    #[callback]
    async fn count(&self) -> usize {
        let shared = Rc::new(1);
        std::future::ready(()).await;
        Rc::strong_count(&shared)
    }
}

fn main() {}
