//! The first eight bytes of the control stream, each way: they never change, whatever the protocol becomes. In this version
//! the node sends [`SECRET`] bytes behind them, the join token's secret: a controller decodes nothing of a stranger's.
//!
//! A controller that meets a node of another version answers with its own preamble and closes the connection with
//! [`CloseCode::Version`](crate::transport::CloseCode::Version), so both sides can say which versions met.

use super::Malformed;

/// The protocol version that this crate speaks. Version 2 carries contracts and traces with its offers and calls; in version 3
/// streams go on after their connection broke.
pub const VERSION: u16 = 3;

/// The length of the join token's secret in bytes.
pub const SECRET: usize = 32;

/// The length of a preamble in bytes.
pub const LENGTH: usize = 8;

const MAGIC: [u8; 5] = *b"daffi";

/// The preamble of a peer that speaks `version`.
pub const fn encode(version: u16) -> [u8; LENGTH] {
    let [high, low] = version.to_be_bytes();
    let [d, a, f, g, i] = MAGIC;
    [d, a, f, g, i, high, low, 0]
}

/// Reads the peer's version.
///
/// # Errors
///
/// [`Malformed`] if these are not the first bytes of a daffi peer of any version.
pub fn decode(bytes: [u8; LENGTH]) -> Result<u16, Malformed> {
    if bytes[..5] != MAGIC {
        return Err(Malformed("the peer does not speak daffi"));
    }
    Ok(u16::from_be_bytes([bytes[5], bytes[6]]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trips(version: u16) {
            prop_assert_eq!(decode(encode(version)), Ok(version));
        }

        #[test]
        fn anything_else_is_refused(bytes: [u8; LENGTH]) {
            prop_assume!(bytes[..5] != MAGIC);
            prop_assert!(decode(bytes).is_err());
        }
    }
}
