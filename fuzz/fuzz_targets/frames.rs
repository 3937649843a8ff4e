#![no_main]
//! Frames as a node makes them: they arrive as they were, in whatever pieces.

use std::time::Duration;

use arbitrary::Arbitrary;
use daffi_core::wire::{
    frame::{Ask, Decoder, Frame, Head, Status},
    limits::{LANE_FRAME, MAX_HEAD, MAX_TARGETS},
    trace::TraceContext,
    varint,
};
use daffi_fuzz::pieces;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Sent {
    kind: Kind,
    id: u64,
    payload: Vec<u8>,
}

#[derive(Debug, Arbitrary)]
enum Kind {
    Call { peer: u32, ask: Asked },
    Broadcast { targets: Vec<u32>, ask: Asked },
    Reply { node: u32, status: u8 },
    Cancel,
}

#[derive(Debug, Arbitrary)]
struct Asked {
    callback: u32,
    micros: Option<u64>,
    trace: Option<([u8; 16], [u8; 8], u8)>,
}

fuzz_target!(|input: (Vec<Sent>, Vec<u8>)| {
    let (sent, sizes) = input;
    let sent: Vec<_> = sent.into_iter().map(frame).collect();
    let mut lane = Vec::new();
    sent.iter().for_each(|frame| frame.put(&mut lane));
    let (mut decoder, mut came) = (Decoder::default(), Vec::new());
    for piece in pieces(lane.into(), &sizes) {
        decoder.push(&piece);
        while let Some(frame) = decoder.next_frame().expect("a node made it") {
            came.push(frame);
        }
    }
    assert_eq!(came, sent);
});

fn frame(sent: Sent) -> Frame {
    let Sent { kind, id, mut payload } = sent;
    let id = id & varint::MAX;
    payload.truncate(LANE_FRAME);
    let head = match kind {
        Kind::Call { peer, ask } => Head::Call { id, peer, ask: asked(ask) },
        Kind::Broadcast { mut targets, ask } => {
            targets.truncate(MAX_TARGETS.min(MAX_HEAD / 16));
            Head::Broadcast { id, targets, ask: asked(ask) }
        }
        Kind::Reply { node, status } => {
            let status = [Status::Value, Status::Error, Status::Failure][usize::from(status % 3)];
            Head::Reply { id, node, status }
        }
        Kind::Cancel => Head::Cancel { id },
    };
    Frame { head, payload: payload.into() }
}

fn asked(ask: Asked) -> Ask {
    // The largest is one less: a zero stands for none.
    let budget = ask.micros.map(|micros| Duration::from_micros(micros & (varint::MAX - 1)));
    let trace = ask.trace.and_then(|(trace, span, flags)| TraceContext::new(trace, span, flags).ok());
    Ask { callback: ask.callback, budget, trace }
}
