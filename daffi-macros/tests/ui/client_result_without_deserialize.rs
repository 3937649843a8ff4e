use daffi::fetcher;

struct State;

#[fetcher]
trait Viewer {
    async fn state() -> State;
}

fn main() {
    let _ = Viewer::new().state();
}
