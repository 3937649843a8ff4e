use daffi::callback;

#[callback]
fn greet(name: Option<&str>, tags: &[&str]) -> String {
    format!("{name:?} {tags:?}")
}

fn main() {
    let _ = greet(None, &[]);
}
