//! A slow solver that goes to the last digits, finite differences of high order, and inputs.

use std::time::Instant;

use solver_api::{
    Capabilities, Capability, Context, Error, ImplicitPlan, Marginals, Outcome, Potentials,
    Problem, Solution, Solver, Termination,
};

/// Newton's method on the dual of a small entropic problem, balanced or relaxed, with elimination in full: marginals
/// to some 1e-16. `alpha` is a fixed reference for all pairs instead of a⊗b.
pub(crate) struct Reference {
    pub(crate) reg: f64,
    pub(crate) alpha: Option<f64>,
}

pub(crate) fn reference(reg: f64) -> Reference {
    Reference { reg, alpha: None }
}

impl Reference {
    /// (f, g) of P_ij = α_ij exp((f_i + g_j − C_ij)/ε), for positive weights; others stay at 0.
    pub(crate) fn potentials(&self, problem: &Problem) -> (Vec<f64>, Vec<f64>) {
        let (gamma_a, gamma_b) = match problem.marginals() {
            Marginals::Relaxed { gamma_a, gamma_b } => (gamma_a, gamma_b),
            _ => (f64::INFINITY, f64::INFINITY),
        };
        let (n, m) = problem.shape();
        let (wa, wb) = (problem.a().weights(), problem.b().weights());
        let rows: Vec<usize> = (0..n).filter(|&i| wa[i] > 0.0).collect();
        let cols: Vec<usize> = (0..m).filter(|&j| wb[j] > 0.0).collect();
        let a: Vec<f64> = rows.iter().map(|&i| wa[i]).collect();
        let b: Vec<f64> = cols.iter().map(|&j| wb[j]).collect();
        let c: Vec<Vec<f64>> = rows
            .iter()
            .map(|&i| cols.iter().map(|&j| problem.cost().entry(i, j)).collect())
            .collect();
        let log_alpha = |i: usize, j: usize| match (self.alpha, problem.marginals()) {
            (Some(alpha), _) => alpha.ln(),
            (None, Marginals::Balanced) => a[i].ln() + b[j].ln() - problem.mass().ln(),
            _ => a[i].ln() + b[j].ln(),
        };
        let (f, g) = newton(&a, &b, &c, &log_alpha, gamma_a, gamma_b, self.reg);
        let (mut all_f, mut all_g) = (vec![0.0; n], vec![0.0; m]);
        rows.iter().zip(f).for_each(|(&i, f)| all_f[i] = f);
        cols.iter().zip(g).for_each(|(&j, g)| all_g[j] = g);
        (all_f, all_g)
    }
}

impl Solver for Reference {
    fn name(&self) -> &str {
        "reference"
    }

    fn capabilities(&self) -> Capabilities {
        use Capability::{Balanced, Entropic, ForbiddenPairs, Relaxed};
        Capabilities::of(&[Balanced, Relaxed, Entropic, ForbiddenPairs])
    }

    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        let (f, g) = self.potentials(problem);
        let scale = match problem.marginals() {
            Marginals::Balanced => problem.mass(),
            _ => 1.0,
        };
        let plan = ImplicitPlan::new(
            problem.shared_cost(),
            f.clone().into(),
            g.clone().into(),
            problem.a().shared_weights(),
            problem.b().weights().iter().map(|b| b / scale).collect(),
            self.reg,
        )?;
        let outcome = Outcome {
            plan: plan.into(),
            potentials: Potentials::new(f, g),
            reg: self.reg,
            termination: Termination::Converged,
            iterations: None,
            history: vec![],
            certificate: None,
        };
        Ok(Solution::assemble(
            "reference",
            problem,
            outcome,
            Instant::now(),
            context,
        ))
    }
}

fn log_sum(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let top = terms.clone().fold(f64::NEG_INFINITY, f64::max);
    top + terms.map(|t| (t - top).exp()).sum::<f64>().ln()
}

fn newton(
    a: &[f64],
    b: &[f64],
    c: &[Vec<f64>],
    log_alpha: &dyn Fn(usize, usize) -> f64,
    gamma_a: f64,
    gamma_b: f64,
    reg: f64,
) -> (Vec<f64>, Vec<f64>) {
    let (n, m) = (a.len(), b.len());
    let (mut f, mut g) = (vec![0.0; n], vec![0.0; m]);
    let hard = gamma_a.is_infinite() && gamma_b.is_infinite();
    let largest = c
        .iter()
        .flatten()
        .filter(|c| c.is_finite())
        .fold(0.0_f64, |s, c| s.max(*c));
    let mut eps = largest.max(reg);
    loop {
        let sweeps = |f: &mut [f64], g: &mut [f64], count: usize| {
            for _ in 0..count {
                for i in 0..n {
                    let met = log_sum((0..m).map(|j| log_alpha(i, j) + (g[j] - c[i][j]) / eps));
                    f[i] = eps / (1.0 + eps / gamma_a) * (a[i].ln() - met);
                }
                for j in 0..m {
                    let met = log_sum((0..n).map(|i| log_alpha(i, j) + (f[i] - c[i][j]) / eps));
                    g[j] = eps / (1.0 + eps / gamma_b) * (b[j].ln() - met);
                }
            }
        };
        // A few soft updates, then Newton; more of them where a full step overshoots.
        sweeps(&mut f, &mut g, 60);
        let residual = |f: &[f64], g: &[f64]| {
            let want = |w: f64, p: f64, gamma: f64| {
                if gamma.is_infinite() {
                    w
                } else {
                    w * (-p / gamma).exp()
                }
            };
            let mut r: Vec<f64> = (0..n).map(|i| want(a[i], f[i], gamma_a)).collect();
            r.extend((0..m).map(|j| want(b[j], g[j], gamma_b)));
            let wanted = r.clone();
            let mut p = vec![vec![0.0; m]; n];
            for i in 0..n {
                for j in 0..m {
                    p[i][j] = (log_alpha(i, j) + (f[i] + g[j] - c[i][j]) / eps).exp();
                    r[i] -= p[i][j];
                    r[n + j] -= p[i][j];
                }
            }
            (r, p, wanted)
        };
        let size = |r: &[f64]| r.iter().map(|x| x.abs()).sum::<f64>();
        let (mut r, mut p, mut wanted) = residual(&f, &g);
        for _ in 0..100 {
            let k = n + m - usize::from(hard);
            let mut h = vec![vec![0.0; k + 1]; k];
            for (x, row) in h.iter_mut().enumerate() {
                row[k] = r[x];
                if x < n {
                    row[x] = p[x].iter().sum::<f64>() + eps / gamma_a * wanted[x];
                    (n..k).for_each(|y| row[y] = p[x][y - n]);
                } else {
                    row[x] = (0..n).map(|i| p[i][x - n]).sum::<f64>() + eps / gamma_b * wanted[x];
                    (0..n).for_each(|y| row[y] = p[y][x - n]);
                }
            }
            let mut step = eliminate(h);
            step.resize(n + m, 0.0);
            // Far beyond a few ε nothing of the model holds.
            let reach = step.iter().fold(0.0_f64, |s, x| s.max(x.abs()));
            let mut length = (5.0 / reach).min(1.0);
            let mut better = false;
            for _ in 0..14 {
                let f2: Vec<f64> = (0..n).map(|i| f[i] + length * eps * step[i]).collect();
                let g2: Vec<f64> = (0..m).map(|j| g[j] + length * eps * step[n + j]).collect();
                let (mut f2, mut g2) = (f2, g2);
                if size(&r) > 1e-6 {
                    sweeps(&mut f2, &mut g2, 1);
                }
                let new = residual(&f2, &g2);
                if size(&new.0) < size(&r) {
                    (f, g) = (f2, g2);
                    (r, p, wanted) = new;
                    better = true;
                    break;
                }
                length *= 0.5;
            }
            if !better {
                let before = size(&r);
                let (mut f2, mut g2) = (f.clone(), g.clone());
                sweeps(&mut f2, &mut g2, 100);
                let new = residual(&f2, &g2);
                if size(&new.0) > 0.9 * before {
                    break;
                }
                (f, g) = (f2, g2);
                (r, p, wanted) = new;
            }
        }
        if eps == reg {
            let error = size(&r) / a.iter().sum::<f64>();
            assert!(error < 1e-11, "the reference stopped at {error:e}");
            return (f, g);
        }
        eps = (0.5 * eps).max(reg);
    }
}

/// Gauss with pivots; the last column is the right-hand side.
pub(crate) fn eliminate(mut h: Vec<Vec<f64>>) -> Vec<f64> {
    let k = h.len();
    for x in 0..k {
        let pivot = (x..k)
            .max_by(|&p, &q| h[p][x].abs().total_cmp(&h[q][x].abs()))
            .unwrap();
        h.swap(x, pivot);
        for y in x + 1..k {
            let factor = h[y][x] / h[x][x];
            if factor != 0.0 {
                for z in x..=k {
                    let t = h[x][z];
                    h[y][z] -= factor * t;
                }
            }
        }
    }
    let mut out = vec![0.0; k];
    for x in (0..k).rev() {
        let sum: f64 = (x + 1..k).map(|z| h[x][z] * out[z]).sum();
        out[x] = (h[x][k] - sum) / h[x][x];
    }
    out
}

/// f′(0) by central differences of sixth order.
pub(crate) fn central(h: f64, f: impl Fn(f64) -> f64) -> f64 {
    let pair = |k: f64| f(k * h) - f(-k * h);
    (45.0 * pair(1.0) - 9.0 * pair(2.0) + pair(3.0)) / (60.0 * h)
}

/// f′(0) from the right, of sixth order.
pub(crate) fn forward(h: f64, f: impl Fn(f64) -> f64) -> f64 {
    let at = |k: f64| f(k * h);
    (-147.0 * at(0.0) + 360.0 * at(1.0) - 450.0 * at(2.0) + 400.0 * at(3.0) - 225.0 * at(4.0)
        + 72.0 * at(5.0)
        - 10.0 * at(6.0))
        / (60.0 * h)
}

/// `found` is `want` to `tol` of `scale`.
#[track_caller]
pub(crate) fn close(found: f64, want: f64, tol: f64, scale: f64, what: &str) {
    let off = (found - want).abs();
    assert!(
        off <= tol * scale.abs().max(want.abs()),
        "{what}: {found:e} found, {want:e} wanted, off by {off:e}"
    );
}

/// Numbers between 0 and 1 that look random.
pub(crate) fn noise(k: usize) -> f64 {
    let mut x = (k as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Weights of mass `mass`, each about as large.
pub(crate) fn weights(n: usize, seed: usize, mass: f64) -> Vec<f64> {
    let w: Vec<f64> = (0..n).map(|i| 0.5 + noise(seed + i)).collect();
    let sum: f64 = w.iter().sum();
    w.iter().map(|w| w / sum * mass).collect()
}

/// `n` points of the unit cube.
pub(crate) fn cloud(n: usize, dim: usize, seed: usize) -> Vec<f64> {
    (0..n * dim).map(|k| noise(seed + 7 * k)).collect()
}

/// `v` with `t` added at `k`.
pub(crate) fn moved(v: &[f64], k: usize, t: f64) -> Vec<f64> {
    let mut v = v.to_vec();
    v[k] += t;
    v
}

/// `v` with `t` moved from `k` to `i`.
pub(crate) fn shifted(v: &[f64], i: usize, k: usize, t: f64) -> Vec<f64> {
    let mut v = v.to_vec();
    v[i] += t;
    v[k] -= t;
    v
}
