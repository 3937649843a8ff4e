use daffi::callback;

#[callback]
fn numbers() -> impl Iterator<Item = u32> {
    ["one", "two"].into_iter()
}

fn main() {}
