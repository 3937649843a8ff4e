#![no_main]
//! Control messages, both ways.

use daffi_core::wire::control::{ToController, ToNode};
use daffi_fuzz::check_message;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    check_message::<ToController>(data);
    check_message::<ToNode>(data);
});
