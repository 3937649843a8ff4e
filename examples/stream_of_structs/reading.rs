//! The item of the stream, for both sides.

use serde::{Deserialize, Serialize};

/// What a sensor measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reading {
    /// Which sensor.
    pub(crate) sensor: String,
    /// What it measured.
    pub(crate) celsius: f64,
}
