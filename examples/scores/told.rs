//! What the game tells its fans.

use serde::{Deserialize, Serialize};

/// The whole score, or a change of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Score {
    Whole { home: u32, guests: u32 },
    Goal { by_home: bool },
}
