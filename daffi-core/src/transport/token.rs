//! The join token: one string that lets a node in.
//!
//! It pins the controller's certificate, so that a node knows whom it talks to, and carries a secret, so that the controller
//! knows that the node was invited. `daffi-` and the base64url form of a version byte, the certificate's SHA-256, the
//! secret, and the first four bytes of the SHA-256 of all that, which catch a token that was copied in part.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;

use super::identity::fingerprint;

const PREFIX: &str = "daffi-";
const VERSION: u8 = 1;
const CHECKSUM: usize = 4;
const LENGTH: usize = 1 + 32 + 32 + CHECKSUM;

/// What a node needs to join: whom to trust, and a secret to be trusted by. Printing it ([`fmt::Display`]) shows the secret,
/// debugging it does not. Comparing two takes as long whether they are the same or not.
#[derive(Clone)]
pub struct JoinToken {
    fingerprint: [u8; 32],
    secret: [u8; 32],
}

/// The text is not a join token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidToken {
    /// It does not begin like one.
    #[error("a join token begins with `{PREFIX}`; print the controller's with `daffi-controller token`")]
    NoToken,
    /// It begins like one, and is damaged.
    #[error("this join token is damaged, perhaps copied in part; print it again with `daffi-controller token`")]
    Damaged,
    /// It was made by a newer controller.
    #[error("this join token has version {0}, and this program knows version {VERSION} only: upgrade it")]
    Version(u8),
}

impl JoinToken {
    /// Makes a token with a fresh secret for the controller whose certificate has this fingerprint.
    ///
    /// # Panics
    ///
    /// If the operating system has no random numbers.
    pub fn generate(fingerprint: [u8; 32]) -> Self {
        use ring::rand::SecureRandom;
        let mut secret = [0; 32];
        ring::rand::SystemRandom::new()
            .fill(&mut secret)
            // Without randomness there is no TLS either.
            .expect("the operating system gives random numbers");
        Self { fingerprint, secret }
    }

    /// The same secret, for the controller whose certificate has this fingerprint.
    #[must_use]
    pub const fn pinning(&self, fingerprint: [u8; 32]) -> Self {
        Self { fingerprint, secret: self.secret }
    }

    /// The SHA-256 of the controller's certificate, or of its authority's.
    pub const fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// The secret, for the hello.
    pub const fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// Whether a node knows the secret. Takes as long for a wrong one as for the right one.
    pub fn admits(&self, secret: &[u8]) -> bool {
        self.secret.ct_eq(secret).into()
    }
}

impl PartialEq for JoinToken {
    fn eq(&self, other: &Self) -> bool {
        (self.fingerprint.ct_eq(&other.fingerprint) & self.secret.ct_eq(&other.secret)).into()
    }
}

impl Eq for JoinToken {}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.fingerprint);
        bytes.extend_from_slice(&self.secret);
        let checksum = fingerprint(&bytes);
        bytes.extend_from_slice(&checksum[..CHECKSUM]);
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").finish_non_exhaustive()
    }
}

impl FromStr for JoinToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(InvalidToken::NoToken)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| InvalidToken::Damaged)?;
        let Some((body, checksum)) = bytes.split_last_chunk::<CHECKSUM>() else {
            return Err(InvalidToken::Damaged);
        };
        if fingerprint(body)[..CHECKSUM] != checksum[..] {
            return Err(InvalidToken::Damaged);
        }
        let (version, rest) = body.split_first().ok_or(InvalidToken::Damaged)?;
        if *version != VERSION {
            return Err(InvalidToken::Version(*version));
        }
        let (pin, secret) = rest.split_first_chunk().ok_or(InvalidToken::Damaged)?;
        let secret = secret.try_into().map_err(|_| InvalidToken::Damaged)?;
        Ok(Self { fingerprint: *pin, secret })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trips(fingerprint: [u8; 32]) {
            let token = JoinToken::generate(fingerprint);
            prop_assert_eq!(format!(" {token}\n").parse(), Ok(token));
        }

        #[test]
        fn any_text_parses_or_fails(text: String) {
            let _ = text.parse::<JoinToken>();
            let _ = format!("daffi-{text}").parse::<JoinToken>();
        }
    }

    #[test]
    fn a_part_of_a_token_is_damaged() {
        let text = JoinToken::generate([7; 32]).to_string();
        for length in PREFIX.len()..text.len() {
            assert_eq!(text[..length].parse::<JoinToken>(), Err(InvalidToken::Damaged));
        }
        assert_eq!("hello".parse::<JoinToken>(), Err(InvalidToken::NoToken));
    }

    #[test]
    fn tokens_are_the_same_if_certificate_and_secret_are() {
        let token = JoinToken::generate([7; 32]);
        assert_eq!(token, token.pinning([8; 32]).pinning([7; 32]));
        assert_ne!(token, token.pinning([8; 32]));
        assert_ne!(token, JoinToken::generate([7; 32]));
    }

    #[test]
    fn only_the_secret_is_admitted() {
        let token = JoinToken::generate([7; 32]);
        assert!(token.admits(token.secret()));
        assert!(!token.admits(&[0; 32]));
        assert!(!token.admits(&[]));
        assert!(!format!("{token:?}").contains("secret"));
    }
}
