//! What a stop leaves of the predictions of many queries: those that were answered, as they would have been without it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ot_apps::{AlignedRetrieval, Error, ModelSet, Neighbours, Retrieval, Score, SoFar, pixel_cost};
use solver_api::{
    CancelToken, Capabilities, Context, Cost, Ground, Problem, Progress, Solution, Solver,
    Termination,
};

use crate::alignment::alignment;
use crate::backends::bars;
use crate::solvers::solvers;
use crate::toy::Matching;

/// A context whose observer breaks after `most` queries, on `threads`.
fn breaking(most: u64, threads: usize) -> Context {
    let context = Context::default().observed(move |p: &Progress| match p.iteration {
        i if i < most => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    });
    context.with_threads(threads).expect("a pool")
}

/// The answers so far are those of the whole run at their places, and the whole answer is refused.
fn assert_a_part<T>(
    name: &str,
    whole: &T,
    so_far: SoFar<T>,
    predictions: impl Fn(&T) -> &[i64],
    threads: usize,
) {
    assert_eq!(so_far.stopped(), Some(Termination::Cancelled), "{name}");
    let (answered, count) = (so_far.answered().to_vec(), so_far.count());
    // Each thread may be in the midst of one more query.
    assert!(
        (3..3 + threads).contains(&answered.len()),
        "{name}: {answered:?}"
    );
    assert_eq!(count, predictions(whole).len(), "{name}");
    let spread = so_far
        .spread(predictions(so_far.answer()))
        .expect("one each");
    for (query, class) in spread.into_iter().enumerate() {
        let expected = predictions(whole)[query];
        let known = answered.contains(&query).then_some(expected);
        assert_eq!(class, known, "{name}, query {query}");
    }
    let stopped = Error::Stopped {
        what: "queries",
        termination: Termination::Cancelled,
        done: answered.len(),
        count,
    };
    assert_eq!(so_far.complete().err(), Some(stopped), "{name}");
}

#[test]
fn every_classifier_of_images_keeps_what_it_has_with_every_backend() {
    let (train, labels) = bars(0.0);
    let (test, _) = bars(0.5);
    let models = ModelSet::new(&train, &labels).expect("models");
    let cost = pixel_cost(train.size(), &Ground::Euclidean).expect("a cost");
    let score = Score::TransportCost;
    for solver in solvers() {
        let (solver, name) = (solver.as_ref(), solver.name());
        let retrieval = Retrieval::new(solver, Arc::clone(&cost), models.clone(), score);
        let retrieval = retrieval.expect("balanced");
        let neighbours = Neighbours::new(solver, Arc::clone(&cost), 1, score).expect("balanced");
        let neighbours = neighbours.fit(&train, &labels, &Context::default());
        let neighbours = neighbours.expect("fitted");
        for threads in [1, 2] {
            let whole = retrieval.predict(&test, &Context::default());
            let so_far = retrieval.predict_so_far(&test, &breaking(3, threads));
            let (whole, so_far) = (whole.expect("solved"), so_far.expect("kept"));
            assert_a_part(name, &whole, so_far, |r| r.predictions(), threads);
            let whole = neighbours.predict(&test, &Context::default());
            let so_far = neighbours.predict_so_far(&test, &breaking(3, threads));
            let (whole, so_far) = (whole.expect("solved"), so_far.expect("kept"));
            assert_a_part(name, &whole, so_far, |v| v.predictions(), threads);
        }
        // An ε relative to a cost that is another for every map is refused.
        if !solver.capabilities().has(solver_api::Capability::Entropic) {
            let moves = alignment(|set| set.translation = true);
            let aligned =
                AlignedRetrieval::new(solver, Ground::Euclidean, models.clone(), score, moves);
            let aligned = aligned.expect("balanced");
            let whole = aligned.predict(&test, &Context::default()).expect("solved");
            let so_far = aligned
                .predict_so_far(&test, &breaking(3, 1))
                .expect("kept");
            assert_a_part(name, &whole, so_far, |a| a.predictions(), 1);
        }
    }
}

/// Cancels its own token at a solve, which ends as cancelled, as do all after it.
struct Cancelling {
    token: CancelToken,
    solves: AtomicUsize,
    last: usize,
}

impl Solver for Cancelling {
    fn name(&self) -> &str {
        "cancelling"
    }

    fn capabilities(&self) -> Capabilities {
        Matching.capabilities()
    }

    fn solve_with(
        &self,
        problem: &Problem,
        context: &mut Context,
    ) -> Result<Solution, solver_api::Error> {
        if self.solves.fetch_add(1, Ordering::Relaxed) == self.last {
            self.token.cancel();
        }
        let mut solution = Matching.solve_with(problem, context)?;
        if let Some(termination) = context.interrupted() {
            solution.convergence.termination = termination;
        }
        Ok(solution)
    }
}

#[test]
fn a_query_that_is_cut_short_in_its_solve_is_not_answered() {
    let (train, labels) = bars(0.0);
    let (test, expected) = bars(0.5);
    let models = ModelSet::new(&train, &labels).expect("models");
    let cost: Arc<dyn Cost> = pixel_cost(train.size(), &Ground::Euclidean).expect("a cost");
    let token = CancelToken::new();
    // In the midst of the third query, which has a solve for each model.
    let solver = Cancelling {
        token: token.clone(),
        solves: AtomicUsize::new(0),
        last: 2 * models.len() + 3,
    };
    let retrieval = Retrieval::new(&solver, cost, models, Score::TransportCost);
    let context = Context::default().cancelled_by(&token).with_threads(1);
    let context = context.expect("a pool");
    let so_far = retrieval.expect("balanced").predict_so_far(&test, &context);
    let so_far = so_far.expect("kept");
    assert_eq!(so_far.answered(), [0, 1]);
    assert_eq!(so_far.answer().predictions(), &expected[..2]);
    assert_eq!(so_far.stopped(), Some(Termination::Cancelled));
    // Nothing is left of a stop before the first query.
    let none = {
        let (train, labels) = bars(0.0);
        let models = ModelSet::new(&train, &labels).expect("models");
        let cost = pixel_cost(train.size(), &Ground::Euclidean).expect("a cost");
        let retrieval = Retrieval::new(&solver, cost, models, Score::TransportCost);
        let so_far = retrieval.expect("balanced").predict_so_far(&test, &context);
        so_far.expect("kept")
    };
    assert!(none.answered().is_empty() && none.answer().solver().is_empty());
}
