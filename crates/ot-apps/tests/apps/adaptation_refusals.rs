//! Domain adaptation: bad input, stops, and threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use ot_apps::adaptation::{
    Adaptation, AdaptationSettings, CostScale, Domain, Jdot, JdotModel, JdotSettings, KnownLabels,
    LaplacianSettings, Mass, Regularizer, Similarity,
};
use solver_api::{
    CancelToken, Capabilities, Context, Error, Problem, Reg, Solution, Solver, Termination,
};
use solver_exact::NetworkSimplex;
use solver_sinkhorn::Sinkhorn;

use crate::refusals::said;
use crate::toy::RelaxedOnly;

fn domain(points: &[f64], dim: usize) -> Domain {
    Domain::new("source", points, dim).expect("points")
}

const X: [f64; 8] = [0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0];

#[test]
fn bad_domains_and_settings_are_told() {
    let solver = NetworkSimplex::default();
    let source = domain(&X, 2);
    let labelled = source.clone().labelled(&[1, 1, 2, 2]).expect("labels");
    let target = Domain::new("target", X, 2).expect("points");
    let plain = AdaptationSettings::default;
    let lasso = AdaptationSettings {
        regularizer: Regularizer::group_lasso(0.1),
        ..plain()
    };
    let fit = |settings: &AdaptationSettings, source: &Domain, target: &Domain| {
        let adaptation = Adaptation::new(&solver, settings.clone()).expect("valid");
        said(adaptation.fit(source, target, &mut Context::default()))
    };
    let set = |settings: AdaptationSettings| said(Adaptation::new(&solver, settings));
    let regularized = |regularizer| {
        set(AdaptationSettings {
            regularizer,
            ..plain()
        })
    };
    let proportions = |of: &[(i64, f64)]| {
        let of: BTreeMap<_, _> = of.iter().copied().collect();
        said(labelled.clone().proportioned(&of))
    };
    let one = source.clone().labelled(&[3; 4]).expect("labels");
    let partly = source
        .clone()
        .partly_labelled(&[Some(1), None, None, Some(2)]);
    let partly = partly.expect("labels");
    let crowded = target.clone().labelled(&[1; 4]).expect("labels");
    insta::assert_snapshot!(
        [
            said(Domain::new("source", [], 2)),
            said(Domain::new("source", [1.0, 2.0, 3.0], 2)),
            said(Domain::new("source", [1.0, f64::NAN], 2)),
            said(Domain::new("source", [1.0], 0)),
            said(source.clone().labelled(&[1, 2])),
            said(source.clone().weighted(&[0.5, 0.5])),
            said(source.clone().weighted(&[0.5, 0.5, 0.5, 0.5])),
            said(source.clone().weighted(&[0.5, -0.5, 0.5, 0.5])),
            proportions(&[(1, 0.5), (2, 0.4), (9, 0.1)]),
            proportions(&[(1, 1.0)]),
            proportions(&[(1, 0.3), (2, 0.3)]),
            fit(&plain(), &source, &domain(&X, 4)),
            fit(&lasso, &source, &target),
            fit(&lasso, &partly, &target),
            fit(&lasso, &one, &target),
            fit(&plain(), &labelled, &crowded),
            regularized(Regularizer::group_lasso(-1.0)),
            regularized(Regularizer::group_lasso(f64::NAN)),
            regularized(Regularizer::GroupLasso {
                weight: 1.0,
                power: 1.0,
                floor: 1e-3,
            }),
            regularized(Regularizer::GroupLasso {
                weight: 1.0,
                power: 0.5,
                floor: 0.0,
            }),
            regularized(Regularizer::Laplacian(LaplacianSettings {
                source_share: 1.5,
                ..LaplacianSettings::default()
            })),
            regularized(Regularizer::Laplacian(LaplacianSettings {
                similarity: Similarity::Neighbours(0),
                ..LaplacianSettings::default()
            })),
            set(AdaptationSettings {
                rounds: 0,
                ..plain()
            }),
            set(AdaptationSettings {
                tol: 1.0,
                ..plain()
            }),
            set(AdaptationSettings {
                known_labels: KnownLabels::Penalize(f64::NAN),
                ..plain()
            }),
            said(CostScale::parse("mean")),
            said(Adaptation::new(&RelaxedOnly, plain())),
            set(AdaptationSettings {
                mass: Mass::Relaxed {
                    gamma_a: 1.0,
                    gamma_b: 1.0,
                },
                ..plain()
            }),
            said(Adaptation::new(
                &RelaxedOnly,
                AdaptationSettings {
                    regularizer: Regularizer::L1L2 { weight: 0.1 },
                    mass: Mass::Relaxed {
                        gamma_a: 1.0,
                        gamma_b: 1.0,
                    },
                    ..plain()
                }
            )),
            said(Jdot::new(&RelaxedOnly, JdotSettings::default())),
            said(Jdot::new(
                &solver,
                JdotSettings {
                    model: JdotModel::Ridge {
                        features: ot_apps::adaptation::Features::Gaussian { width: 0.0 },
                        ridge: 1.0,
                    },
                    ..JdotSettings::default()
                }
            )),
            said(Jdot::new(
                &solver,
                JdotSettings {
                    alpha: -1.0,
                    ..JdotSettings::default()
                }
            )),
        ]
        .join("\n")
    );
}

#[test]
fn a_relative_reg_under_a_regularizer_is_refused() {
    let source = domain(&X, 2).labelled(&[1, 1, 2, 2]).expect("labels");
    let target = Domain::new("target", X.map(|v| 1.5 * v - 0.3), 2).expect("points");
    let solver = Sinkhorn::new(solver_sinkhorn::Settings::with_reg(Reg::Relative(0.05)));
    let solver = solver.expect("valid");
    let settings = AdaptationSettings {
        regularizer: Regularizer::group_lasso(0.5),
        ..AdaptationSettings::default()
    };
    let adaptation = Adaptation::new(&solver, settings).expect("valid");
    let refused = said(adaptation.fit(&source, &target, &mut Context::default()));
    assert!(
        refused.starts_with("`reg` = ") && refused.ends_with("the solver's `reg` must be absolute"),
        "{refused}"
    );
}

#[test]
fn a_stop_is_told_and_threads_change_nothing() {
    let x: Vec<f64> = (0..120).map(|k| (1.7 * f64::from(k)).sin()).collect();
    let y: Vec<f64> = (0..90).map(|k| 0.3 + (2.9 * f64::from(k)).cos()).collect();
    let labels: Vec<i64> = (0..40).map(|k| k % 3).collect();
    let source = Domain::new("source", x, 3).expect("points");
    let source = source.labelled(&labels).expect("labels");
    let target = Domain::new("target", y, 3).expect("points");
    let solver = Sinkhorn::new(solver_sinkhorn::Settings::with_reg(Reg::Absolute(0.05)));
    let solver = solver.expect("valid");
    for regularizer in [
        Regularizer::group_lasso(0.1),
        Regularizer::L1L2 { weight: 0.1 },
        Regularizer::Laplacian(LaplacianSettings::default()),
    ] {
        let settings = AdaptationSettings {
            regularizer: regularizer.clone(),
            ..AdaptationSettings::default()
        };
        let adaptation = Adaptation::new(&solver, settings).expect("valid");
        let with = |threads: usize| {
            let mut context = Context::default().with_threads(threads).expect("a pool");
            let fitted = adaptation.fit(&source, &target, &mut context);
            fitted.expect("solved").adapted().to_vec()
        };
        assert_eq!(with(1), with(3), "{regularizer:?}");
        let token = CancelToken::new();
        token.cancel();
        let mut context = Context::default().cancelled_by(&token);
        let stopped = said(adaptation.fit(&source, &target, &mut context));
        assert!(stopped.contains("cancelled"), "{stopped}");
        // The observer hears of rounds, and may stop them.
        let mut context = Context::default().observed(|p: &solver_api::Progress| {
            assert_eq!(p.tol, 1e-5);
            std::ops::ControlFlow::Break(())
        });
        let stopped = said(adaptation.fit(&source, &target, &mut context));
        assert!(
            stopped.starts_with("stopped by cancelled after "),
            "{stopped}"
        );
    }
}

/// As the network simplex, but every solve after the first says that it fell short.
struct Tired(NetworkSimplex, AtomicU64);

impl Solver for Tired {
    fn name(&self) -> &str {
        "tired"
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        let mut solution = self.0.solve_with(problem, context)?;
        if self.1.fetch_add(1, Ordering::Relaxed) > 0 {
            solution.convergence.termination = Termination::IterationLimit;
        }
        Ok(solution)
    }
}

#[test]
fn rounds_whose_solves_fell_short_are_no_convergence() {
    let x: Vec<f64> = (0..60).map(|k| (1.7 * f64::from(k)).sin()).collect();
    let y: Vec<f64> = (0..60).map(|k| 0.3 + (2.9 * f64::from(k)).cos()).collect();
    let labels: Vec<i64> = (0..30).map(|k| k % 3).collect();
    let source = Domain::new("source", x, 2).expect("points");
    let source = source.labelled(&labels).expect("labels");
    let target = Domain::new("target", y, 2).expect("points");
    let converged = |solver: &dyn Solver| {
        let settings = AdaptationSettings {
            regularizer: Regularizer::Laplacian(LaplacianSettings::default()),
            ..AdaptationSettings::default()
        };
        let adaptation = Adaptation::new(solver, settings).expect("valid");
        let fitted = adaptation.fit(&source, &target, &mut Context::default());
        fitted.expect("solved").convergence().converged()
    };
    assert!(converged(&NetworkSimplex::default()));
    assert!(!converged(&Tired(
        NetworkSimplex::default(),
        AtomicU64::new(0)
    )));
}
