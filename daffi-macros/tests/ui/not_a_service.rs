struct Counter;

impl Counter {
    fn count(&self) -> u64 {
        0
    }
}

fn main() {
    let _ = Counter.count();
    serve(Counter);
}

fn serve(_: impl daffi::Service) {}
