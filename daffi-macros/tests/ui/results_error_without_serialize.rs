use daffi::callback;

struct ReadError;

#[callback]
fn numbers() -> impl Iterator<Item = Result<u32, ReadError>> {
    [Ok(1), Err(ReadError)].into_iter()
}

fn main() {}
