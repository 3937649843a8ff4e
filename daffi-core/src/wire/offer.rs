//! What a node says of a callback that it offers.

use serde::{Deserialize, Serialize};

/// A callback as the node that offers it describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Offer {
    /// The name that callers use.
    pub name: String,
    /// The signature as written in the source, for people.
    #[serde(default)]
    pub signature: String,
    /// Where it stands in the source: `file:line`.
    #[serde(default)]
    pub location: String,
    /// What its callers have to agree with, if the node tells.
    #[serde(default)]
    pub contract: Option<Contract>,
    /// It has to have all items of a stream, however slow it is.
    #[serde(default)]
    pub lossless: bool,
}

/// The fingerprint of a signature: what both sides of a call have to agree on. The types are spelled in a normal form, so that a
/// borrowed argument of the one equals an owned argument of the other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Contract {
    /// How it is called.
    #[serde(default)]
    pub kind: Kind,
    /// The arguments, in order.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// The type of the result, or of one of its items.
    #[serde(default)]
    pub result: String,
}

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The type as written, in normal form.
    #[serde(rename = "type")]
    pub ty: String,
}

/// How a callback is called, or how a stub calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// Once for each call, or for each item of a stream; it returns one result.
    #[default]
    Call,
    /// Once for each call; it returns a stream of results.
    Results,
    /// Once for each stream: it takes all items, and returns one result.
    Incoming,
    /// Of a stub alone: a stream that wants no result, so either of the two that take items will do.
    Items,
    /// A kind that this version does not know.
    #[serde(other)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_of_a_version_before_contracts_is_read() {
        let old = rmp_serde::to_vec_named(&std::collections::BTreeMap::from([("name", "add")])).unwrap();
        let offer: Offer = rmp_serde::from_slice(&old).unwrap();
        assert_eq!(offer, Offer { name: "add".into(), ..Offer::default() });
    }

    #[test]
    fn a_kind_of_a_later_version_is_unknown() {
        let later = rmp_serde::to_vec_named(&"duplex").unwrap();
        assert_eq!(rmp_serde::from_slice::<Kind>(&later).unwrap(), Kind::Unknown);
    }
}
