//! The callbacks that several of the tests call.

use daffi::callback;

use crate::probe::{Guard, held, tell};

#[callback]
pub(crate) async fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[callback]
pub(crate) fn add_blocking(a: i64, b: i64) -> i64 {
    a + b
}

#[callback]
pub(crate) async fn note(key: u64, text: &str) {
    tell(key, text);
}

#[callback]
pub(crate) fn note_blocking(key: u64, text: &str) {
    tell(key, text);
}

/// Returns when the test lets it, and tells when it begins and when it is gone.
#[callback]
pub(crate) async fn hold(key: u64) -> u64 {
    let _guard = Guard::new(key, "hold");
    held(key).await;
    key
}

#[callback]
pub(crate) fn hold_blocking(key: u64) -> u64 {
    let _guard = Guard::new(key, "hold_blocking");
    tokio::runtime::Handle::current().block_on(held(key));
    key
}

/// Who ran it: each node of a test offers the one of another module.
macro_rules! who {
    ($($node:ident),*) => {
        $(pub(crate) mod $node {
            #[daffi::callback]
            pub(crate) async fn who() -> String {
                stringify!($node).into()
            }
        })*
    };
}

who!(a, b, c, home);
