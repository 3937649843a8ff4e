use daffi::{callback, fetcher};

struct Counter;

#[callback]
impl Counter {
    #[callback]
    fn bump(&self, by: i64) -> i64 {
        by
    }

    #[callback]
    fn history(&self) -> impl Iterator<Item = i64> + use<> {
        [1, 2].into_iter()
    }
}

#[fetcher(of = Counter)]
trait Remote {
    async fn bump(by: u64) -> i64;

    async fn history() -> Vec<i64>;

    async fn reset();
}

fn main() {}
