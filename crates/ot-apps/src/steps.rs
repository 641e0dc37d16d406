//! Many independent steps on the threads of a context.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use solver_api::{Context, Progress};

use crate::Error;

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
    let one = |step: usize, own: &mut Context| {
        let pool = own.clone();
        let result = pool.install(|| work(step, own));
        let finished = done.fetch_add(1, Ordering::Relaxed) + 1;
        let progress = progress(step, finished, count, started.elapsed());
        if let Some(termination) = context.check(&progress)
            && finished < count
        {
            let mut stopped = stopped.lock().unwrap_or_else(PoisonError::into_inner);
            stopped.get_or_insert(Error::Stopped {
                what,
                termination,
                done: finished,
                count,
            });
            halt.store(true, Ordering::Relaxed);
        }
        if result.is_err() {
            halt.store(true, Ordering::Relaxed);
        }
        (step, result)
    };
    let worker = |mut own: Context| {
        let mut results = Vec::new();
        // Steps are handed out in order: the first that fails was taken before any later one that does.
        while !halt.load(Ordering::Relaxed) {
            let step = next.fetch_add(1, Ordering::Relaxed);
            if step >= count {
                break;
            }
            results.push(one(step, &mut own));
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
    let values = results
        .into_iter()
        .map(|(_, result)| result)
        .collect::<Result<Vec<_>, _>>()?;
    match stopped.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(values),
    }
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

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

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
}
