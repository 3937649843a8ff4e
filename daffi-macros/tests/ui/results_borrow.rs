use daffi::callback;

struct Store {
    words: Vec<String>,
}

#[callback]
impl Store {
    #[callback]
    fn words(&self) -> impl Iterator<Item = String> {
        self.words.iter().cloned()
    }
}

#[callback]
fn letters(text: &str) -> impl Iterator<Item = char> {
    text.chars()
}

fn main() {}
