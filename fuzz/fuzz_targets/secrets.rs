#![no_main]
//! Join tokens and PEM files: what parses prints as what it was, and debugging does not show it.

use daffi_core::transport::{Identity, JoinToken};
use daffi_fuzz::within;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for text in [text, &format!("daffi-{text}")] {
        if let Ok(token) = within(text.len(), 8, || text.parse::<JoinToken>()) {
            assert_eq!(token.to_string(), text.trim());
            assert!(token.admits(token.secret()) && !token.admits(&token.secret()[1..]));
            assert!(!format!("{token:?}").contains(text.trim()));
        }
    }
    if let Ok(identity) = within(text.len(), 16, || Identity::from_pem(text)) {
        let again = Identity::from_pem(&identity.to_pem()).expect("what was written can be read");
        assert_eq!(again.fingerprint(), identity.fingerprint());
        assert_eq!(again.to_pem(), identity.to_pem());
    }
});
