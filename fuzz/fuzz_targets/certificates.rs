#![no_main]
//! Certificates, in PEM files and as a peer sends them: whom they name, whom they vouch for, and that nobody vouches for damaged ones.
//!
//! The first bytes say which byte of a certificate to damage, and how; the rest is one, in DER or PEM.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use daffi_core::{
    transport::{Authorities, Authority, CertificateFault, Identity, PeerCertificate},
    wire::name,
};
use daffi_fuzz::within;
use libfuzzer_sys::fuzz_target;

/// What reading certificates may take of memory for each of their bytes.
const TIMES: usize = 64;

/// What stands before a node's name in a URI.
const NODE: &str = "daffi://node/";

/// Where one certificate ends and another begins.
const BEGIN_NEXT: &str = "\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----";

fuzz_target!(|data: &[u8]| {
    let Some((&[at_high, at_low, change], certificate)) = data.split_first_chunk::<3>() else { return };
    let at = usize::from(at_high) << 8 | usize::from(at_low);
    fault(at as u64);
    names(certificate);
    if let Ok(text) = std::str::from_utf8(certificate) {
        authorities(text);
        authority(text);
        controller(text, at, change.max(1));
    }
});

/// An end of a connection that says something of a certificate is a TLS alert, and nothing else is.
fn fault(code: u64) {
    if CertificateFault::from_wire(code).is_some() {
        assert!((0x100..0x200).contains(&code));
    }
    assert_eq!(CertificateFault::from_wire(code << 16 | 0xffff), None);
}

/// It names whom it says that it names, and nobody else.
fn names(der: &[u8]) {
    let certificate = PeerCertificate::from_der(der.to_vec());
    let said = within(der.len(), TIMES, || certificate.all_names());
    let is_said = |name: &String| said.contains(name);
    for node in said.iter().filter_map(|name| unescaped(name.strip_prefix(NODE)?)) {
        // Of the forms of a URI one counts.
        if name::check(&node).is_ok() && is_said(&escaped(&node)) {
            assert!(certificate.names(&node), "{said:?} has {node:?}");
        }
    }
    let others = ["a", "worker-1", "überprüfung", "*", "controller.daffi", ""].map(str::to_owned);
    for node in said.iter().chain(&others).filter(|node| certificate.names(node)) {
        // As a DNS name, or in a URI.
        assert!(is_said(node) || is_said(&escaped(node)), "{said:?} has no {node:?}");
    }
}

fn escaped(node: &str) -> String {
    node.bytes().fold(NODE.to_owned(), |mut uri, byte| {
        let _ = if byte.is_ascii() { uri.write_char(byte.into()) } else { write!(uri, "%{byte:02X}") };
        uri
    })
}

fn unescaped(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((byte, behind)) = rest.split_first() {
        (rest, bytes) = match (byte, behind) {
            (b'%', [high, low, behind @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                bytes.push((digit(high)? << 4 | digit(low)?) as u8);
                (behind, bytes)
            }
            _ => {
                bytes.push(*byte);
                (behind, bytes)
            }
        };
    }
    String::from_utf8(bytes).ok()
}

/// Text before, between and behind certificates says nothing.
fn authorities(text: &str) {
    let read = within(text.len(), TIMES, || Authorities::from_pem(text));
    if let Ok(read) = read {
        let again =
            Authorities::from_pem(&format!("of the company\n{text}\nuntil 2030")).expect("they were some before");
        assert_eq!(format!("{again:?}"), format!("{read:?}"));
    }
}

/// Whom an authority vouches for, it vouches for also after it was written and read again.
fn authority(text: &str) {
    let Ok(authority) = within(text.len(), TIMES, || Authority::from_pem(text, text)) else { return };
    let identity = authority.identity();
    let again = Authority::from_pem(&identity.certificates_pem(), &identity.key_pem()).expect("it was one before");
    assert_eq!(again.identity().to_pem(), identity.to_pem());
}

/// What an authority vouches for is no more what it vouched for, once a byte of it is another.
fn controller(text: &str, at: usize, change: u8) {
    let Ok(identity) = within(text.len(), TIMES, || Identity::from_pem(text)) else { return };
    let chain = identity.certificates_pem();
    let Some((first, rest)) = chain.split_once(BEGIN_NEXT) else { return };
    let rest = BEGIN_NEXT.to_owned() + rest;
    let Ok(authorities) = Authorities::from_pem(&rest) else { return };
    if identity.clone().under(Some(&authorities)).is_err() {
        return;
    }
    let lines: String = first.lines().filter(|line| !line.starts_with('-')).collect();
    let mut der = STANDARD.decode(lines).expect("it was just written");
    let length = der.len();
    der[at % length] ^= change;
    let damaged = format!("-----BEGIN CERTIFICATE-----\n{}{rest}", STANDARD.encode(der));
    let damaged = Identity::from_pems(&damaged, &identity.key_pem());
    let vouched = damaged.ok().and_then(|damaged| damaged.under(Some(&authorities)).ok());
    assert!(vouched.is_none(), "byte {at} of {length} made no difference");
}
