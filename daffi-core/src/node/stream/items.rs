//! The items of a stream on their way to whoever takes them one by one.

/// The items of a stream, not yet decoded.
#[derive(Debug)]
pub struct Items {
    _private: (),
}
