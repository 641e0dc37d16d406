//! Barycenters: closed forms, the linear program, laws, solvers inside, and what is refused.

mod closed_forms;
mod laws;
mod limits;
mod solvers;

use std::sync::Arc;

use ot_apps::{Bregman, BregmanSettings, Domain, IpotBarycenter, IpotBarycenterSettings};
use solver_api::{Barycenters, Cost, GridCost, GridGround, Measure, Reg};

/// The cells of a grid with squared distances.
pub(crate) fn grid(dims: &[usize]) -> Arc<dyn Cost> {
    Arc::new(GridCost::new(dims, GridGround::SqEuclidean).expect("a grid"))
}

/// A Gaussian on the cells of height×width.
pub(crate) fn bump(
    (height, width): (usize, usize),
    mean: [f64; 2],
    covariance: [f64; 3],
) -> Measure {
    let [a, b, c] = covariance;
    let det = a * c - b * b;
    let cell = |e: usize| {
        let (y, x) = ((e / width) as f64 - mean[0], (e % width) as f64 - mean[1]);
        (-(c * y * y - 2.0 * b * x * y + a * x * x) / (2.0 * det)).exp()
    };
    let weights: Vec<f64> = (0..height * width).map(cell).collect();
    Measure::new(weights).expect("weights").normalized()
}

/// Σ |x − y|.
pub(crate) fn apart(x: &Measure, y: &Measure) -> f64 {
    let pairs = x.weights().iter().zip(y.weights());
    pairs.map(|(x, y)| (x - y).abs()).sum()
}

pub(crate) fn bregman(reg: f64, tol: f64, debiased: bool, domain: Domain) -> Bregman {
    let settings = BregmanSettings {
        reg: Reg::Absolute(reg),
        tol,
        max_iter: 20_000,
        debiased,
        domain,
    };
    Bregman::new(settings).expect("valid")
}

pub(crate) fn ipot(tol: f64) -> IpotBarycenter {
    let settings = IpotBarycenterSettings {
        tol,
        max_iter: 1000,
        ..IpotBarycenterSettings::default()
    };
    IpotBarycenter::new(settings).expect("valid")
}

/// Every method of a fixed support that needs no solver, with how far its answers may be off the barycenter, L1.
pub(crate) fn methods() -> Vec<(&'static str, Box<dyn Barycenters>, f64)> {
    let bregman = |reg, debiased, domain| Box::new(bregman(reg, 1e-7, debiased, domain));
    vec![
        ("scalings", bregman(1.0, false, Domain::Scalings), 0.4),
        ("logarithms", bregman(0.1, false, Domain::Logarithms), 0.1),
        ("debiased", bregman(1.0, true, Domain::Scalings), 0.05),
        ("ipot", Box::new(ipot(1e-4)), 0.05),
    ]
}
