//! The caller's check, which nobody asks again once it said stop.

/// Where a solve stands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stage {
    /// Newton steps and pivots so far.
    pub(super) steps: u64,
    /// A lower and an upper bound of the optimum, where they are known.
    pub(super) bracket: Option<(f64, f64)>,
}

/// Called after each step; `false` stops the solve.
pub(super) type Check<'a> = dyn FnMut(&Stage) -> bool + Send + 'a;

/// The check and what it has been told.
pub(super) struct Watch<'a, 'c> {
    check: &'a mut Check<'c>,
    pub(super) stage: Stage,
    pub(super) stopped: bool,
}

impl<'a, 'c> Watch<'a, 'c> {
    pub(super) fn new(check: &'a mut Check<'c>) -> Self {
        Self {
            check,
            stage: Stage::default(),
            stopped: false,
        }
    }

    /// Whether to take one more step.
    pub(super) fn goes_on(&mut self) -> bool {
        self.stage.steps += 1;
        self.ask()
    }

    /// Whether to go on.
    pub(super) fn ask(&mut self) -> bool {
        self.stopped = self.stopped || !(self.check)(&self.stage);
        !self.stopped
    }

    /// A better bound than the last, if it is one.
    pub(super) fn bound(&mut self, lower: f64, upper: f64) {
        let (l, u) = self
            .stage
            .bracket
            .unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
        self.stage.bracket = Some((l.max(lower), u.min(upper)));
    }
}
