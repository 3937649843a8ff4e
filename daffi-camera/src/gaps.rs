//! Which frames never came, as the gaps in their numbers tell.

/// Counts what is missing between the numbers of frames.
///
/// A number above all before it tells of a gap if others lie between. Any other number is a repetition, as some drivers make
/// them, or has been overtaken, and loses nothing; nor does it take back the gap that it may have left. What lies before the
/// first number was for somebody else.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gaps {
    highest: Option<u64>,
    missed: u64,
    out_of_order: u64,
}

impl Gaps {
    /// The frame of this number has come.
    pub(crate) fn arrived(&mut self, number: u64) {
        let highest = self.highest.unwrap_or(number);
        if number > highest {
            // No number is in two gaps, so all of them together have fewer than there are numbers.
            self.missed += number - highest - 1;
        }
        self.out_of_order += u64::from(number < highest);
        self.highest = Some(highest.max(number));
    }

    /// How many frames never came in their turn.
    pub(crate) const fn missed(self) -> u64 {
        self.missed
    }

    /// How many came after one with a higher number.
    pub(crate) const fn out_of_order(self) -> u64 {
        self.out_of_order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(numbers: impl IntoIterator<Item = u64>) -> (u64, u64) {
        let mut gaps = Gaps::default();
        numbers.into_iter().for_each(|number| gaps.arrived(number));
        (gaps.missed(), gaps.out_of_order())
    }

    #[test]
    fn what_lies_between_is_missed() {
        assert_eq!(gaps([]), (0, 0));
        assert_eq!(gaps([7, 8, 9]), (0, 0));
        assert_eq!(gaps([7, 8, 11, 13]), (3, 0));
    }

    #[test]
    fn a_number_that_is_not_above_the_highest_loses_nothing() {
        assert_eq!(gaps([3, 4, 4, 5]), (0, 0));
        // Two that were overtaken, after which the next one is as it would have been.
        assert_eq!(gaps([3, 6, 4, 5, 7]), (2, 2));
        // A source that begins anew is in disorder until it has caught up.
        assert_eq!(gaps([5, 6, 0, 2, 6, 8]), (1, 2));
    }

    #[test]
    fn no_number_is_too_large() {
        assert_eq!(gaps([u64::MAX, 0, u64::MAX]), (0, 1));
        assert_eq!(gaps([0, u64::MAX, 0, u64::MAX]), (u64::MAX - 1, 1));
    }
}
