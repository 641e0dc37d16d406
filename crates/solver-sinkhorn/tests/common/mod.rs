//! Random problems, and a reference iteration in the log domain.
#![allow(clippy::unwrap_used)]

use solver_api::Problem;

/// SplitMix64: numbers in (0, 1).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64 + 1e-17
    }
}

/// Random weights of mass 1.
pub(crate) fn weights(n: usize, rng: &mut Rng) -> Vec<f64> {
    let mut w: Vec<f64> = (0..n).map(|_| 0.1 + rng.next()).collect();
    let total: f64 = w.iter().sum();
    w.iter_mut().for_each(|w| *w /= total);
    w
}

/// Squared distances between random points in the plane, random weights.
pub(crate) fn random_problem(n: usize, m: usize, seed: u64) -> Problem {
    let mut rng = Rng::new(seed);
    let mut points =
        |k: usize| -> Vec<[f64; 2]> { (0..k).map(|_| [rng.next(), rng.next()]).collect() };
    let (x, y) = (points(n), points(m));
    let cost: Vec<f64> = x
        .iter()
        .flat_map(|p| {
            y.iter()
                .map(move |q| (p[0] - q[0]).powi(2) + (p[1] - q[1]).powi(2))
        })
        .collect();
    Problem::from_slices(&weights(n, &mut rng), &weights(m, &mut rng), &cost).unwrap()
}

pub(crate) struct Reference {
    pub(crate) plan: Vec<f64>,
    pub(crate) transport_cost: f64,
    pub(crate) objective: f64,
}

/// min ⟨P, C⟩ + ε KL(P ‖ a⊗b) by log-sum-exp, the plan at the mass of the problem.
pub(crate) fn log_domain(problem: &Problem, reg: f64, tol: f64) -> Reference {
    let (n, m) = problem.shape();
    let mass = problem.mass();
    let log = |w: &[f64]| -> Vec<f64> { w.iter().map(|w| (w / mass).ln()).collect() };
    let (la, lb) = (log(problem.a().weights()), log(problem.b().weights()));
    let mut c = vec![0.0; n * m];
    for (i, row) in c.chunks_exact_mut(m).enumerate() {
        problem.cost().row(i, row);
    }
    let lse = |terms: &dyn Fn(usize) -> f64, len: usize| {
        let top = (0..len).map(terms).fold(f64::NEG_INFINITY, f64::max);
        top + (0..len).map(|k| (terms(k) - top).exp()).sum::<f64>().ln()
    };
    let (mut f, mut g) = (vec![0.0; n], vec![0.0; m]);
    for _ in 0..200_000 {
        for i in 0..n {
            f[i] = -reg * lse(&|j| lb[j] + (g[j] - c[i * m + j]) / reg, m);
        }
        let mut error = 0.0;
        for j in (0..m).filter(|&j| lb[j].is_finite()) {
            let new = -reg * lse(&|i| la[i] + (f[i] - c[i * m + j]) / reg, n);
            error += lb[j].exp() * ((g[j] - new) / reg).exp_m1().abs();
            g[j] = new;
        }
        if error < tol {
            break;
        }
    }
    let mut reference = Reference {
        plan: vec![0.0; n * m],
        transport_cost: 0.0,
        objective: 0.0,
    };
    let mut kl = 0.0;
    for i in 0..n {
        for j in 0..m {
            let log_ratio = (f[i] + g[j] - c[i * m + j]) / reg;
            let p = (la[i] + lb[j] + log_ratio).exp();
            if p > 0.0 {
                reference.plan[i * m + j] = mass * p;
                reference.transport_cost += mass * p * c[i * m + j];
                kl += p * log_ratio - p;
            }
        }
    }
    reference.objective = reference.transport_cost + reg * mass * (kl + 1.0);
    reference
}
