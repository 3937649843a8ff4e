#![no_main]
//! What stands around the batches of an item stream, and why there is no result.

use daffi_core::wire::{
    failure::Failure,
    item_stream::{Answer, Newcomers, ReceiverEnd, StreamEnd, StreamOffer, StreamRequest, result},
    offer::Offer,
};
use daffi_fuzz::{check_message, within};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    check_message::<StreamRequest>(data);
    check_message::<StreamOffer>(data);
    check_message::<Newcomers>(data);
    check_message::<StreamEnd>(data);
    check_message::<ReceiverEnd>(data);
    check_message::<Offer>(data);
    check_message::<Failure>(data);

    let failure = within(data.len(), 160, || Failure::decode(data));
    assert_eq!(Failure::decode(&failure.encode()), failure);
    assert!(!failure.to_string().is_empty());

    let mut rest = data;
    match within(data.len(), 160, || Answer::take(&mut rest)) {
        Ok(None) => assert_eq!(rest.len(), data.len()),
        Err(_) => {}
        Ok(Some(answer)) => {
            assert_eq!(Answer::take(&mut &data[..data.len() - rest.len() - 1]), Ok(None), "a byte is missing");
            let mut again = Vec::new();
            answer.put(&mut again);
            assert_eq!(Answer::take(&mut again.as_slice()), Ok(Some(answer)));
        }
    }
    if let Ok(Ok(payload) | Err(payload)) = result::take(data) {
        assert_eq!(payload, &data[1..]);
    }
});
