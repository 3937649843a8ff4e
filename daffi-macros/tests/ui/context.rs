use daffi::{Context, callback, fetcher};

#[callback]
fn whoami(cx: Context, a: i64, again: &Context) -> String {
    format!("{} {} {a}", cx.caller(), again.caller())
}

#[callback]
fn touch(cx: &mut Context) {
    let _ = cx;
}

#[fetcher]
async fn remaining(cx: &Context, a: i64) -> u64;

fn main() {}
