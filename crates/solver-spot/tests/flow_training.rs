//! Trainings of flows, on small networks.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use ot_nn::{Checkpoint, Network, Spectral};
use rand_pcg::Pcg64;
use solver_api::{CancelToken, Context, Progress, Termination};
use solver_spot::flow::{
    DensityGrid, DormandPrince, EntropicGaussians, Latent, MarginalPenalty, l1, spaced,
};
use solver_spot::{
    Error, Flow, FlowSettings, FlowSpot, Gaussian, Sampler, SqEuclidean, perceptron,
};

fn samplers() -> Vec<Arc<dyn Sampler>> {
    vec![
        Arc::new(Gaussian::new(vec![0.0; 1]).unwrap()),
        Arc::new(Gaussian::with_factor(vec![2.0], vec![0.5_f64.sqrt()]).unwrap()),
    ]
}

fn quick() -> FlowSettings {
    FlowSettings {
        steps: 400,
        batch: 128,
        entropy_batch: 128,
        eta: 60.0,
        pool: 20_000,
        flow_steps: 3,
        rate: 1e-2,
        last_rate: 1e-3,
        averaging: 0.95,
        ..FlowSettings::default()
    }
}

fn training(settings: FlowSettings) -> FlowSpot {
    let flow = Flow::perceptron(&[1, 1], 16, 2, 0).unwrap();
    FlowSpot::new(
        flow,
        samplers(),
        Arc::new(SqEuclidean),
        MarginalPenalty::Energy,
        settings,
    )
    .unwrap()
}

fn critics() -> MarginalPenalty {
    let layers: Vec<_> = perceptron(1, 16, 2, 1, 0.2)
        .into_iter()
        .map(|l| l.normalized(Spectral::default()))
        .collect();
    let all = (0..2).map(|k| Network::new(&layers, k).unwrap());
    MarginalPenalty::Critics(all.collect())
}

#[test]
fn two_gaussians_come_near_to_the_closed_form() {
    let mut training = training(quick());
    let (last, early) = training.train(&Context::default()).unwrap();
    assert!(early.is_none() && last.unwrap().step == 400);
    let (x, y) = (spaced(-5.0, 5.0, 60), spaced(-2.0, 6.0, 60));
    let by = DormandPrince {
        rtol: 1e-5,
        atol: 1e-5,
        ..DormandPrince::default()
    };
    let grid = DensityGrid::of(training.mean(), &x, &y, &by).unwrap();
    let law = EntropicGaussians::new([0.0, 2.0], [1.0, 0.5_f64.sqrt()], 0.5).unwrap();
    let truth = DensityGrid::from_fn(&x, &y, |x, y| law.density(x, y)).unwrap();
    let [p, q] = [grid.marginals(), truth.marginals()];
    let off = [l1(&x, &p[0], &q[0]), l1(&y, &p[1], &q[1])];
    assert!(off[0] < 0.1 && off[1] < 0.1, "marginals off by {off:?}");
    let (r, expected) = (grid.correlation(), law.correlation());
    assert!(
        (r - expected).abs() < 0.08,
        "correlation {r}, not {expected}"
    );
    let joint = grid.l1(&truth).unwrap();
    assert!(joint < 0.3, "joint off by {joint}");
}

/// More entropy, less correlation: the sign of ε.
#[test]
fn entropy_spreads_the_plan() {
    let correlation = |reg: f64| {
        let mut training = training(FlowSettings {
            reg,
            steps: 200,
            eta: 30.0,
            ..quick()
        });
        training.train(&Context::default()).unwrap();
        let (x, y) = (spaced(-5.0, 5.0, 40), spaced(-2.0, 6.0, 40));
        let by = DormandPrince {
            rtol: 1e-4,
            atol: 1e-4,
            ..DormandPrince::default()
        };
        DensityGrid::of(training.mean(), &x, &y, &by)
            .unwrap()
            .correlation()
    };
    let (little, much) = (correlation(0.5), correlation(4.0));
    // Closed forms: 0.84 and 0.32.
    assert!(little > 0.7 && much < 0.5 && much > 0.1, "{little} {much}");
}

#[test]
fn the_source_s_critics_pull_the_marginals_in() {
    let settings = FlowSettings {
        latent: Latent::Independent,
        steps: 250,
        eta: 60.0,
        first_eta: 10.0,
        ..quick()
    };
    let flow = Flow::perceptron(&[1, 1], 16, 2, 0).unwrap();
    let cost = Arc::new(SqEuclidean);
    let mut training = FlowSpot::new(flow, samplers(), cost, critics(), settings).unwrap();
    let by = DormandPrince::default();
    let mean = |flow: &Flow| {
        let rows = flow.sample(2000, 1, &by).unwrap().rows;
        rows.chunks_exact(2).map(|r| r[1]).sum::<f64>() / 2000.0
    };
    let before = mean(training.mean());
    training.train(&Context::default()).unwrap();
    let after = mean(training.mean());
    assert!(
        before.abs() < 0.5 && (after - 2.0).abs() < 0.3,
        "{before} {after}"
    );
}

#[test]
fn same_seed_same_bits_and_a_checkpoint_goes_on() {
    for penalty in [MarginalPenalty::Energy, critics()] {
        let settings = FlowSettings {
            steps: 12,
            ..quick()
        };
        let make = || {
            let flow = Flow::perceptron(&[1, 1], 8, 2, 0).unwrap();
            let cost = Arc::new(SqEuclidean);
            FlowSpot::new(flow, samplers(), cost, penalty.clone(), settings).unwrap()
        };
        let (mut whole, mut first, mut rest) = (make(), make(), make());
        whole.train(&Context::default()).unwrap();
        for _ in 0..5 {
            first.step().unwrap();
        }
        let mut saved = Checkpoint::new();
        first.save(&mut saved).unwrap();
        rest.restore(&saved).unwrap();
        assert_eq!(rest.steps(), 5);
        rest.train(&Context::default()).unwrap();
        assert_eq!(rest.last(), whole.last());
        assert_eq!(rest.mean(), whole.mean());
        // What was set up in another way says so, and goes on as it was.
        let other = FlowSettings {
            seed: settings.seed + 1,
            ..settings
        };
        let flow = || Flow::perceptron(&[1, 1], 8, 2, 0).unwrap();
        let cost = || Arc::new(SqEuclidean);
        let another = match penalty {
            MarginalPenalty::Energy => critics(),
            _ => MarginalPenalty::Energy,
        };
        for (penalty, settings) in [(penalty, other), (another, settings)] {
            let made = FlowSpot::new(flow(), samplers(), cost(), penalty, settings);
            let mut made = made.unwrap();
            let refused = made.restore(&saved).unwrap_err().to_string();
            assert!(
                refused.starts_with("`checkpoint`: a training by"),
                "{refused}"
            );
            assert_eq!(made.steps(), 0);
        }
    }
}

#[test]
fn limits_and_observers_are_heard() {
    let cancelled = CancelToken::new();
    cancelled.cancel();
    let context = Context::default().cancelled_by(&cancelled);
    let (last, early) = training(quick()).train(&context).unwrap();
    assert_eq!((last, early), (None, Some(Termination::Cancelled)));
    let context = Context::default().time_limit(Duration::ZERO);
    let (_, early) = training(quick()).train(&context).unwrap();
    assert_eq!(early, Some(Termination::TimeLimit));
    let context = Context::default().observed(|p: &Progress| {
        if p.iteration >= 20 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let mut stopped = training(quick());
    let (last, early) = stopped.train(&context).unwrap();
    assert_eq!(
        (last.unwrap().step, early),
        (20, Some(Termination::Cancelled))
    );
}

/// Numbers that become none.
struct Broken(usize);

impl Sampler for Broken {
    fn dim(&self) -> usize {
        1
    }

    fn draw(&self, rng: &mut Pcg64, rows: &mut [f64]) {
        Gaussian::new(vec![0.0; 1]).unwrap().draw(rng, rows);
        rows[self.0] = f64::NAN;
    }
}

#[test]
fn divergence_names_the_step() {
    // A sampler that draws what is no number.
    let mut all = samplers();
    all[1] = Arc::new(Broken(3));
    let flow: Flow = Flow::perceptron(&[1, 1], 8, 2, 0).unwrap();
    let cost = Arc::new(SqEuclidean);
    let penalty = MarginalPenalty::Energy;
    assert_eq!(
        FlowSpot::new(flow, all, cost, penalty, quick())
            .err()
            .unwrap(),
        Error::Diverged {
            step: 1,
            what: "sampler 1 draws what is not finite".to_owned()
        }
    );
    // Penalties beyond all numbers.
    let settings = FlowSettings {
        eta: 1e308,
        first_eta: 1e308,
        ..quick()
    };
    let mut wild = training(settings);
    let error = wild.train(&Context::default()).unwrap_err();
    match &error {
        Error::Diverged { step, .. } => assert_eq!(*step, 1, "{error}"),
        other => panic!("{other}"),
    }
    // The weights stayed those of the step before: numbers.
    assert!(
        wild.last()
            .network()
            .parameters()
            .iter()
            .all(|w| w.is_finite())
    );
}

#[test]
fn planes_are_trained_too() {
    use solver_spot::JointCost;
    // Two planes: pairs over all samples in the energy distance.
    let flow: Flow = Flow::perceptron(&[2, 2], 16, 2, 0).unwrap();
    let samplers: Vec<Arc<dyn Sampler>> = vec![
        Arc::new(Gaussian::new(vec![0.0; 2]).unwrap()),
        Arc::new(Gaussian::new(vec![1.0, -1.0]).unwrap()),
    ];
    let cost: Arc<dyn JointCost<f64>> = Arc::new(SqEuclidean);
    let settings = FlowSettings {
        steps: 120,
        batch: 64,
        entropy_batch: 64,
        real: 2,
        flow_steps: 2,
        ..quick()
    };
    let penalty = MarginalPenalty::Energy;
    let mut training = FlowSpot::new(flow, samplers, cost, penalty, settings).unwrap();
    let (last, _) = training.train(&Context::default()).unwrap();
    assert!(last.unwrap().penalty < 0.2, "{last:?}");
    let by = DormandPrince::default();
    let rows = training.mean().sample(1000, 1, &by).unwrap().rows;
    let mean = |c: usize| rows.iter().skip(c).step_by(4).sum::<f64>() / 1000.0;
    for (c, expected) in [0.0, 0.0, 1.0, -1.0].into_iter().enumerate() {
        assert!((mean(c) - expected).abs() < 0.3, "{c}: {}", mean(c));
    }
}

#[test]
fn settings_and_parts_that_do_not_fit() {
    let new = |flow: Flow, samplers, penalty, settings| {
        FlowSpot::new(flow, samplers, Arc::new(SqEuclidean), penalty, settings)
            .err()
            .unwrap()
            .to_string()
    };
    let flow = || Flow::perceptron(&[1, 1], 4, 1, 0).unwrap();
    let with = |change: &dyn Fn(&mut FlowSettings)| {
        let mut settings = quick();
        change(&mut settings);
        new(flow(), samplers(), MarginalPenalty::Energy, settings)
    };
    let wide = Network::new(&perceptron(1, 4, 1, 2, 0.2), 0).unwrap();
    let all = [
        with(&|s| s.reg = -1.0),
        with(&|s| s.eta = 0.0),
        with(&|s| s.ramp = 1.5),
        with(&|s| s.batch = 1),
        with(&|s| s.entropy_batch = 129),
        with(&|s| s.flow_steps = 0),
        with(&|s| s.averaging = 1.0),
        with(&|s| s.kinetic = f64::NAN),
        new(
            flow(),
            samplers()[..1].to_vec(),
            MarginalPenalty::Energy,
            quick(),
        ),
        new(
            Flow::perceptron(&[2, 1], 4, 1, 0).unwrap(),
            samplers(),
            MarginalPenalty::Energy,
            quick(),
        ),
        new(
            flow(),
            samplers(),
            MarginalPenalty::Critics(vec![wide.clone(), wide]),
            quick(),
        ),
    ];
    insta::assert_snapshot!(all.join("\n"), @r"
    `reg` = -1: must be finite and not negative
    `eta` = 0: must be positive and finite
    `ramp` = 1.5: must be from 0 to 1
    `batch` = 1: must be from 2 to 2^24
    `entropy_batch` = 129: must be from 1 to `batch`
    `flow_steps` = 0: must be at least 1
    `averaging` = 1: must be from 0 to below 1
    `kinetic` = NaN: must be finite and not negative
    `samplers`: dimensions [1], but the flow's marginals have [1, 1]
    `cost`: marginals of dimensions [2, 1], but it takes two of the same dimension
    `critics`: one of 2 outputs, but each has one
    ");
}
