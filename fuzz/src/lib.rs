//! What the fuzz targets share: a bound on memory, pieces as a network makes them, and what holds for every message.

mod message;

use bytes::Bytes;
use peak_alloc::PeakAlloc;

pub use self::message::check_message;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Runs a decoder on so many bytes and fails if at its worst moment it took more than `times` as much memory, and 64 KiB for small
/// things. What a length field says is no reason to take memory.
///
/// # Panics
///
/// If it took more.
pub fn within<T>(input: usize, times: usize, run: impl FnOnce() -> T) -> T {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = run();
    let took = MEMORY.peak_usage().saturating_sub(before);
    let most = input * times + (64 << 10);
    assert!(took <= most, "{took} bytes of memory for {input} of input, which is more than {most}");
    result
}

/// How many bytes of memory are in use.
pub fn memory_in_use() -> usize {
    MEMORY.current_usage()
}

/// Cuts bytes into pieces of these sizes and one, in turn; without any sizes it is one piece.
pub fn pieces(mut whole: Bytes, sizes: &[u8]) -> impl Iterator<Item = Bytes> {
    let mut sizes = sizes.iter().map(|size| usize::from(*size) + 1).cycle();
    std::iter::from_fn(move || {
        let size = sizes.next().unwrap_or(usize::MAX).min(whole.len());
        (size > 0).then(|| whole.split_to(size))
    })
}
