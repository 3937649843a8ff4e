use daffi::{callback, fetcher};

#[fetcher]
async fn first<T>(items: Vec<T>) -> T;

#[callback]
fn longest<'a>(names: &'a [String]) -> String
where
    String: 'a,
{
    names.iter().max_by_key(|name| name.len()).cloned().unwrap_or_default()
}

fn main() {
    let _ = longest(&[]);
}
