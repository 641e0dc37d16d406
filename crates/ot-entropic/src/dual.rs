//! The problem that this crate solves, and a point on its path.
//!
//! Weights are positive and sum to 1 on both sides, rows and columns are those that take part, and the plan of
//! potentials f, g at ε is P_ij = a_i b_j exp((f_i + g_j − C_ij)/ε). A marginal is hard (γ = ∞: P1 = a) or relaxed
//! (P1 = a·e^{−f/γ}). For given g the best f is explicit; what is left is the *semi-dual*, a concave function of g.

/// min ⟨P, C⟩ + ε·KL(P ‖ a⊗b) + γa·KL(P1 ‖ a) + γb·KL(Pᵀ1 ‖ b), γ = ∞ for a hard marginal.
#[derive(Debug, Clone, Copy)]
pub struct Dual<'a, T> {
    /// n×m, row-major; +∞ is a forbidden pair. Every row and every column has an allowed one.
    pub cost: &'a [T],
    /// Source weights: positive, of sum 1.
    pub a: &'a [f64],
    /// Target weights: positive, of sum 1.
    pub b: &'a [f64],
    /// Weight of the source marginal, +∞ for a hard one.
    pub gamma_a: f64,
    /// Weight of the target marginal, +∞ for a hard one.
    pub gamma_b: f64,
}

impl<T> Dual<'_, T> {
    /// (n, m).
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        (self.a.len(), self.b.len())
    }

    /// Row `i` of the cost.
    #[must_use]
    pub fn row(&self, i: usize) -> &[T] {
        let m = self.b.len();
        &self.cost[i * m..(i + 1) * m]
    }

    /// Whether both marginals are hard: potentials are then free up to a constant.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.gamma_a.is_infinite() && self.gamma_b.is_infinite()
    }

    /// f_i and (P1)_i, given log Σ_j b_j exp((g_j − C_ij)/ε).
    #[must_use]
    pub fn row_update(&self, i: usize, log_sum: f64, eps: f64) -> (f64, f64) {
        if self.gamma_a.is_infinite() {
            return (-eps * log_sum, self.a[i]);
        }
        let f = -eps * log_sum / (1.0 + eps / self.gamma_a);
        (f, self.a[i] * (-f / self.gamma_a).exp())
    }

    /// What the column marginal of `j` should be for the potential `g_j`.
    #[must_use]
    pub fn wanted(&self, j: usize, g_j: f64) -> f64 {
        if self.gamma_b.is_infinite() {
            self.b[j]
        } else {
            self.b[j] * (-g_j / self.gamma_b).exp()
        }
    }

    /// The potential of source `i` that would send all of a_i, whatever its marginal costs: its pairs' slacks by it tell
    /// which of them count within the row, however little the row sends.
    #[must_use]
    pub fn hard(&self, f_i: f64, eps: f64) -> f64 {
        f_i * (1.0 + self.row_softness(eps))
    }

    /// The constant by which f should rise and g fall where a marginal is relaxed: masses of both sides are then equal
    /// (Séjourné, Vialard and Peyré, *Faster unbalanced optimal transport*, 2022). 0 for balanced problems.
    #[must_use]
    pub fn best_shift(&self, point: &Point) -> f64 {
        let inverse = |gamma: f64| {
            if gamma.is_infinite() {
                0.0
            } else {
                1.0 / gamma
            }
        };
        let (ia, ib) = (inverse(self.gamma_a), inverse(self.gamma_b));
        if ia + ib == 0.0 {
            return 0.0;
        }
        let log_mass = |p: &[f64], w: &[f64], inverse: f64| {
            let top = p.iter().fold(f64::NEG_INFINITY, |t, p| t.max(-p * inverse));
            let sum: f64 = p
                .iter()
                .zip(w)
                .map(|(p, w)| w * (-p * inverse - top).exp())
                .sum();
            top + sum.ln()
        };
        let shift = (log_mass(&point.f, self.a, ia) - log_mass(&point.g, self.b, ib)) / (ia + ib);
        if shift.is_finite() { shift } else { 0.0 }
    }

    /// What a relaxed source adds to its degree in the Hessian, relative to its mass: ε/γa.
    #[must_use]
    pub fn row_softness(&self, eps: f64) -> f64 {
        eps / self.gamma_a
    }

    /// The same for targets: ε/γb.
    #[must_use]
    pub fn col_softness(&self, eps: f64) -> f64 {
        eps / self.gamma_b
    }
}

/// Potentials at an ε, with the marginals of their plan.
#[derive(Debug, Clone, Default)]
pub struct Point {
    /// The regularization.
    pub eps: f64,
    /// Target potentials, which everything else follows from.
    pub g: Vec<f64>,
    /// Source potentials: the best for g.
    pub f: Vec<f64>,
    /// P1.
    pub sent: Vec<f64>,
    /// Pᵀ1.
    pub received: Vec<f64>,
    /// What Pᵀ1 should be.
    pub wanted: Vec<f64>,
}

impl Point {
    /// A point with room for n sources and these target potentials.
    #[must_use]
    pub fn new(n: usize, g: Vec<f64>, eps: f64) -> Self {
        let m = g.len();
        Self {
            eps,
            g,
            f: vec![0.0; n],
            sent: vec![0.0; n],
            received: vec![0.0; m],
            wanted: vec![0.0; m],
        }
    }

    /// Σ_j |(Pᵀ1)_j − wanted_j|: the L1 error of the plan, whose rows are exact.
    #[must_use]
    pub fn error(&self) -> f64 {
        let off = |(c, w): (&f64, &f64)| (c - w).abs();
        self.received.iter().zip(&self.wanted).map(off).sum()
    }

    /// Overwrites this point by another of the same shape, without allocating.
    pub fn copy_from(&mut self, other: &Self) {
        self.eps = other.eps;
        for (to, from) in [
            (&mut self.g, &other.g),
            (&mut self.f, &other.f),
            (&mut self.sent, &other.sent),
            (&mut self.received, &other.received),
            (&mut self.wanted, &other.wanted),
        ] {
            to.clone_from(from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Clouds;

    /// g at random, with the f that belongs to it.
    fn point_of(dual: &Dual<'_, f64>, eps: f64) -> Point {
        let (n, m) = dual.shape();
        let g: Vec<f64> = (0..m).map(|j| 0.3 * (j as f64).sin()).collect();
        let mut point = Point::new(n, g, eps);
        for i in 0..n {
            let term = |j: usize| dual.b[j] * ((point.g[j] - dual.row(i)[j]) / eps).exp();
            let sum: f64 = (0..m).map(term).sum();
            (point.f[i], point.sent[i]) = dual.row_update(i, sum.ln(), eps);
        }
        point
    }

    #[test]
    fn a_row_sends_what_its_potential_says() {
        let clouds = Clouds::new(7, 9, 2, 1);
        for gamma_a in [f64::INFINITY, 10.0, 0.3, 1e-3] {
            let dual = clouds.dual(gamma_a, f64::INFINITY);
            let eps = 0.1;
            let point = point_of(&dual, eps);
            let plan = crate::testing::plan_of(&dual, &point.f, &point.g, eps);
            let (rows, _) = crate::testing::sums_of(&plan, 7, 9);
            for i in 0..7 {
                let wanted = dual.a[i] * (-point.f[i] / gamma_a).exp();
                assert!((rows[i] - wanted).abs() < 1e-14);
                assert!((point.sent[i] - wanted).abs() < 1e-14);
                // The hard potential would send all.
                let hard = dual.hard(point.f[i], eps);
                let sent = rows[i] * ((hard - point.f[i]) / eps).exp();
                assert!((sent - dual.a[i]).abs() < 1e-12 * dual.a[i], "{gamma_a}");
            }
        }
    }

    #[test]
    fn the_shift_makes_the_masses_equal() {
        let clouds = Clouds::new(7, 9, 2, 2);
        for (gamma_a, gamma_b) in [(0.3, 0.1), (f64::INFINITY, 0.2), (1e-2, f64::INFINITY)] {
            let dual = clouds.dual(gamma_a, gamma_b);
            let point = point_of(&dual, 0.05);
            let shift = dual.best_shift(&point);
            let sum = |p: &[f64], w: &[f64], by: f64, gamma: f64| -> f64 {
                let part = |(p, w): (&f64, &f64)| w * (-(p + by) / gamma).exp();
                p.iter().zip(w).map(part).sum()
            };
            let sent = sum(&point.f, dual.a, shift, gamma_a);
            let received = sum(&point.g, dual.b, -shift, gamma_b);
            assert!((sent / received - 1.0).abs() < 1e-12, "{sent} {received}");
        }
        let dual = clouds.balanced();
        assert_eq!(dual.best_shift(&point_of(&dual, 0.05)), 0.0);
        // Potentials beyond the range of numbers ask for nothing.
        let dual = clouds.dual(0.1, 0.1);
        let mut point = point_of(&dual, 0.05);
        point.g[0] = f64::NAN;
        assert_eq!(dual.best_shift(&point), 0.0);
    }

    #[test]
    fn a_relaxed_target_wants_less_the_dearer_it_is() {
        let clouds = Clouds::new(3, 4, 1, 3);
        assert_eq!(clouds.balanced().wanted(2, 5.0), clouds.b[2]);
        let dual = clouds.dual(f64::INFINITY, 0.5);
        assert_eq!(dual.wanted(2, 0.0), clouds.b[2]);
        assert!((dual.wanted(2, 1.0) / clouds.b[2] - (-2.0_f64).exp()).abs() < 1e-15);
        assert_eq!((dual.row_softness(0.1), dual.col_softness(0.1)), (0.0, 0.2));
    }
}
