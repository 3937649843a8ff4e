//! What the shop and its customers say to each other.

use serde::{Deserialize, Serialize};

/// An article on the shelf.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Article {
    pub(crate) name: String,
    pub(crate) stock: u32,
    pub(crate) cents: u32,
}

/// What a customer bought.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Receipt {
    pub(crate) number: u64,
    pub(crate) article: String,
    pub(crate) count: u32,
    pub(crate) cents: u32,
}

/// Why the shop refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum ShopError {
    #[error("there is no {article} here")]
    NoArticle { article: String },
    #[error("only {left} of {article} left")]
    TooFew { article: String, left: u32 },
    #[error("receipt {number} is not open")]
    NoReceipt { number: u64 },
}
