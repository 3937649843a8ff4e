//! What the compiler says about mistakes at `#[callback]` and `#[fetcher]`: each program in `tests/ui` fails to compile with exactly
//! the words of the `.stderr` beside it. What compiles is in daffi's own `tests/macro_forms.rs`.
//!
//! The words around those of daffi are rustc's, and change with it. `TRYBUILD=overwrite cargo test -p daffi-macros --test errors` writes
//! them anew; read what changed as somebody who meets it for the first time.

#[test]
fn mistakes_are_explained_where_they_are_made() {
    // Nothing but failures, so that cargo only checks, and generates no code.
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
