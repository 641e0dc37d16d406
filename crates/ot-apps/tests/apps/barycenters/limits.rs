//! Threads, deadlines, observers, and what is refused.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ot_apps::barycenters::Start;
use ot_apps::{
    Bregman, BregmanDomain, BregmanSettings, Cloud, FixedSupport, FixedSupportSettings,
    FreeSupport, FreeSupportSettings, IpotBarycenter, IpotBarycenterSettings, UnbalancedBarycenter,
    UnbalancedBarycenterSettings, pixel_cost,
};
use solver_api::{
    Barycenters, CancelToken, Context, Ground, Measure, Progress, Reg, SparseCost, Termination,
};
use solver_exact::NetworkSimplex;
use solver_stabilized::{Settings, SinkhornStabilized};

use super::{bregman, bump, grid, methods};
use crate::toy::RelaxedOnly;

fn said<T>(result: Result<T, impl ToString>) -> String {
    match result {
        Ok(_) => "nothing is wrong".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn threads_change_no_bit() {
    let size = (60, 50);
    let measures: Vec<Measure> = (0..5)
        .map(|k| {
            bump(
                size,
                [20.0 + k as f64, 30.0 - k as f64],
                [20.0, 3.0, 9.0 + k as f64],
            )
        })
        .collect();
    let cost = grid(&[size.0, size.1]);
    for (name, reg, domain, debiased) in [
        ("scalings", 40.0, BregmanDomain::Scalings, true),
        ("logarithms", 10.0, BregmanDomain::Logarithms, false),
    ] {
        let method = bregman(reg, 1e-3, debiased, domain);
        let ask = |threads: usize| {
            let mut context = Context::default().with_threads(threads).expect("a pool");
            let answer = method.barycenter(&cost, &measures, &[1.0; 5], &mut context);
            answer.expect("an answer")
        };
        let (one, three) = (ask(1), ask(3));
        assert_eq!(one.weights, three.weights, "{name}");
        assert_eq!(one.certificate, three.certificate, "{name}");
    }
}

#[test]
fn limits_end_a_run_with_what_it_has() {
    let size = (12, 12);
    let measures = [
        bump(size, [3.0, 4.0], [2.0, 0.0, 1.0]),
        bump(size, [8.0, 7.0], [1.0, 0.0, 2.0]),
    ];
    let cost = grid(&[size.0, size.1]);
    let exact = NetworkSimplex::default();
    let settings = FixedSupportSettings {
        tol: 1e-12,
        max_iter: 100,
    };
    let descent = FixedSupport::new(&exact, settings).expect("balanced");
    let mut all = methods();
    all.push(("descent", Box::new(descent), 0.0));
    for (name, method, _) in all {
        let rounds = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&rounds);
        let observer = move |progress: &Progress| {
            seen.store(progress.iteration, Ordering::Relaxed);
            match progress.iteration {
                0..3 => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            }
        };
        let mut context = Context::default().observed(observer);
        let answer = method.barycenter(&cost, &measures, &[1.0, 1.0], &mut context);
        let answer = answer.expect("an answer");
        assert_eq!(
            answer.convergence.termination,
            Termination::Cancelled,
            "{name}"
        );
        assert_eq!(answer.convergence.iterations, Some(3), "{name}");
        assert_eq!(rounds.load(Ordering::Relaxed), 3, "{name}");
        assert!((answer.weights.mass() - 1.0).abs() < 1e-14, "{name}");

        let mut context = Context::default().time_limit(Duration::ZERO);
        let answer = method.barycenter(&cost, &measures, &[1.0, 1.0], &mut context);
        if name == "descent" {
            assert!(said(answer).contains("stopped by"), "{name}");
        } else {
            let answer = answer.expect("an answer");
            assert_eq!(
                answer.convergence.termination,
                Termination::TimeLimit,
                "{name}"
            );
        }
    }
    let token = CancelToken::new();
    token.cancel();
    let context = Context::default().cancelled_by(&token);
    let free = FreeSupport::new(&exact, FreeSupportSettings::new(2)).expect("balanced");
    let cloud = Cloud::uniform("cloud", vec![0.0, 1.0, 2.0], 1).expect("points");
    let stopped = free.fit(&[cloud], &[1.0], 0, &context);
    // One round may have ended before anybody asked.
    if let Ok(found) = stopped {
        assert_eq!(found.convergence.termination, Termination::Cancelled);
    }
}

#[test]
fn what_is_wrong_is_said() {
    let cost = pixel_cost((3, 3), &Ground::SqEuclidean).expect("a cost");
    let p = Measure::uniform(9).expect("weights");
    let ask = |method: &dyn Barycenters, measures: &[Measure], lambda: &[f64]| {
        said(method.barycenter(&cost, measures, lambda, &mut Context::default()))
    };
    let logs = Bregman::new(BregmanSettings {
        domain: BregmanDomain::Logarithms,
        ..BregmanSettings::default()
    });
    let logs = logs.expect("valid");
    let ipot = IpotBarycenter::default();
    let relaxed = UnbalancedBarycenter::default();
    let exact = NetworkSimplex::default();
    let descent = FixedSupport::new(&exact, FixedSupportSettings::default()).expect("balanced");
    let sparse: Arc<dyn solver_api::Cost> =
        Arc::new(SparseCost::from_triples(9, 9, vec![(0, 0, 1.0), (1, 1, 2.0)]).expect("a cost"));
    let debiased = bregman(1.0, 1e-3, true, BregmanDomain::Auto);
    let wide = pixel_cost((1, 2), &Ground::Euclidean).expect("a cost");
    let rectangle: Arc<dyn solver_api::Cost> =
        Arc::new(solver_api::DenseCost::new(2, 1, vec![0.0, 1.0]).expect("a cost"));
    let ipot_with = |change: fn(&mut IpotBarycenterSettings)| {
        let mut settings = IpotBarycenterSettings::default();
        change(&mut settings);
        said(IpotBarycenter::new(settings))
    };
    let relaxed_with = |change: fn(&mut UnbalancedBarycenterSettings)| {
        let mut settings = UnbalancedBarycenterSettings::default();
        change(&mut settings);
        said(UnbalancedBarycenter::new(settings))
    };
    let free_with = |change: fn(&mut FreeSupportSettings)| {
        let mut settings = FreeSupportSettings::new(2);
        change(&mut settings);
        said(FreeSupport::new(&exact, settings))
    };
    let free = FreeSupport::new(&exact, FreeSupportSettings::new(2)).expect("balanced");
    let line = Cloud::uniform("cloud", vec![0.0, 1.0], 1).expect("points");
    let plane = Cloud::uniform("cloud", vec![0.0, 1.0], 2).expect("points");
    let fit =
        |clouds: &[Cloud], lambda: &[f64]| said(free.fit(clouds, lambda, 0, &Context::default()));
    let from = |points: &[f64], weights: Option<Measure>| {
        let start = Start {
            points: points.to_vec(),
            weights,
        };
        said(free.fit_from(
            std::slice::from_ref(&plane),
            &[1.0],
            &start,
            &Context::default(),
        ))
    };
    let two = Measure::uniform(2).expect("weights");
    insta::assert_snapshot!(
        [
            ask(&logs, &[], &[]),
            ask(&logs, std::slice::from_ref(&p), &[0.0]),
            ask(&ipot, std::slice::from_ref(&p), &[1.0, 2.0]),
            ask(&ipot, &[p.clone(), p.clone()], &[1.0, f64::NAN]),
            ask(&descent, &[Measure::uniform(4).expect("weights")], &[1.0]),
            said(logs.barycenter(
                &sparse,
                std::slice::from_ref(&p),
                &[1.0],
                &mut Context::default()
            )),
            said(relaxed.barycenter(
                &sparse,
                std::slice::from_ref(&p),
                &[1.0],
                &mut Context::default()
            )),
            said(relaxed.barycenter(
                &wide,
                std::slice::from_ref(&p),
                &[1.0],
                &mut Context::default()
            )),
            said(debiased.barycenter(
                &rectangle,
                std::slice::from_ref(&two),
                &[1.0],
                &mut Context::default()
            )),
            ipot_with(|s| s.beta = Reg::Absolute(0.0)),
            ipot_with(|s| s.inner = 0),
            ipot_with(|s| s.tol = f64::INFINITY),
            ipot_with(|s| s.max_iter = 0),
            relaxed_with(|s| s.gamma = 0.0),
            relaxed_with(|s| s.gamma = f64::INFINITY),
            relaxed_with(|s| s.reg = Reg::Relative(f64::NAN)),
            said(FixedSupport::new(
                &RelaxedOnly,
                FixedSupportSettings::default()
            )),
            said(FreeSupport::new(&RelaxedOnly, FreeSupportSettings::new(3))),
            free_with(|s| s.atoms = 0),
            free_with(|s| s.atoms = 2_000_000),
            free_with(|s| s.starts = 0),
            free_with(|s| s.tol = -1.0),
            said(Cloud::uniform("cloud", vec![0.0, 1.0, 2.0], 2)),
            said(Cloud::uniform("cloud", Vec::new(), 2)),
            said(Cloud::uniform("cloud", vec![0.0, 1.0, 2.0, f64::NAN], 2)),
            said(Cloud::new("cloud", vec![0.0, 1.0, 2.0], 1, two.clone())),
            fit(&[], &[]),
            fit(std::slice::from_ref(&line), &[]),
            fit(&[line.clone(), plane.clone()], &[1.0, 1.0]),
            from(&[0.0, 1.0, 2.0], None),
            from(&[0.0, f64::INFINITY], None),
            from(&[0.0, 1.0], Some(two.clone())),
        ]
        .join("\n")
    );
}

/// Far from the end of a small ε all weights of the mean are below the least number: that is no error.
#[test]
fn a_mean_that_leaves_the_range_of_numbers_on_its_way_is_an_answer() {
    let cost = grid(&[80]);
    let at = |places: &[usize]| {
        let mut weights = vec![0.0; 80];
        places.iter().for_each(|&i| weights[i] = 1.0);
        Measure::new(weights).expect("weights").normalized()
    };
    let measures = [at(&[2, 5]), at(&[74, 79])];
    let small = |max_iter: u64| {
        let settings = BregmanSettings {
            reg: Reg::Absolute(1e-3),
            max_iter,
            ..BregmanSettings::default()
        };
        let bregman = Bregman::new(settings).expect("valid");
        bregman.barycenter(&cost, &measures, &[1.0, 1.0], &mut Context::default())
    };
    let first = small(1).expect("an answer");
    assert!(!first.convergence.converged());
    assert!((first.weights.mass() - 1.0).abs() < 1e-12);
    let settings = IpotBarycenterSettings {
        beta: Reg::Absolute(1e-2),
        max_iter: 1,
        ..IpotBarycenterSettings::default()
    };
    let ipot = IpotBarycenter::new(settings).expect("valid");
    let first = ipot.barycenter(&cost, &measures, &[1.0, 1.0], &mut Context::default());
    assert!((first.expect("an answer").weights.mass() - 1.0).abs() < 1e-12);
}

/// With an ε beyond reason potentials are no numbers to trust, and a bracket upside down is no convergence.
#[test]
fn a_bracket_that_is_upside_down_is_no_convergence() {
    let solver = SinkhornStabilized::new(Settings::with_reg(Reg::Absolute(1e300))).expect("valid");
    let descent = FixedSupport::new(&solver, FixedSupportSettings::default()).expect("balanced");
    let measures = [
        bump((6, 6), [1.0, 1.0], [1.0, 0.0, 1.0]),
        bump((6, 6), [4.0, 3.0], [1.0, 0.0, 1.0]),
    ];
    let found = descent.barycenter(
        &grid(&[6, 6]),
        &measures,
        &[1.0, 1.0],
        &mut Context::default(),
    );
    let within = found.is_ok_and(|found| {
        let bracket = found.certificate.expect("a bracket");
        found.convergence.converged() && bracket.lower > bracket.upper
    });
    assert!(!within);
}

#[test]
fn atoms_start_at_places_of_their_own() {
    let points: Vec<f64> = (0..40).map(f64::from).collect();
    let cloud = Cloud::uniform("cloud", points, 1).expect("points");
    let settings = FreeSupportSettings {
        max_iter: Some(1),
        ..FreeSupportSettings::new(30)
    };
    let solver = SinkhornStabilized::new(Settings::with_reg(Reg::Absolute(0.1))).expect("valid");
    let free = FreeSupport::new(&solver, settings).expect("balanced");
    let found = free
        .fit(&[cloud], &[1.0], 3, &Context::default())
        .expect("an answer");
    let mut atoms = found.cloud.points().to_vec();
    atoms.sort_by(f64::total_cmp);
    assert!(
        atoms.windows(2).all(|pair| pair[1] - pair[0] > 0.1),
        "{atoms:?}"
    );
}
