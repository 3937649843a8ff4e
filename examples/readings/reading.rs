//! The items, for both sides.

use serde::{Deserialize, Serialize};

/// What a sensor measured.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Reading {
    /// Counted from 1.
    pub(crate) number: u32,
    pub(crate) celsius: f64,
}

/// Why there is no reading, or no sensor to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum SensorError {
    #[error("there is no sensor in the {place}")]
    NoSensor { place: String },
    #[error("reading {number} failed")]
    Failed { number: u32 },
}
