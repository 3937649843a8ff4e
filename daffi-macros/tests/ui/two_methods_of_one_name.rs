use daffi::callback;

struct Counter;

#[callback]
impl Counter {
    #[callback]
    fn count(&self) -> u64 {
        0
    }

    #[callback(name = "count")]
    fn count_all(&self, of: Vec<u64>) -> u64 {
        of.len() as u64
    }
}

fn main() {
    let _ = Counter.count() + Counter.count_all(Vec::new());
}
