//! What is measured.

pub(crate) mod calls;
