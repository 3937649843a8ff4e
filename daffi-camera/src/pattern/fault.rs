//! What can go wrong with a camera, on purpose: a program is tried with it without a camera that fails.

use std::{fmt, str::FromStr, time::Duration};

/// Something that goes wrong once, before the frame of that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Before which frame.
    pub at: u64,
    /// What.
    pub kind: FaultKind,
}

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// No frame comes for so long.
    Stall(Duration),
    /// So many frames are lost.
    Drop(u64),
    /// The driver gives the frame before it once more, under the same number.
    Repeat,
    /// The frame is damaged: a JPEG ends in the middle, a raw picture has noise over its strip.
    Corrupt,
    /// The camera is unplugged; if there is a time, it is plugged in again after that.
    Unplug(Option<Duration>),
}

/// What was given is no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a fault is `stall@FRAME:TIME`, `drop@FRAME:COUNT`, `repeat@FRAME`, `corrupt@FRAME`, `unplug@FRAME` or `unplug@FRAME:TIME`, with a time such as 500ms"
)]
pub struct InvalidFault;

impl FromStr for Fault {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Self, InvalidFault> {
        let (kind, place) = text.split_once('@').ok_or(InvalidFault)?;
        let (at, detail) = place.split_once(':').map_or((place, None), |(at, detail)| (at, Some(detail)));
        let time = |text: &str| humantime::parse_duration(text).map_err(|_| InvalidFault);
        let kind = match (kind, detail) {
            ("stall", Some(detail)) => FaultKind::Stall(time(detail)?),
            ("drop", Some(detail)) => FaultKind::Drop(detail.parse().map_err(|_| InvalidFault)?),
            ("repeat", None) => FaultKind::Repeat,
            ("corrupt", None) => FaultKind::Corrupt,
            ("unplug", None) => FaultKind::Unplug(None),
            ("unplug", Some(detail)) => FaultKind::Unplug(Some(time(detail)?)),
            _ => return Err(InvalidFault),
        };
        Ok(Self { at: at.parse().map_err(|_| InvalidFault)?, kind })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        match self.kind {
            FaultKind::Stall(time) => write!(f, "stall@{at}:{}", humantime::format_duration(time)),
            FaultKind::Drop(count) => write!(f, "drop@{at}:{count}"),
            FaultKind::Repeat => write!(f, "repeat@{at}"),
            FaultKind::Corrupt => write!(f, "corrupt@{at}"),
            FaultKind::Unplug(None) => write!(f, "unplug@{at}"),
            FaultKind::Unplug(Some(time)) => write!(f, "unplug@{at}:{}", humantime::format_duration(time)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_read_as_it_is_written() {
        for text in ["stall@30:500ms", "drop@7:3", "repeat@1", "corrupt@0", "unplug@90", "unplug@90:1s"] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
        for wrong in ["", "stall@3", "drop@x:1", "repeat@1:2", "burn@3", "drop@1:-1", "stall@1:long"] {
            assert_eq!(wrong.parse::<Fault>(), Err(InvalidFault), "{wrong}");
        }
    }
}
