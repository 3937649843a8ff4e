//! What is measured. A new work is a file here, an arm in `main` and two in `role`.

pub(crate) mod calls;
pub(crate) mod churn;
pub(crate) mod crowd;
pub(crate) mod frames;
pub(crate) mod idle;
pub(crate) mod loaded;
pub(crate) mod memory;
pub(crate) mod sequence;
pub(crate) mod tiny;

use serde::{Serialize, de::DeserializeOwned};

use crate::Result;

/// What sender and receivers of a benchmark do.
pub(crate) trait Work {
    /// Its name on the command line and in results.
    const NAME: &'static str;

    /// What the sender is told to do.
    type Order: Serialize + DeserializeOwned;

    /// What the sender tells of it.
    type Outcome: Serialize + DeserializeOwned;

    /// What a receiver offers.
    fn offer(builder: daffi::Builder) -> daffi::Builder;

    /// What the sender does.
    async fn send(order: Self::Order) -> Result<Self::Outcome>;
}
