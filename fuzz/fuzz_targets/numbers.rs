#![no_main]
//! Integers, preambles, kinds of streams and close codes.

use daffi_core::{
    transport::CloseCode,
    wire::{StreamKind, preamble, varint},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    match varint::take(&mut rest) {
        None => assert!(rest == data && data.len() < data.first().map_or(1, |first| varint::width(*first))),
        Some(value) => {
            assert!(value <= varint::MAX);
            let mut again = Vec::new();
            varint::put(value, &mut again);
            assert_eq!(varint::take(&mut again.as_slice()), Some(value));
            assert!(again.len() == varint::size(value) && again.len() <= data.len() - rest.len());
            let mut padded = [0; 8];
            varint::write_padded(value, &mut padded);
            assert_eq!(varint::take(&mut &padded[..]), Some(value));
            let code = CloseCode::from_wire(value);
            assert!(code == CloseCode::Unknown || code as u64 == value);
            assert_eq!(varint::expect_u32(&mut &data[..]).ok(), u32::try_from(value).ok());
        }
    }
    if let Some(first) = data.first_chunk()
        && let Ok(version) = preamble::decode(*first)
    {
        // The last byte is for later versions.
        assert_eq!(preamble::encode(version)[..7], first[..7]);
    }
    if let Some(first) = data.first()
        && let Ok(kind) = StreamKind::from_byte(*first)
    {
        assert_eq!(kind as u8, *first);
    }
});
