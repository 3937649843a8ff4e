#![no_main]
//! Items from a producer to a receiver: built to batches, split to fragments where they are large, cut anywhere on the way, put
//! together, and the same.

use std::convert::Infallible;

use arbitrary::Arbitrary;
use bytes::Bytes;
use daffi_core::wire::{
    batch::{Assembler, Batch, Builder, Carries, Cutter, fragments},
    item_stream::StreamEnd,
    limits::FRAGMENT,
};
use daffi_fuzz::pieces;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Sent {
    dependents: bool,
    items: Vec<Vec<u8>>,
    /// How much larger the last item is, in steps of a fifth of a fragment.
    large: u8,
}

fuzz_target!(|input: (Vec<Sent>, Vec<u8>)| {
    let (sent, sizes) = input;
    let mut sent: Vec<_> = sent.into_iter().filter(|batch| !batch.items.is_empty()).take(8).collect();
    // Large ones take time, so there is one at most.
    let mut large = sent.iter_mut().filter(|batch| batch.large > 240);
    if let Some(last) = large.next().and_then(|batch| batch.items.last_mut()) {
        last.resize(usize::from(sizes.first().map_or(0, |size| size % 24)) * FRAGMENT / 5, 7);
    }
    let batches = batches(&sent);
    let mut stream = Vec::new();
    for batch in &batches {
        for part in fragments(batch.clone()).expect("it was built") {
            assert!(part.header().body as usize <= 2 * FRAGMENT);
            part.pieces().iter().for_each(|piece| stream.extend_from_slice(piece));
        }
    }
    let came = receive(stream.into(), &sizes);
    assert_eq!(came.len(), batches.len());
    let mut first = 0;
    for (came, built) in came.iter().zip(&batches) {
        assert_eq!(came.header(), built.header());
        if came.header().is_end() {
            assert_eq!(came.stream_end(), Ok(Some(StreamEnd::Finished)));
            continue;
        }
        let items = items(came);
        assert_eq!(items, self::items(built));
        assert_eq!(came.header().first, first);
        first += items.len() as u64;
        // What a router cuts for a receiver that is slow.
        let count = came.header().count;
        let (from, to) = (u32::from(sizes.first().copied().unwrap_or(0)) % count, count);
        let part = came.cut(from..to).expect("it was built");
        assert_eq!(self::items(&part), items[from as usize..]);
    }
});

fn batches(sent: &[Sent]) -> Vec<Batch> {
    let (mut builder, mut first, mut batches) = (Builder::default(), 0, Vec::new());
    for Sent { dependents, items, .. } in sent {
        builder.set_dependents(*dependents);
        for item in items {
            let encode = |out: &mut Vec<u8>| {
                out.extend_from_slice(item);
                Ok::<_, Infallible>(())
            };
            builder.push(encode).expect("it is small enough");
        }
        let batch = builder.close(first, 5);
        assert_eq!(batch.header().carries == Carries::Dependents, *dependents);
        first += items.len() as u64;
        batches.push(batch);
    }
    batches.push(Batch::end(&StreamEnd::Finished, first, 6));
    batches
}

fn receive(stream: Bytes, sizes: &[u8]) -> Vec<Batch> {
    // A large item in pieces of a few bytes would take for ever.
    let sizes = if stream.len() > 1 << 16 { &[] } else { sizes };
    let (mut cutter, mut assembler, mut came) = (Cutter::default(), Assembler::default(), Vec::new());
    for piece in pieces(stream, sizes) {
        cutter.push(piece);
        while let Some(batch) = cutter.next_batch().expect("they were built") {
            came.extend(assembler.push(batch).expect("they belong together"));
        }
    }
    assert!(!cutter.is_within_a_batch());
    came
}

fn items(batch: &Batch) -> Vec<Bytes> {
    let mut items = batch.items().expect("it was built");
    std::iter::from_fn(|| items.next_item().expect("it was built")).collect()
}
