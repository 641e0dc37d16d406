//! The small problems that several sections share.

use std::sync::Arc;

use crate::{Cost, DenseCost, Measure, Problem};

/// SplitMix64: a stream of numbers that never changes, without a dependency.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn vec(&mut self, len: usize, from: f64, to: f64) -> Vec<f64> {
        (0..len).map(|_| from + (to - from) * self.unit()).collect()
    }

    /// A permutation of 0..n.
    pub(super) fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut p: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            p.swap(i, (self.bits() % (i as u64 + 1)) as usize);
        }
        p
    }

    /// Weights in (0.2, 1.2), scaled to sum to `mass`.
    pub(super) fn weights(&mut self, n: usize, mass: f64) -> Vec<f64> {
        let w = self.vec(n, 0.2, 1.2);
        let total: f64 = w.iter().sum();
        w.into_iter().map(|w| w / total * mass).collect()
    }
}

/// A problem with a name for messages.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) problem: Problem,
}

pub(super) fn text<T>(result: Result<T, crate::Error>) -> Result<T, String> {
    result.map_err(|e| format!("the suite's own problem was refused: {e}"))
}

/// A balanced problem from plain numbers.
pub(super) fn dense(a: &[f64], b: &[f64], cost: &[f64]) -> Result<Problem, String> {
    text(Problem::from_slices(a, b, cost))
}

/// Generic numbers: the optimal plan is unique.
pub(super) fn generic(seed: u64, n: usize, m: usize, mass: f64) -> Result<Problem, String> {
    let mut random = Random::new(seed);
    let (a, b) = (random.weights(n, mass), random.weights(m, mass));
    let cost = random.vec(n * m, 0.0, 1.0);
    dense(&a, &b, &cost)
}

/// The parts of `problem`, for changing one of them.
pub(super) fn parts(problem: &Problem) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    (
        problem.a().weights().to_vec(),
        problem.b().weights().to_vec(),
        super::oracle::matrix(problem),
    )
}

/// A problem with the marginal condition of `like`, γ and mass multiplied as given.
pub(super) fn with_marginals_of(
    like: &Problem,
    parts: (Vec<f64>, Vec<f64>, Vec<f64>),
    gamma_factor: f64,
    mass_factor: f64,
) -> Result<Problem, String> {
    use crate::Marginals;
    let (a, b, cost) = parts;
    let cost: Arc<dyn Cost> = Arc::new(text(DenseCost::new(a.len(), b.len(), cost))?);
    let (a, b) = (text(Measure::new(a))?, text(Measure::new(b))?);
    text(match like.marginals() {
        Marginals::Balanced => Problem::new(a, b, cost),
        Marginals::Relaxed { gamma_a, gamma_b } => {
            Problem::relaxed(a, b, cost, gamma_a * gamma_factor, gamma_b * gamma_factor)
        }
        Marginals::Partial { mass } => Problem::partial(a, b, cost, mass * mass_factor),
    })
}

/// Balanced problems that every solver of balanced problems answers, however odd they look.
pub(super) fn odd() -> Result<Vec<Case>, String> {
    let mut random = Random::new(11);
    let mut cases = Vec::new();
    let mut add = |name, a: &[f64], b: &[f64], cost: &[f64]| -> Result<(), String> {
        cases.push(Case {
            name,
            problem: dense(a, b, cost)?,
        });
        Ok(())
    };
    add("one by one", &[2.0], &[2.0], &[3.0])?;
    add("one source", &[1.0], &[0.2, 0.5, 0.3], &[3.0, -1.0, 2.0])?;
    add("one target", &[0.2, 0.5, 0.3], &[1.0], &[3.0, -1.0, 2.0])?;
    add(
        "zero weights on both sides",
        &[0.0, 0.4, 0.0, 0.6],
        &[0.7, 0.0, 0.3],
        &random.vec(12, 0.0, 1.0),
    )?;
    // The cheapest entries stand at zero weights: a solver that drops nothing gets the scale wrong.
    add(
        "zero weights at the cheapest entries",
        &[0.5, 0.0, 0.5],
        &[0.5, 0.5, 0.0],
        &[5.0, 6.0, 0.0, 0.0, 0.0, 0.0, 8.0, 5.5, 0.0],
    )?;
    let row = random.vec(4, 0.0, 1.0);
    let twice = [row.clone(), row.clone(), row.clone()].concat();
    add("duplicate sources", &[0.3, 0.3, 0.4], &[0.25; 4], &twice)?;
    add(
        "duplicate points on both sides",
        &[0.25; 4],
        &[0.25; 4],
        &[
            0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0,
        ],
    )?;
    add("a constant cost", &[0.4, 0.6], &[0.3, 0.3, 0.4], &[7.0; 6])?;
    add("a cost of zero", &[0.4, 0.6], &[0.3, 0.7], &[0.0; 4])?;
    let (a, b) = (random.weights(5, 1.0), random.weights(4, 1.0));
    let cost = random.vec(20, 0.0, 1.0);
    let scaled = |w: &[f64], t: f64| w.iter().map(|w| w * t).collect::<Vec<_>>();
    add("mass 1e9", &scaled(&a, 1e9), &scaled(&b, 1e9), &cost)?;
    add("mass 1e-6", &scaled(&a, 1e-6), &scaled(&b, 1e-6), &cost)?;
    add(
        "mass 1e-200",
        &scaled(&a, 1e-200),
        &scaled(&b, 1e-200),
        &cost,
    )?;
    add("costs around 1e30", &a, &b, &scaled(&cost, 1e30))?;
    add("costs around 1e-200", &a, &b, &scaled(&cost, 1e-200))?;
    add(
        "costs and masses around 1e30",
        &scaled(&a, 1e30),
        &scaled(&b, 1e30),
        &scaled(&cost, 1e30),
    )?;
    add("negative costs", &a, &b, &random.vec(20, -3.0, -1.0))?;
    add("costs of both signs", &a, &b, &random.vec(20, -1.0, 1.0))?;
    let shifted: Vec<f64> = cost.iter().map(|c| c + 1e3).collect();
    add("a small spread on a large cost", &a, &b, &shifted)?;
    let one_large: Vec<f64> = cost
        .iter()
        .enumerate()
        .map(|(k, c)| if k == 7 { 20.0 } else { *c })
        .collect();
    add("one large entry", &a, &b, &one_large)?;
    let uneven = [1e-9, 0.3, 0.2, 0.5 - 1e-9, 1e-12];
    let total: f64 = uneven.iter().sum();
    add(
        "weights of very different size",
        &scaled(&uneven, 1.0 / total),
        &b,
        &cost,
    )?;
    Ok(cases)
}

/// Feasible problems with forbidden pairs in which every allowed pair may carry mass.
pub(super) fn masked() -> Result<Vec<Case>, String> {
    let x = f64::INFINITY;
    let case = |name, a: &[f64], b: &[f64], cost: &[f64]| -> Result<Case, String> {
        Ok(Case {
            name,
            problem: dense(a, b, cost)?,
        })
    };
    Ok(vec![
        case(
            "one forbidden pair",
            &[0.5, 0.5],
            &[0.6, 0.4],
            &[1.0, 2.0, 0.5, x],
        )?,
        case(
            "two components",
            &[0.2, 0.3, 0.5],
            &[0.1, 0.4, 0.5],
            &[1.0, 2.0, x, 0.5, 0.7, x, x, x, 3.0],
        )?,
        case(
            "a band",
            &[0.25; 4],
            &[0.2, 0.3, 0.25, 0.25],
            &[
                0.0, 1.0, x, x, 1.0, 0.0, 1.0, x, x, 1.0, 0.0, 1.0, x, x, 1.0, 0.0,
            ],
        )?,
        case(
            "a forbidden cheapest way around zero weights",
            &[0.5, 0.0, 0.5],
            &[0.25, 0.75, 0.0],
            &[1.0, 4.0, x, x, x, x, 2.0, 1.0, 0.0],
        )?,
    ])
}

/// Problems without a plan.
pub(super) fn infeasible() -> Result<Vec<Case>, String> {
    let x = f64::INFINITY;
    let case = |name, a: &[f64], b: &[f64], cost: &[f64]| -> Result<Case, String> {
        Ok(Case {
            name,
            problem: dense(a, b, cost)?,
        })
    };
    Ok(vec![
        case("nothing allowed", &[1.0], &[1.0], &[x])?,
        case(
            "a source without partner",
            &[0.5, 0.5],
            &[0.5, 0.5],
            &[x, x, 0.0, 1.0],
        )?,
        case(
            "a target without partner",
            &[0.5, 0.5],
            &[0.5, 0.5],
            &[x, 0.0, x, 1.0],
        )?,
        case(
            "two sources that share too small a target",
            &[0.4, 0.4, 0.2],
            &[0.5, 0.25, 0.25],
            &[1.0, x, x, 2.0, x, x, 0.0, 0.0, 0.0],
        )?,
        case(
            "a partner of weight zero only",
            &[0.5, 0.5],
            &[1.0, 0.0],
            &[x, 0.0, 1.0, 1.0],
        )?,
    ])
}
