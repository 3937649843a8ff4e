//! What is measured.

pub(crate) mod calls;
pub(crate) mod stream;
