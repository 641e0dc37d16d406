//! Penalties of classes: a target is to receive from one class of sources.

use super::conditional::Penalty;
use super::domain::Groups;

/// Class sums s_cj = Σ_{i∈I_c} P_ij, K×m.
pub(super) fn class_sums(plan: &solver_api::Plan, groups: &Groups, sums: &mut [f64]) {
    let m = plan.shape().1;
    sums.fill(0.0);
    let mut scratch = plan.scratch();
    for (i, &class) in groups.of.iter().enumerate() {
        let sums = &mut sums[class * m..(class + 1) * m];
        plan.row(i, &mut scratch).visit(|j, p| sums[j] += p);
    }
}

/// η Σ (s + δ)^p over class sums s, less its value at 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Power {
    pub(super) weight: f64,
    pub(super) power: f64,
    pub(super) floor: f64,
}

impl Power {
    pub(super) fn value(&self, sums: &[f64]) -> f64 {
        let at_zero = self.floor.powf(self.power);
        let terms = sums
            .iter()
            .map(|s| (s + self.floor).powf(self.power) - at_zero);
        self.weight * terms.sum::<f64>()
    }

    /// η p (s + δ)^{p−1}: the slope of the majorizing plane.
    pub(super) fn slopes(&self, sums: &[f64], slopes: &mut [f64]) {
        for (slope, s) in slopes.iter_mut().zip(sums) {
            *slope = self.weight * self.power * (s + self.floor).powf(self.power - 1.0);
        }
    }
}

/// η Σ_j Σ_c ‖P_{I_c j}‖₂.
pub(super) struct GroupNorm {
    weight: f64,
    groups: Groups,
    m: usize,
}

impl GroupNorm {
    pub(super) fn new(weight: f64, groups: Groups, m: usize) -> Self {
        Self { weight, groups, m }
    }

    /// ‖P_{I_c j}‖₂, K×m.
    fn norms(&self, plan: &[f64]) -> Vec<f64> {
        let mut norms = vec![0.0; self.groups.len() * self.m];
        for (row, &class) in plan.chunks_exact(self.m).zip(&self.groups.of) {
            let norms = &mut norms[class * self.m..(class + 1) * self.m];
            for (norm, p) in norms.iter_mut().zip(row) {
                *norm += p * p;
            }
        }
        norms.iter_mut().for_each(|norm| *norm = norm.sqrt());
        norms
    }
}

impl Penalty for GroupNorm {
    fn value(&self, plan: &[f64]) -> f64 {
        self.weight * self.norms(plan).iter().sum::<f64>()
    }

    fn gradient(&self, plan: &[f64], out: &mut [f64]) {
        let norms = self.norms(plan);
        let rows = out
            .chunks_exact_mut(self.m)
            .zip(plan.chunks_exact(self.m))
            .zip(&self.groups.of);
        for ((out, row), &class) in rows {
            let norms = &norms[class * self.m..(class + 1) * self.m];
            for ((out, p), norm) in out.iter_mut().zip(row).zip(norms) {
                // A group without mass has a kink; 0 is one of its subgradients.
                *out = if *norm > 0.0 {
                    self.weight * p / norm
                } else {
                    0.0
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use solver_api::{DensePlan, Plan};

    fn groups() -> Groups {
        Groups::new("source", &[4, 7, 4]).expect("two classes")
    }

    const PLAN: [f64; 6] = [0.1, 0.2, 0.05, 0.25, 0.3, 0.1];

    #[test]
    fn sums_and_powers_by_hand() {
        let plan = Plan::from(DensePlan::new(3, 2, PLAN.to_vec()).expect("a plan"));
        let mut sums = vec![9.0; 4];
        class_sums(&plan, &groups(), &mut sums);
        for (s, w) in sums.iter().zip([0.4, 0.3, 0.05, 0.25]) {
            assert!((s - w).abs() < 1e-15, "{sums:?}");
        }
        let power = Power {
            weight: 2.0,
            power: 0.5,
            floor: 0.01,
        };
        let by_hand: f64 = sums.iter().map(|s| 2.0 * ((s + 0.01).sqrt() - 0.1)).sum();
        assert!((power.value(&sums) - by_hand).abs() < 1e-15);
        let mut slopes = vec![0.0; 4];
        power.slopes(&sums, &mut slopes);
        for k in 0..4 {
            let moved = |h: f64| {
                let mut sums = sums.clone();
                sums[k] += h;
                power.value(&sums)
            };
            let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((slopes[k] / difference - 1.0).abs() < 1e-7);
            // Concave: the plane lies above.
            for h in [-0.04, 0.5, 3.0] {
                assert!(moved(h) < power.value(&sums) + slopes[k] * h);
            }
        }
    }

    #[test]
    fn the_gradient_of_group_norms_by_differences() {
        let penalty = GroupNorm::new(0.7, groups(), 2);
        let first = (0.01_f64 + 0.09).sqrt() + (0.04_f64 + 0.01).sqrt();
        assert!((penalty.value(&PLAN) - 0.7 * (first + 0.05 + 0.25)).abs() < 1e-15);
        crate::adaptation::conditional::tests::check_gradient(&penalty, &PLAN);
        let mut at_zero = [9.0; 6];
        penalty.gradient(&[0.0; 6], &mut at_zero);
        assert_eq!(at_zero, [0.0; 6]);
    }
}
