//! The learned convolution: its gradient against finite differences, and what it gains.

use std::sync::Arc;
use std::time::Instant;

use ot_apps::{
    Bernoulli, CouplingLoss, Error, Filter, FilterLearner, FilterSettings, Images, ModelSet,
    RetrievalFilterLearner, RetrievalFilterSettings, RetrievalLoss, pixel_cost,
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::{
    CancelToken, Capabilities, Capability, Context, DensePlan, Ground, Outcome, Plan, Potentials,
    Problem, Reg, Solution, Solver, Termination,
};
use solver_exact::NetworkSimplex;
use solver_sinkhorn::{Settings, Sinkhorn};
use solver_stabilized::SinkhornStabilized;

use crate::digits::digits;
use crate::refusals::said;
use crate::toy::{Matching, RelaxedOnly};

/// Sinkhorn as it is printed, on dense arrays of positive weights: the entropic solver that no backend crate knows.
struct Printed(f64);

impl Solver for Printed {
    fn name(&self) -> &str {
        "printed"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[Capability::Balanced, Capability::Entropic])
    }

    fn solve_with(
        &self,
        problem: &Problem,
        context: &mut Context,
    ) -> Result<Solution, solver_api::Error> {
        let (started, (n, m)) = (Instant::now(), problem.shape());
        let (a, b) = (problem.a().weights(), problem.b().weights());
        let mut kernel: Vec<f64> = (0..n * m)
            .map(|k| (-problem.cost().entry(k / m, k % m) / self.0).exp())
            .collect();
        let (mut u, mut v) = (vec![1.0; n], vec![1.0; m]);
        for _ in 0..20_000 {
            let mut moved = 0.0_f64;
            for i in 0..n {
                let new = 1.0 / (0..m).map(|j| kernel[i * m + j] * v[j] * b[j]).sum::<f64>();
                moved = moved.max((new / u[i] - 1.0).abs());
                u[i] = new;
            }
            for j in 0..m {
                v[j] = 1.0 / (0..n).map(|i| kernel[i * m + j] * u[i] * a[i]).sum::<f64>();
            }
            if moved < 1e-14 {
                break;
            }
        }
        for (k, p) in kernel.iter_mut().enumerate() {
            *p *= u[k / m] * a[k / m] * v[k % m] * b[k % m];
        }
        let log = |w: Vec<f64>| w.into_iter().map(|w| self.0 * w.ln()).collect::<Vec<_>>();
        let outcome = Outcome {
            plan: Plan::from(DensePlan::new(n, m, kernel)?),
            potentials: Potentials::new(log(u), log(v)),
            reg: self.0,
            termination: Termination::Converged,
            iterations: None,
            history: Vec::new(),
            certificate: None,
        };
        Ok(Solution::assemble(
            self.name(),
            problem,
            outcome,
            started,
            context,
        ))
    }
}

/// Every backend with an entropic plan, and the test's own.
fn solvers(reg: f64, tol: f64) -> Vec<Box<dyn Solver>> {
    let plain = Settings {
        tol: Some(tol),
        ..Settings::with_reg(Reg::Absolute(reg))
    };
    let stabilized = solver_stabilized::Settings {
        tol: Some(tol),
        ..solver_stabilized::Settings::with_reg(Reg::Absolute(reg))
    };
    vec![
        Box::new(Sinkhorn::new(plain).expect("valid")),
        Box::new(SinkhornStabilized::new(stabilized).expect("valid")),
        Box::new(Printed(reg)),
    ]
}

fn random(count: usize, seed: u64) -> Images {
    let mut rng = Pcg64::seed_from_u64(seed);
    let pixels: Vec<f64> = (0..count * 20).map(|_| rng.random::<f64>()).collect();
    Images::new("images", (5, 4), pixels).expect("valid")
}

const X: [i64; 5] = [0, 0, 1, 1, 2];
const Y: [i64; 6] = [0, 1, 1, 2, 2, 0];

fn loss<'a>(solver: &'a dyn Solver, ground: &Ground) -> CouplingLoss<'a> {
    let (x, y) = ((random(5, 1), &X[..]), (random(6, 2), &Y[..]));
    CouplingLoss::new(solver, ground.clone(), x, y).expect("labels")
}

#[test]
fn gradients_are_those_of_finite_differences_by_every_backend() {
    let weights = [0.1, -0.2, 0.3, 0.05, 0.9, 0.2, -0.1, 0.15, 0.4];
    let filter = Filter::new(3, weights).expect("valid");
    for solver in solvers(0.1, 1e-12) {
        for ground in [Ground::Euclidean, Ground::SqEuclidean, Ground::Log1p] {
            let loss = loss(solver.as_ref(), &ground);
            let name = format!("{}, {ground}", solver.name());
            let (value, gradient) = loss
                .gradient(&filter, &mut Context::default())
                .expect(&name);
            let at = |k: usize, t: f64| {
                let mut moved = weights;
                moved[k] += t;
                let moved = Filter::new(3, moved).expect("valid");
                loss.value(&moved, &mut Context::default()).expect(&name)
            };
            assert!((value - at(0, 0.0)).abs() < 1e-12 && value > 0.0 && value < 1.0);
            let size = gradient.iter().fold(0.0, |most: f64, g| most.max(g.abs()));
            for (k, found) in gradient.iter().enumerate() {
                // Central differences of fourth order.
                let h = 1e-3;
                let pair = |h: f64| (at(k, h) - at(k, -h)) / (2.0 * h);
                let wanted = (4.0 * pair(h) - pair(2.0 * h)) / 3.0;
                assert!(
                    (found - wanted).abs() < 1e-6 * size,
                    "{name}: f[{k}] {found} for {wanted}"
                );
            }
            // A filter of another size is the same for a ground cost that only scales.
            if !matches!(ground, Ground::Log1p) {
                let along: f64 = gradient.iter().zip(weights).map(|(g, w)| g * w).sum();
                assert!(along.abs() < 1e-9 * size, "{name}: {along}");
                let larger = Filter::new(3, weights.map(|w| 7.0 * w)).expect("valid");
                let same = loss.value(&larger, &mut Context::default()).expect(&name);
                assert!((same - value).abs() < 1e-10, "{name}: {same} and {value}");
            }
        }
    }
}

#[test]
fn the_mass_of_an_exact_plan_is_a_value_too() {
    // Representatives that are the samples: all mass stays with its label.
    let images = random(4, 9);
    let labels = [3, 3, 4, 4];
    for solver in [&NetworkSimplex::default() as &dyn Solver, &Matching] {
        let (x, y) = ((images.clone(), &labels[..]), (images.clone(), &labels[..]));
        let loss = CouplingLoss::new(solver, Ground::Euclidean, x, y).expect("labels");
        let identity = Filter::identity(3).expect("odd");
        let value = loss
            .value(&identity, &mut Context::default())
            .expect("solved");
        assert!((value - 1.0).abs() < 1e-12, "{}: {value}", solver.name());
        assert_eq!(
            said(loss.gradient(&identity, &mut Context::default())),
            format!(
                "`{}` can't solve this problem: it lacks `entropic`",
                solver.name()
            )
        );
    }
}

#[test]
fn a_learned_filter_beats_the_identity_on_digits_that_it_has_not_seen() {
    let (train, labels) = digits("train");
    let (test, expected) = digits("t10k");
    let pick = |images: &Images, labels: &[i64], from: usize| {
        let places: Vec<usize> = (from..from + 80).collect();
        let labels: Vec<i64> = places.iter().map(|&i| labels[i]).collect();
        (images.select(&places), labels)
    };
    let (x, y) = (pick(&test, &expected, 0), pick(&train, &labels, 0));
    let settings = FilterSettings {
        steps: 15,
        ..FilterSettings::default()
    };
    for solver in &solvers(1.0 / 30.0, 1e-6)[..2] {
        let learner = FilterLearner::new(solver.as_ref(), settings.clone()).expect("entropic");
        let of = |threads: usize| {
            let mut context = Context::default().with_threads(threads).expect("a pool");
            learner
                .fit(&train, &labels, 5, &mut context)
                .expect("solved")
        };
        let learned = of(1);
        assert_eq!(learned.history().len(), 15);
        assert_eq!(learned, of(2), "threads change bits");
        let loss = CouplingLoss::new(
            solver.as_ref(),
            Ground::Euclidean,
            (x.0.clone(), &x.1),
            (y.0.clone(), &y.1),
        );
        let loss = loss.expect("labels");
        let value = |filter: &Filter| loss.value(filter, &mut Context::default()).expect("solved");
        let (before, after) = (
            value(&Filter::identity(3).expect("odd")),
            value(learned.filter()),
        );
        let name = solver.name();
        assert!(after > before + 0.02, "{name}: {after} after {before}");
    }
}

/// Queries and one model a class, no pixel of which is 0, so that nothing is on a kink.
fn retrieval_loss<'a>(solver: &'a dyn Solver, models: &ModelSet) -> RetrievalLoss<'a> {
    let cost = pixel_cost((5, 4), &Ground::Log1p).expect("a cost");
    RetrievalLoss::new(solver, cost, 0.1, (random(5, 1), &X), models).expect("labels")
}

#[test]
fn retrieval_gradients_are_those_of_finite_differences_by_every_backend() {
    let theta = [0.1, -0.2, 0.3, 0.05, 0.9, 0.2, -0.1, 0.15, 0.4];
    let models = ModelSet::new(&random(6, 3), &Y).expect("classes");
    let mut all = solvers(0.1, 1e-12);
    all.push(Box::new(NetworkSimplex::default()));
    for solver in all {
        let (loss, context) = (retrieval_loss(solver.as_ref(), &models), Context::default());
        let at = |k: usize, t: f64| {
            let mut moved = Filter::softmax(3, &theta)
                .expect("valid")
                .weights()
                .to_vec();
            moved[k] += t;
            Filter::new(3, moved).expect("valid")
        };
        let (value, gradient) = loss.gradient(&at(0, 0.0), &context).expect("solved");
        assert!(value > 0.0);
        let size = gradient.iter().fold(0.0, |most: f64, g| most.max(g.abs()));
        for (k, found) in gradient.iter().enumerate() {
            // Steps within one basis of the exact solver, where the cost is linear in the weights.
            let h = 1e-5;
            let value = |t: f64| loss.value(&at(k, t), &context).expect("solved");
            let wanted = (value(h) - value(-h)) / (2.0 * h);
            let name = solver.name();
            assert!(
                (found - wanted).abs() < 1e-6 * size,
                "{name}: f[{k}] {found} for {wanted}"
            );
        }
    }
}

#[test]
fn a_filter_for_retrieval_lowers_the_loss_on_what_it_has_not_seen() {
    let (train, labels) = digits("train");
    let (test, expected) = digits("t10k");
    let few: Vec<usize> = (0..40).collect();
    let context = Context::default();
    let models = ModelSet::fit(&Bernoulli::default(), &train, &labels, 1, 0, &context);
    let models = models.expect("models").sparsified(0.2).expect("a cutoff");
    let cost = pixel_cost((28, 28), &Ground::Log1p).expect("a cost");
    let solver = NetworkSimplex::default();
    let settings = RetrievalFilterSettings {
        steps: 8,
        draw: 1,
        ..RetrievalFilterSettings::default()
    };
    let learner = RetrievalFilterLearner::new(&solver, Arc::clone(&cost), settings);
    let learner = learner.expect("balanced");
    let of = |threads: usize| {
        let mut context = Context::default().with_threads(threads).expect("a pool");
        let learned = learner.fit(&train, &labels, &models, 2, &mut context);
        learned.expect("solved")
    };
    let learned = of(1);
    assert_eq!(learned, of(2), "threads change bits");
    assert!((learned.filter().weights().iter().sum::<f64>() - 1.0).abs() < 1e-12);
    let queries = (test.select(&few), &expected[..40]);
    let loss = RetrievalLoss::new(&solver, cost, 0.05, queries, &models).expect("labels");
    let value = |filter: &Filter| loss.value(filter, &context).expect("solved");
    // From half of the weight in the middle on.
    let mut start = [1.0 / 18.0; 9];
    start[4] += 0.5;
    let before = value(&Filter::new(3, start).expect("valid"));
    let after = value(learned.filter());
    assert!(after < before - 1e-3, "{after} after {before}");
}

#[test]
fn what_is_wrong_is_said() {
    let solver = &solvers(0.1, 1e-6)[0];
    let solver = solver.as_ref();
    let exact = NetworkSimplex::default();
    let settings = |change: fn(&mut FilterSettings)| {
        let mut settings = FilterSettings::default();
        change(&mut settings);
        said(FilterLearner::new(solver, settings))
    };
    let plain = |solver| said(FilterLearner::new(solver, FilterSettings::default()));
    let learner = FilterLearner::new(solver, FilterSettings::default()).expect("entropic");
    let fit = |labels: &[i64]| said(learner.fit(&random(5, 1), labels, 0, &mut Context::default()));
    let of = |x: (Images, &[i64]), y: (Images, &[i64])| {
        said(CouplingLoss::new(solver, Ground::Euclidean, x, y))
    };
    let models = ModelSet::new(&random(6, 3), &Y).expect("classes");
    let cost = |size| pixel_cost(size, &Ground::Euclidean).expect("a cost");
    let told = |size, temperature: f64, labels: &[i64]| {
        let queries = (random(5, 1), labels);
        said(RetrievalLoss::new(
            solver,
            cost(size),
            temperature,
            queries,
            &models,
        ))
    };
    let negative = Filter::new(3, [1.0, 0.0, 0.0, -0.5, 1.0, 0.0, 0.0, 0.0, 0.0]).expect("valid");
    let by = |solver, change: fn(&mut RetrievalFilterSettings)| {
        let mut settings = RetrievalFilterSettings::default();
        change(&mut settings);
        said(RetrievalFilterLearner::new(solver, cost((5, 4)), settings))
    };
    let alike = Images::new("images", (5, 4), vec![1.0; 100]).expect("valid");
    let alike = CouplingLoss::new(solver, Ground::Euclidean, (alike.clone(), &X), (alike, &X));
    let identity = Filter::identity(3).expect("odd");
    let small = Images::new("images", (2, 2), vec![1.0; 20]).expect("valid");
    insta::assert_snapshot!(
        [
            said(Filter::new(2, [1.0; 4])),
            said(Filter::new(3, [1.0; 4])),
            said(Filter::new(1, [f64::NAN])),
            said(Filter::new(3, [0.0; 9])),
            said(Filter::identity(0)),
            settings(|s| s.side = 4),
            settings(|s| s.steps = 0),
            settings(|s| s.draw = 0),
            settings(|s| s.rate = f64::INFINITY),
            plain(&RelaxedOnly),
            plain(&exact),
            fit(&X[..4]),
            fit(&[1; 5]),
            fit(&X),
            of((random(5, 1), &X), (small, &X)),
            of((random(5, 1), &X), (random(6, 2), &Y[..5])),
            of((random(5, 1), &X), (random(6, 2), &[7, 8, 8, 8, 7, 7])),
            said(
                alike
                    .expect("labels")
                    .value(&identity, &mut Context::default())
            ),
            told((5, 4), 0.0, &X),
            told((5, 4), 1.0, &X[..3]),
            told((5, 4), 1.0, &[0, 1, 2, 9, 9]),
            told((4, 4), 1.0, &X),
            said(retrieval_loss(solver, &models).value(&negative, &Context::default())),
            by(solver, |s| s.temperature = f64::NAN),
            by(solver, |s| s.side = 2),
            by(&RelaxedOnly, |_| ()),
        ]
        .join("\n")
    );
}

#[test]
fn a_token_stops_the_learning() {
    let token = CancelToken::new();
    token.cancel();
    let solver = Printed(0.1);
    let learner = FilterLearner::new(&solver, FilterSettings::default()).expect("entropic");
    let mut context = Context::default().cancelled_by(&token);
    let stopped = learner.fit(&random(4, 1), &[0, 0, 1, 1], 0, &mut context);
    let stopped = stopped.expect_err("stopped");
    let expected = Error::Stopped {
        what: "steps",
        termination: Termination::Cancelled,
        done: 1,
        count: 60,
    };
    assert_eq!(stopped, expected);
}
