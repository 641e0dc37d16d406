//! Gradients against central finite differences.

use std::sync::Arc;

use ot_apps::learning::losses::{
    EntropicReference, EntropicSettings, EntropicWasserstein, HierarchicalEmd, KullbackLeibler,
    LineWasserstein, Loss, RelaxedSettings, RelaxedWasserstein, SquaredError, TransportLoss,
    WeightedSum,
};
use ot_apps::learning::{
    Head, LabelCost, Linear, Model, NetworkModel, Optimizer, Targets, Training, train,
};
use ot_nn::Layer;
use solver_api::{Context, Ground, Reg, Tree};
use solver_exact::NetworkSimplex;
use solver_stabilized::{Settings, SinkhornStabilized};

use super::{close, of, rows, sparse};

const K: usize = 6;

/// The slope of the value of row `row` along `way`.
fn slope(
    loss: &dyn Loss,
    h: &[f64],
    y: &[f64],
    row: usize,
    way: &[(usize, f64)],
    step: f64,
) -> f64 {
    let value = |t: f64| {
        let mut moved = h.to_vec();
        way.iter().for_each(|(k, d)| moved[row * K + k] += t * d);
        of(loss, K, &moved, y).0[row]
    };
    (value(step) - value(-step)) / (2.0 * step)
}

/// Along moves between two labels, for losses of equal masses.
fn tangent(loss: &dyn Loss, h: &[f64], y: &[f64], step: f64, tol: f64) {
    let (_, gradient) = of(loss, K, h, y);
    for row in 0..h.len() / K {
        let own = &gradient[row * K..(row + 1) * K];
        assert!(own.iter().sum::<f64>().abs() < 1e-12, "{}", loss.name());
        for (i, k) in [(0, 1), (2, 5), (4, 3), (1, 4)] {
            let slope = slope(loss, h, y, row, &[(i, 1.0), (k, -1.0)], step);
            close(own[i] - own[k], slope, tol, &loss.name());
        }
    }
}

/// In every label alone.
fn plain(loss: &dyn Loss, h: &[f64], y: &[f64], tol: f64) {
    let (_, gradient) = of(loss, K, h, y);
    for at in 0..h.len() {
        let slope = slope(loss, h, y, at / K, &[(at % K, 1.0)], 1e-6);
        close(gradient[at], slope, tol, &loss.name());
    }
}

fn tree() -> Tree {
    Tree::new(
        &[6, 6, 7, 7, 7, 8, 8, 8, 8],
        &[0.5, 1.5, 1.0, 0.7, 0.2, 2.0, 0.9, 0.4, 0.0],
    )
    .unwrap()
}

fn entropic(reference: EntropicReference) -> EntropicWasserstein {
    let cost = LabelCost::ordered(K, 1.3).unwrap();
    let settings = EntropicSettings {
        reg: Reg::Relative(0.1),
        iterations: 5000,
        tol: 1e-14,
        reference,
    };
    EntropicWasserstein::new(&cost, settings).unwrap()
}

fn relaxed(gamma_a: f64, gamma_b: f64) -> RelaxedWasserstein {
    let settings = RelaxedSettings {
        reg: Reg::Relative(0.07),
        gamma_a,
        gamma_b,
        iterations: 5000,
        tol: 1e-14,
    };
    RelaxedWasserstein::new(&LabelCost::ordered(K, 1.0).unwrap(), settings).unwrap()
}

#[test]
fn baselines() {
    for y in [rows(3, K, 1.0, 2), sparse(3, K, 3, 2)] {
        let h = rows(3, K, 1.4, 1);
        plain(&KullbackLeibler, &h, &y, 1e-8);
        plain(&SquaredError, &h, &y, 1e-9);
    }
}

#[test]
fn entropic_and_relaxed() {
    for y in [rows(3, K, 1.0, 2), sparse(3, K, 2, 2), sparse(3, K, K, 2)] {
        let h = rows(3, K, 1.0, 1);
        tangent(&entropic(EntropicReference::Lebesgue), &h, &y, 2e-6, 1e-8);
        tangent(&entropic(EntropicReference::Marginals), &h, &y, 2e-6, 1e-8);
        for (gamma_a, gamma_b) in [(1.0, 1.0), (0.3, 4.0), (50.0, 20.0)] {
            let uneven = rows(3, K, 1.7, 5);
            plain(&relaxed(gamma_a, gamma_b), &uneven, &y, 1e-7);
        }
    }
}

#[test]
fn lines_and_trees() {
    let (h, y) = (rows(3, K, 1.0, 1), sparse(3, K, 2, 2));
    for p in [1.0, 1.5, 2.0, 3.0] {
        let line = LineWasserstein::new([0.0, 0.5, 0.7, 2.0, 2.1, 3.5], p).unwrap();
        tangent(&line, &h, &y, 1e-7, 1e-7);
    }
    for rho in [1.0, 1.5, 2.0, 3.0] {
        let loss = HierarchicalEmd::new(tree(), &[0, 1, 2, 3, 4, 5], rho).unwrap();
        tangent(&loss, &h, &y, 1e-6, 1e-8);
    }
}

#[test]
fn transport_by_solvers() {
    let (h, y) = (rows(2, K, 1.0, 1), sparse(2, K, 2, 2));
    let cost = LabelCost::lattice((2, 3), &Ground::Euclidean).unwrap();
    let simplex = NetworkSimplex::default();
    tangent(
        &TransportLoss::new(&simplex, cost.clone()).unwrap(),
        &h,
        &y,
        1e-7,
        1e-7,
    );
    let settings = Settings {
        tol: Some(1e-12),
        ..Settings::with_reg(Reg::Relative(0.1))
    };
    let stabilized = SinkhornStabilized::new(settings).unwrap();
    tangent(
        &TransportLoss::new(&stabilized, cost.clone()).unwrap(),
        &h,
        &y,
        1e-4,
        1e-7,
    );
    let loss = TransportLoss::relaxed(&stabilized, cost, 0.8, 2.0).unwrap();
    plain(&loss, &rows(2, K, 1.6, 5), &y, 1e-6);
}

#[test]
fn sums() {
    let (h, y) = (rows(3, K, 1.0, 1), sparse(3, K, 2, 2));
    let line = LineWasserstein::bins(K, 2.0).unwrap();
    let terms: Vec<(f64, Arc<dyn Loss>)> = vec![
        (0.7, Arc::new(entropic(EntropicReference::Lebesgue))),
        (2.0, Arc::new(line)),
        (0.0, Arc::new(SquaredError)),
        (1.3, Arc::new(entropic(EntropicReference::Marginals))),
    ];
    let sum = WeightedSum::new(terms).unwrap();
    tangent(&sum, &h, &y, 1e-5, 1e-7);
    assert_eq!((sum.labels(), sum.memory(K)), (Some(K), 2 * K));
}

/// A step of plain descent on all samples is the gradient of the whole objective, through head, model and penalty.
#[test]
fn the_whole_objective() {
    let (samples, dim) = (7, 4);
    let x: Vec<f64> = rows(samples, dim, 3.0, 9).iter().map(|x| x - 0.6).collect();
    let targets = Targets::new(K, sparse(samples, K, 2, 4)).unwrap();
    let losses: [(Head, Box<dyn Loss>); 3] = [
        (Head::Softmax, Box::new(KullbackLeibler)),
        (
            Head::Softmax,
            Box::new(entropic(EntropicReference::Lebesgue)),
        ),
        (Head::Softplus, Box::new(relaxed(1.0, 2.0))),
    ];
    for (head, loss) in losses {
        let training = Training {
            epochs: 1,
            batch: samples,
            rate: 1.0,
            l2: 0.3,
            head,
            optimizer: Optimizer::Sgd { momentum: 0.0 },
            ..Training::default()
        };
        let linear = Linear::random(dim, K, 0.8, 3).unwrap();
        let network = NetworkModel::two_layers(dim, 5, K, Layer::Tanh, 3).unwrap();
        descend(&linear, loss.as_ref(), &x, &targets, &training);
        descend(&network, loss.as_ref(), &x, &targets, &training);
    }
}

fn descend<M: Model + Clone>(
    start: &M,
    loss: &dyn Loss,
    x: &[f64],
    targets: &Targets,
    training: &Training,
) {
    let mut stepped = start.clone();
    train(
        &mut stepped,
        loss,
        x,
        targets,
        training,
        &Context::default(),
    )
    .unwrap();
    let objective = |model: &M| {
        let mut h = vec![0.0; targets.weights().len()];
        model.scores(x, &mut h);
        training.head.predict(K, &mut h);
        let values = of(loss, K, &h, targets.weights()).0;
        let weights = model
            .weights()
            .into_iter()
            .flat_map(|own| &model.parameters()[own]);
        let squares: f64 = weights.map(|w| w * w).sum();
        values.iter().sum::<f64>() / targets.len() as f64 + 0.5 * training.l2 * squares
    };
    let count = start.parameters().len();
    for at in [0, 5, 13, count / 2, count - K - 1, count - K, count - 1] {
        let moved = |t: f64| {
            let mut model = start.clone();
            model.parameters_mut()[at] += t;
            objective(&model)
        };
        let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        let found = start.parameters()[at] - stepped.parameters()[at];
        close(
            found,
            slope,
            1e-7,
            &format!("{} of {}", loss.name(), start.name()),
        );
    }
}
