//! The loop of a training: steps, and looks at them, until something ends it.

use std::time::Instant;

use solver_api::{Check, Context, Convergence, Progress, Termination};

use crate::Error;

/// When the loop ends, and how often it looks.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) steps: u64,
    pub(crate) check_every: u64,
    /// Unrest at which a training is at rest; 0 never is.
    pub(crate) tol: f64,
}

/// What a look finds.
pub(crate) struct Seen<L> {
    pub(crate) look: L,
    pub(crate) unrest: f64,
    /// How far the marginals are from those asked for.
    pub(crate) apart: Vec<f64>,
}

/// Something that is trained step by step.
pub(crate) trait Training {
    type Look;

    fn limits(&self) -> Limits;

    /// Steps so far, of those that are counted.
    fn steps(&self) -> u64;

    /// The next step, counted or not.
    fn advance(&mut self) -> Result<(), Error>;

    fn see(&mut self) -> Result<Seen<Self::Look>, Error>;
}

/// Steps until they are done, it rests, or `context` ends it.
pub(crate) fn drive<R: Training>(
    training: &mut R,
    context: &Context,
    watch: &mut dyn FnMut(&R::Look),
) -> Result<Convergence, Error> {
    let started = Instant::now();
    let limits = training.limits();
    let (mut history, mut apart) = (Vec::new(), Vec::new());
    let termination = loop {
        let before = training.steps();
        if before >= limits.steps {
            // That it has rested is known where it was looked for alone.
            break Termination::IterationLimit;
        }
        if let Some(termination) = context.interrupted() {
            break termination;
        }
        training.advance()?;
        let iteration = training.steps();
        if iteration == before || !iteration.is_multiple_of(limits.check_every) {
            continue;
        }
        let seen = training.see()?;
        watch(&seen.look);
        apart = seen.apart;
        let (error, elapsed) = (seen.unrest, started.elapsed());
        if context.keep_history {
            history.push(Check {
                iteration,
                error,
                elapsed,
            });
        }
        if limits.tol > 0.0 && error <= limits.tol {
            break Termination::Converged;
        }
        let progress = Progress {
            problem: context.problem_index,
            iteration,
            part: None,
            error,
            tol: limits.tol,
            certificate: None,
            elapsed,
        };
        if let Some(termination) = context.check(&progress) {
            break termination;
        }
    };
    let of = |apart: &[f64]| apart.iter().fold(0.0_f64, |most, a| most.max(a.abs()));
    let (source, target) = apart.split_at(apart.len().min(1));
    Ok(Convergence {
        termination,
        iterations: Some(training.steps()),
        source_error: of(source),
        target_error: of(target),
        history,
    })
}
