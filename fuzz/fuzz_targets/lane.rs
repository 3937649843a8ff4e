#![no_main]
//! Frames of calls: whatever bytes come on a lane, in whatever pieces, are the same frames or the same refusal; and what was read,
//! written again, reads the same.

use bytes::Bytes;
use daffi_core::wire::{
    Malformed,
    frame::{Decoder, Frame},
};
use daffi_fuzz::{pieces, within};
use libfuzzer_sys::fuzz_target;

/// The smallest frame has three bytes, and a hundred in memory, in a vector that doubles.
const TIMES: usize = 128;

fuzz_target!(|data: &[u8]| {
    let Some((sizes, lane)) = data.split_first_chunk::<4>() else { return };
    let lane = Bytes::copy_from_slice(lane);
    let whole = within(lane.len(), TIMES, || read(std::iter::once(lane.clone())));
    let pieced = read(pieces(lane.clone(), sizes));
    assert_eq!(whole, pieced, "the pieces make a difference");
    let mut again = Vec::new();
    whole.0.iter().for_each(|frame| frame.put(&mut again));
    assert_eq!(read(std::iter::once(again.into())), (whole.0, None), "what was written reads otherwise");

    // A large frame comes alone, without its length.
    if let Ok(frame) = within(lane.len(), 16, || Frame::decode(lane)) {
        let mut again = Vec::new();
        frame.put(&mut again);
        assert_eq!(Frame::decode(Bytes::from(again).slice(4..)), Ok(frame));
    }
});

/// All frames, and why it ends if it is not for want of more.
fn read(pieces: impl Iterator<Item = Bytes>) -> (Vec<Frame>, Option<Malformed>) {
    let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
    for piece in pieces {
        decoder.push(&piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(malformed) => return (frames, Some(malformed)),
            }
        }
    }
    (frames, None)
}
