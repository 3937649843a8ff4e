use daffi::callback;

struct Model;

#[callback]
fn train(epochs: u32) -> Model {
    let _ = epochs;
    Model
}

fn main() {}
