#![no_main]
//! The batches of a stream: whatever bytes come, in whatever pieces, they are the same batches or the same refusal, and what is cut
//! off them, split and put together is what they have.

use bytes::Bytes;
use daffi_core::wire::{
    Malformed,
    batch::{Assembler, Batch, Cutter, Header, fragments},
};
use daffi_fuzz::{pieces, within};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((sizes, stream)) = data.split_first_chunk::<4>() else { return };
    let stream = Bytes::copy_from_slice(stream);
    let (whole, why) = within(stream.len(), 64, || read(std::iter::once(stream.clone())));
    let pieced = read(pieces(stream.clone(), sizes));
    assert_eq!((told(&whole), why), (told(&pieced.0), pieced.1), "the pieces make a difference");
    let mut assembler = Assembler::default();
    for batch in pieced.0 {
        check(&batch);
        let length = batch.header().body as usize;
        if within(stream.len().max(length), 4, || assembler.push(batch)).is_err() {
            break;
        }
    }
});

fn read(pieces: impl Iterator<Item = Bytes>) -> (Vec<Batch>, Option<Malformed>) {
    let (mut cutter, mut batches) = (Cutter::default(), Vec::new());
    for piece in pieces {
        cutter.push(piece);
        loop {
            match cutter.next_batch() {
                Ok(Some(batch)) => batches.push(batch),
                Ok(None) => break,
                Err(malformed) => return (batches, Some(malformed)),
            }
        }
    }
    (batches, None)
}

fn told(batches: &[Batch]) -> Vec<(Header, Vec<u8>)> {
    batches.iter().map(|batch| (*batch.header(), batch.pieces().concat())).collect()
}

fn items(batch: &Batch) -> Result<Vec<Bytes>, Malformed> {
    let (mut items, mut taken) = (batch.items()?, Vec::new());
    while let Some(item) = items.next_item()? {
        taken.push(item);
    }
    Ok(taken)
}

fn check(batch: &Batch) {
    let header = *batch.header();
    assert!(batch.stream_end().is_ok_and(|end| end.is_none()) || header.is_end());
    assert_eq!(batch.cost().items, header.next() - header.first);
    let _ = batch.stream_newcomers();
    if !header.carries.has_items() {
        return;
    }
    let has = items(batch);
    let middle = header.count / 2;
    for range in [0..middle, middle..header.count, 0..header.count, header.count - 1..header.count] {
        let (from, to) = (range.start as usize, range.end as usize);
        if from == to {
            continue;
        }
        match (batch.cut(range), &has) {
            (Ok(part), Ok(has)) => {
                assert_eq!(items(&part).as_deref(), Ok(&has[from..to]));
                assert_eq!(part.header().first, header.first + from as u64);
                // As the other side of the next hop reads it.
                let read = read(part.pieces().iter().cloned()).0;
                assert_eq!(told(&read), told(&[part]));
            }
            // A router looks at no more items than it has to.
            (Ok(_), Err(_)) | (Err(_), Err(_)) => {}
            (Err(why), Ok(_)) => panic!("whole, and not to be cut: {why}"),
        }
    }
    if has.is_ok() {
        let parts: Vec<_> = fragments(batch.clone()).expect("it is whole").collect();
        let mut assembler = Assembler::default();
        let whole = parts.into_iter().find_map(|part| assembler.push(part).expect("they belong together"));
        assert_eq!(whole.map(|whole| items(&whole)), Some(has));
    }
}
