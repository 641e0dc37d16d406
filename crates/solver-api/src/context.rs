//! What a caller may want of a solve besides its answer: progress, limits, threads, a warm start.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::solution::Termination;
use crate::transform::Potentials;
use crate::{Certificate, Checkpoint, Error};

/// Where a solver stands, at one of its checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Index of the problem in a batch, 0 for a single solve.
    pub problem: usize,
    /// Iterations done.
    pub iteration: u64,
    /// The part of the next iteration that is done, from solvers whose iterations are long enough to tell.
    pub part: Option<f64>,
    /// What the tolerance is about: the larger marginal error, or the relative gap. +∞ if not known yet.
    pub error: f64,
    /// The tolerance.
    pub tol: f64,
    /// A bracket, if the context asked for one at every check or the algorithm has one for free.
    pub certificate: Option<Certificate>,
    /// Time since the solve began.
    pub elapsed: Duration,
}

/// Sees every check of a solver and may stop it: progress bars, logs, plots.
pub trait Observer: Send + Sync {
    /// `Break` stops the solve as [`Termination::Cancelled`].
    fn on_check(&self, progress: &Progress) -> ControlFlow<()>;
}

impl<F: Fn(&Progress) -> ControlFlow<()> + Send + Sync> Observer for F {
    fn on_check(&self, progress: &Progress) -> ControlFlow<()> {
        self(progress)
    }
}

/// Stops solves from another thread.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that is not set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks every solve that carries this token to stop at its next check.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// When a solution gets its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Certify {
    /// Once, at the end.
    #[default]
    AtEnd,
    /// Also at every check, for the observer. Costs several passes over the cost each time.
    EveryCheck,
    /// Never, unless it comes for free.
    Off,
}

/// The circumstances of a solve. Cheap to clone; `Context::default()` has no limits.
#[derive(Clone, Default)]
pub struct Context {
    observer: Option<Arc<dyn Observer>>,
    deadline: Option<Instant>,
    cancel: CancelToken,
    pool: Option<Arc<ThreadPool>>,
    /// Potentials to start from, in cost units; solvers without the capability ignore them.
    pub warm_start: Option<Arc<Potentials>>,
    /// When to certify.
    pub certify: Certify,
    /// Whether to keep the checks in [`Convergence::history`](crate::Convergence).
    pub keep_history: bool,
    /// Index of the problem in a batch, for the observer.
    pub problem_index: usize,
    /// The state to go on from, for solvers that keep checkpoints; others ignore it.
    pub resume: Option<Arc<Checkpoint>>,
    /// Whether to leave the state at the end of the solve in `checkpoint`.
    pub keep_checkpoint: bool,
    /// The state at the end of the last solve, if it was asked for and the solver keeps checkpoints.
    pub checkpoint: Option<Checkpoint>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("observer", &self.observer.is_some())
            .field("deadline", &self.deadline)
            .field("threads", &self.threads())
            .field("warm_start", &self.warm_start.is_some())
            .field("certify", &self.certify)
            .field("keep_history", &self.keep_history)
            .field("problem_index", &self.problem_index)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// No limits, no observer, the global thread pool, a certificate at the end.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With an observer.
    #[must_use]
    pub fn observed(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// With a deadline `limit` from now.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        // A limit beyond the clock's range is no limit.
        self.deadline = Instant::now().checked_add(limit);
        self
    }

    /// The deadline, if there is one.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// With a token that can stop it.
    #[must_use]
    pub fn cancelled_by(mut self, token: &CancelToken) -> Self {
        self.cancel = token.clone();
        self
    }

    /// With a thread pool of its own of `threads` ≥ 1 threads, shared by all clones of this context.
    pub fn with_threads(mut self, threads: usize) -> Result<Self, Error> {
        if threads == 0 {
            return Err(Error::setting("threads", threads, "must be at least 1"));
        }
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|e| Error::setting("threads", threads, e.to_string()))?;
        self.pool = Some(Arc::new(pool));
        Ok(self)
    }

    /// With potentials to start from.
    #[must_use]
    pub fn warm(mut self, potentials: Potentials) -> Self {
        self.warm_start = Some(Arc::new(potentials));
        self
    }

    /// Going on from `checkpoint`, to the same bits as without the stop.
    #[must_use]
    pub fn resuming(mut self, checkpoint: Checkpoint) -> Self {
        self.resume = Some(Arc::new(checkpoint));
        self
    }

    /// Leaving the state at the end of a solve in [`Context::checkpoint`](Self::checkpoint).
    #[must_use]
    pub fn keeping_checkpoint(mut self) -> Self {
        self.keep_checkpoint = true;
        self
    }

    /// With another time for the certificate.
    #[must_use]
    pub fn certified(mut self, certify: Certify) -> Self {
        self.certify = certify;
        self
    }

    /// The same circumstances for problem `index` of a batch. Warm starts and checkpoints belong to one problem and are
    /// dropped.
    #[must_use]
    pub fn for_problem(&self, index: usize) -> Self {
        Self {
            problem_index: index,
            warm_start: None,
            resume: None,
            keep_checkpoint: false,
            checkpoint: None,
            ..self.clone()
        }
    }

    /// The same circumstances for a solve that is a step of something larger, on `threads` threads of its own: no
    /// observer (who watches the whole would take its checks for those of the whole), no warm start, no checkpoint,
    /// no history. Deadline and cancellation stay.
    ///
    /// # Errors
    /// No such pool can be made.
    pub fn for_step(&self, threads: usize) -> Result<Self, Error> {
        let mut step = self.for_problem(0).with_threads(threads)?;
        step.observer = None;
        step.keep_history = false;
        Ok(step)
    }

    /// The number of threads a solve may use.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool
            .as_ref()
            .map_or_else(rayon::current_num_threads, |p| p.current_num_threads())
    }

    /// The thread pool of its own, if it has one.
    #[must_use]
    pub fn pool(&self) -> Option<Arc<ThreadPool>> {
        self.pool.clone()
    }

    /// Runs `work` so that rayon uses this context's threads.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    /// To be called at every check: tells the observer, and says why the solve must stop, if it must.
    #[must_use]
    pub fn check(&self, progress: &Progress) -> Option<Termination> {
        if let Some(observer) = &self.observer
            && observer.on_check(progress).is_break()
        {
            return Some(Termination::Cancelled);
        }
        self.interrupted()
    }

    /// Cancellation and deadline alone: cheap enough for inner loops.
    #[must_use]
    pub fn interrupted(&self) -> Option<Termination> {
        if self.cancel.is_cancelled() {
            return Some(Termination::Cancelled);
        }
        self.deadline
            .is_some_and(|d| Instant::now() >= d)
            .then_some(Termination::TimeLimit)
    }

    /// Whether somebody watches the checks.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.observer.is_some()
    }
}
