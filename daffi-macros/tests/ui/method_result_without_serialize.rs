use daffi::callback;

struct State;

struct Viewer;

#[callback]
impl Viewer {
    #[callback]
    async fn state(&self) -> State {
        State
    }
}

fn main() {}
