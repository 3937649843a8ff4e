//! Video from files.
