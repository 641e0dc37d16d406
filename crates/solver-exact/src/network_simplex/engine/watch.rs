//! The caller's check while starting duals are computed.

use super::super::pricing::{Check, Progress};

/// Entries of the cost or of the lists that a start reads between two looks at the caller's check: ten microseconds
/// where they are stored, a few milliseconds where each is a distance in hundreds of dimensions.
pub(crate) const SPELL: usize = 1 << 14;

/// The caller's check while starting duals are computed: asked every [`SPELL`] entries, and not again once it said no.
pub(crate) struct Watch<'a, 'c> {
    check: &'a mut Check<'c>,
    unseen: usize,
    pub(crate) stopped: bool,
}

impl<'a, 'c> Watch<'a, 'c> {
    pub(crate) fn new(check: &'a mut Check<'c>) -> Self {
        Self {
            check,
            unseen: 0,
            stopped: false,
        }
    }

    /// Whether to go on after reading this many more entries.
    pub(crate) fn goes_on(&mut self, entries: usize) -> bool {
        self.unseen += entries;
        !self.stopped && (self.unseen < SPELL || self.ask())
    }

    pub(crate) fn ask(&mut self) -> bool {
        self.unseen = 0;
        self.stopped = self.stopped || !(self.check)(&Progress::STARTING);
        !self.stopped
    }
}
