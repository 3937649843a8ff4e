use std::sync::Arc;

use daffi::callback;

#[derive(Clone)]
struct Counter {
    count: u64,
}

#[callback]
impl Counter {
    #[callback]
    fn bump(&mut self, by: u64) -> u64 {
        self.count += by;
        self.count
    }

    #[callback]
    fn into_count(self) -> u64 {
        self.count
    }

    #[callback]
    fn shared(self: Arc<Self>) -> u64 {
        self.count
    }

    #[callback]
    fn count(&self) -> u64 {
        self.count
    }
}

fn main() {
    let mut counter = Counter { count: 0 };
    counter.bump(1);
    let _ = Arc::new(counter.clone()).shared() + counter.count() + counter.into_count();
    serve(Counter { count: 0 });
}

fn serve(_: impl daffi::Service) {}
