//! Sources that make their frames, or read them, give them out at the rate of a camera.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::source::Rate;

/// Sleeps until each frame is due. The due times are counted from the first frame, so that they do not drift; a source that falls
/// behind catches up, but for more than a second, which counts as a pause.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: Option<Rate>,
    began: Option<Instant>,
    frame: u64,
}

/// How far a source may be behind before its due times are counted anew.
const MAX_LAG: Duration = Duration::from_secs(1);

impl Pace {
    /// At that rate; as fast as it goes if there is none.
    pub(crate) const fn new(rate: Option<Rate>) -> Self {
        Self { rate, began: None, frame: 0 }
    }

    /// Sleeps until the next frame is due.
    pub(crate) fn wait(&mut self) {
        let Some(rate) = self.rate else { return };
        let now = Instant::now();
        let began = *self.began.get_or_insert(now);
        let due = began + rate.due(self.frame);
        if now > due + MAX_LAG {
            (self.began, self.frame) = (Some(now), 0);
        } else {
            thread::sleep(due.saturating_duration_since(now));
        }
        self.frame += 1;
    }
}
