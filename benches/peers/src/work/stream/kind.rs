//! Which works there are that stream.

use serde::{Deserialize, Serialize};

use super::Scene;
use crate::figures::Heading;

/// A work that streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Items of 64 bytes.
    Tiny,
    /// 320 x 180 pixels in RGB.
    Frames,
    /// 1 MiB.
    BigFrames,
    /// The same frames as a camera makes them.
    Live,
    /// Larger ones, of which one of the receivers takes fewer than are made.
    SlowReceiver,
}

/// What is to become of items that a receiver has no time for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// None may be missing: who has no time holds the sender up.
    Lossless,
    /// They may be dropped: what comes is to be fresh.
    Fresh,
}

/// What systems are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Figure {
    ItemsPerSecond,
    MibPerSecond,
    /// The age of the item that 99 % are not older than, when it comes.
    Age,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Tiny, Self::Frames, Self::BigFrames, Self::Live, Self::SlowReceiver];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Frames => "frames",
            Self::BigFrames => "big-frames",
            Self::Live => "live",
            Self::SlowReceiver => "slow-receiver",
        }
    }

    /// What becomes of items that somebody has no time for: cameras go on, everything else waits.
    pub(crate) const fn delivery(self) -> Delivery {
        match self {
            Self::Tiny | Self::Frames | Self::BigFrames => Delivery::Lossless,
            Self::Live | Self::SlowReceiver => Delivery::Fresh,
        }
    }

    /// To how many receivers it goes unless told otherwise.
    pub(super) const fn receivers(self) -> &'static [u32] {
        match self {
            Self::Tiny | Self::Frames | Self::BigFrames => &[1, 2],
            Self::Live => &[2],
            Self::SlowReceiver => &[3],
        }
    }

    /// How many items a run has for a system that is as quick as any: some seconds' work, ten for a camera.
    pub(super) const fn count(self) -> u32 {
        match self {
            Self::Tiny => 3_000_000,
            Self::Frames => 5_000,
            Self::BigFrames => 1_000,
            Self::Live | Self::SlowReceiver => 600,
        }
    }

    /// How many go ahead unmeasured: enough for connections and allocators to have come to their pace.
    pub(super) const fn warm_up(self) -> u32 {
        match self {
            Self::Tiny => 20_000,
            Self::Frames => 200,
            Self::BigFrames => 40,
            Self::Live | Self::SlowReceiver => 30,
        }
    }

    pub(super) const fn scene(self, receivers: u32) -> Scene {
        let (length, fps) = match self {
            Self::Tiny => (64, None),
            Self::Frames => (172_800, None),
            Self::BigFrames => (1 << 20, None),
            Self::Live => (172_800, Some(60)),
            Self::SlowReceiver => (256 << 10, Some(60)),
        };
        Scene { kind: self, length, receivers, fps, slow: matches!(self, Self::SlowReceiver) }
    }

    pub(super) const fn figure(self) -> Figure {
        match self {
            Self::Tiny => Figure::ItemsPerSecond,
            Self::Frames | Self::BigFrames => Figure::MibPerSecond,
            Self::Live | Self::SlowReceiver => Figure::Age,
        }
    }

    pub(super) const fn heading(self, receivers: u32, count: u32) -> Heading {
        let (unit, meaning) = match self.figure() {
            Figure::ItemsPerSecond => ("items/s", "items a second to each receiver"),
            Figure::MibPerSecond => ("MiB/s", "MiB a second to each receiver"),
            Figure::Age => {
                ("us", "the p99 of an item's age when it comes, at the worst of the receivers that are not slow")
            }
        };
        let parts = ["sender", "router", "receivers"];
        Heading { work: self.name(), receivers, count, in_flight: None, unit, meaning, parts }
    }
}
