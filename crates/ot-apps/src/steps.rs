//! Many independent steps on the threads of a context, and what they came to when it was stopped.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use solver_api::{Context, Progress, Termination};

use crate::Error;

/// What many queries came to when the observer, the deadline or the token of their context ended them: all of it, or the
/// part that was answered. Each answer is the one that it would have been without the stop.
#[derive(Debug, Clone, PartialEq)]
pub struct SoFar<T> {
    answer: T,
    answered: Vec<usize>,
    count: usize,
    what: &'static str,
    stopped: Option<Termination>,
}

impl<T> SoFar<T> {
    /// The answer to the queries that were answered, in their order; none of them may be.
    #[must_use]
    pub fn answer(&self) -> &T {
        &self.answer
    }

    /// The same, to keep.
    #[must_use]
    pub fn into_answer(self) -> T {
        self.answer
    }

    /// Which queries were answered, ascending: place k of the answer belongs to query `answered()[k]`. With several
    /// threads they need not be the first ones.
    #[must_use]
    pub fn answered(&self) -> &[usize] {
        &self.answered
    }

    /// How many queries there were.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Why queries were left; `None` where none was, though the stop came.
    #[must_use]
    pub fn stopped(&self) -> Option<Termination> {
        self.stopped
    }

    /// Values of the queries that were answered, each at its query's place.
    ///
    /// # Errors
    /// Another number of values than of answers.
    pub fn spread<V: Clone>(&self, values: &[V]) -> Result<Vec<Option<V>>, Error> {
        if values.len() != self.answered.len() {
            return Err(Error::Shape {
                argument: "values",
                found: values.len(),
                expected: format!("there are {} answers", self.answered.len()),
            });
        }
        let mut spread = vec![None; self.count];
        for (&query, value) in self.answered.iter().zip(values) {
            spread[query] = Some(value.clone());
        }
        Ok(spread)
    }

    /// The answer to all queries.
    ///
    /// # Errors
    /// [`Error::Stopped`] where one is missing.
    pub fn complete(self) -> Result<T, Error> {
        match self.stopped {
            None => Ok(self.answer),
            Some(termination) => Err(Error::Stopped {
                what: self.what,
                termination,
                done: self.answered.len(),
                count: self.count,
            }),
        }
    }

    pub(crate) fn map<U>(self, into: impl FnOnce(T) -> U) -> SoFar<U> {
        SoFar {
            answer: into(self.answer),
            answered: self.answered,
            count: self.count,
            what: self.what,
            stopped: self.stopped,
        }
    }
}

/// Runs `work` for 0..`count` and returns what it came to, in order. Each step has a context of one thread, so that its
/// bits do not depend on how many threads there are. The observer of `context` hears of every step that is done:
/// `problem` is the step, `iteration` how many are done, and `part` which part of all that is.
///
/// # Errors
/// The error of the first step that failed, and [`Error::Stopped`] where the observer, the deadline or the token of
/// `context` says so; `what` is what the steps are called then.
pub(crate) fn run<R: Send>(
    context: &Context,
    what: &'static str,
    count: usize,
    work: impl Fn(usize, &mut Context) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    run_so_far(context, what, count, work)?.complete()
}

/// As [`run`], but a stop is no error: what was done until then is the answer. A step that the stop cut short is not done.
///
/// # Errors
/// The error of the first step that failed for another reason.
pub(crate) fn run_so_far<R: Send>(
    context: &Context,
    what: &'static str,
    count: usize,
    work: impl Fn(usize, &mut Context) -> Result<R, Error> + Sync,
) -> Result<SoFar<Vec<R>>, Error> {
    let started = Instant::now();
    let threads = context.threads().min(count).max(1);
    let mut contexts = Vec::with_capacity(threads);
    for _ in 0..threads {
        contexts.push(context.for_step(1)?);
    }
    let (next, done, halt) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicBool::new(false),
    );
    let stopped = Mutex::new(None);
    let stop = |termination: Termination| {
        let mut stopped = stopped.lock().unwrap_or_else(PoisonError::into_inner);
        stopped.get_or_insert(termination);
        halt.store(true, Ordering::Relaxed);
    };
    let one = |step: usize, own: &mut Context| {
        let pool = own.clone();
        let result = pool.install(|| work(step, own));
        if let (Err(error), Some(termination)) = (&result, context.interrupted())
            && error.is_stop()
        {
            stop(termination);
            return None;
        }
        if result.is_err() {
            halt.store(true, Ordering::Relaxed);
            return Some((step, result));
        }
        let finished = done.fetch_add(1, Ordering::Relaxed) + 1;
        let progress = progress(step, finished, count, started.elapsed());
        if let Some(termination) = context.check(&progress) {
            stop(termination);
        }
        Some((step, result))
    };
    let worker = |mut own: Context| {
        let mut results = Vec::new();
        // Steps are handed out in order: the first that fails was taken before any later one that does.
        while !halt.load(Ordering::Relaxed) {
            let step = next.fetch_add(1, Ordering::Relaxed);
            if step >= count {
                break;
            }
            results.extend(one(step, &mut own));
        }
        results
    };
    let mut results: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> = contexts
            .into_iter()
            .map(|own| scope.spawn(|| worker(own)))
            .collect();
        handles
            .into_iter()
            .flat_map(|handle| match handle.join() {
                Ok(results) => results,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    });
    results.sort_by_key(|(step, _)| *step);
    let mut answered = Vec::with_capacity(results.len());
    let mut answer = Vec::with_capacity(results.len());
    for (step, result) in results {
        answer.push(result?);
        answered.push(step);
    }
    let stopped = stopped.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(SoFar {
        stopped: stopped.filter(|_| answered.len() < count),
        answer,
        answered,
        count,
        what,
    })
}

fn progress(step: usize, done: usize, count: usize, elapsed: Duration) -> Progress {
    Progress {
        problem: step,
        iteration: done as u64,
        part: Some(done as f64 / count as f64),
        error: (count - done) as f64,
        tol: 0.0,
        certificate: None,
        elapsed,
    }
}

/// Tells the observer of `context` that step `step` of `count`, one after another, is done. `error` is what the steps bring
/// down.
///
/// # Errors
/// [`Error::Stopped`] by the observer, the deadline or the token, but for the last step: what is complete is an answer.
pub(crate) fn tell(
    context: &Context,
    what: &'static str,
    (step, count): (usize, usize),
    error: f64,
    started: Instant,
) -> Result<(), Error> {
    let done = step + 1;
    let progress = Progress {
        error,
        ..progress(step, done, count, started.elapsed())
    };
    match context.check(&progress) {
        Some(termination) if done < count => Err(Error::Stopped {
            what,
            termination,
            done,
            count,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use solver_api::CancelToken;

    use super::*;

    #[test]
    fn results_are_in_order_and_the_first_failure_is_told() {
        let context = Context::default().with_threads(3).expect("a pool");
        let squares = run(&context, "steps", 100, |k, own| {
            assert_eq!(own.threads(), 1);
            Ok(k * k)
        });
        assert_eq!(
            squares.expect("no failure"),
            (0..100).map(|k| k * k).collect::<Vec<_>>()
        );
        let failed = run(&context, "steps", 100, |k, _| match k {
            0..7 => Ok(()),
            _ => Err(Error::setting("k", k, "is too large")),
        });
        assert_eq!(
            failed.expect_err("7 fails").to_string(),
            "`k` = 7: is too large"
        );
    }

    #[test]
    fn an_observer_sees_every_step_and_may_stop() {
        let context = Context::default()
            .observed(|p: &Progress| match p.iteration {
                0..5 => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            })
            .with_threads(1)
            .expect("a pool");
        let stopped = run(&context, "queries", 9, |k, _| Ok(k)).expect_err("stopped");
        assert_eq!(
            stopped.to_string(),
            "stopped by cancelled after 5 of 9 queries"
        );
        // What is complete is an answer.
        assert_eq!(
            run(&context, "queries", 5, |k, _| Ok(k))
                .expect("done")
                .len(),
            5
        );
    }

    #[test]
    fn what_was_done_before_a_stop_is_kept() {
        let token = CancelToken::new();
        let context = Context::default()
            .cancelled_by(&token)
            .with_threads(1)
            .expect("a pool");
        let cut_short = |step: usize, own: &mut Context| {
            if step == 3 {
                token.cancel();
            }
            match own.interrupted() {
                None => Ok(10 * step),
                Some(termination) => Err(Error::from(solver_api::Error::NotConverged {
                    solver: "test".to_owned(),
                    termination,
                    iterations: None,
                    source_error: 1.0,
                    target_error: 1.0,
                })),
            }
        };
        let so_far = run_so_far(&context, "queries", 6, cut_short).expect("no failure");
        assert_eq!(so_far.answer(), &[0, 10, 20]);
        assert_eq!((so_far.answered(), so_far.count()), (&[0, 1, 2][..], 6));
        assert_eq!(so_far.stopped(), Some(Termination::Cancelled));
        let spread = so_far.spread(so_far.answer()).expect("one each");
        assert_eq!(spread, [Some(0), Some(10), Some(20), None, None, None]);
        assert_eq!(
            so_far
                .spread(&[0; 4])
                .expect_err("one too many")
                .to_string(),
            "`values` has 4 values, but there are 3 answers"
        );
        assert_eq!(
            so_far.complete().expect_err("stopped").to_string(),
            "stopped by cancelled after 3 of 6 queries"
        );
        // What fails for itself is a failure, stop or not, and so is a solver's own stop.
        let fails = |_, _: &mut Context| Err::<(), _>(Error::setting("k", 0, "is too small"));
        run_so_far(&context, "queries", 6, fails).expect_err("its own failure");
        let own_stop = |_, _: &mut Context| -> Result<(), _> {
            Err(Error::from(solver_api::Error::NotConverged {
                solver: "test".to_owned(),
                termination: Termination::TimeLimit,
                iterations: None,
                source_error: 1.0,
                target_error: 1.0,
            }))
        };
        run_so_far(&Context::default(), "queries", 6, own_stop).expect_err("not stopped by us");
    }
}
