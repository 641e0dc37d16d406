//! Masses as whole units: inside the simplex every flow is an `i64`, so no flow is ever rounded, a
//! degenerate pivot is recognised as one, and Cunningham's rule holds to the letter.

/// Weights in units; both sides have the same positive sum, below 2^62.
#[derive(Debug, Default)]
pub(crate) struct Units {
    pub(crate) supply: Vec<i64>,
    pub(crate) demand: Vec<i64>,
    /// The mass of one unit.
    pub(crate) unit: f64,
    /// Whether all supplies are equal, and all demands.
    pub(crate) equal: bool,
}

/// Of a partial problem: sources and columns before its dummies, and the mass between them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moved {
    pub(crate) n: usize,
    pub(crate) m: usize,
    pub(crate) mass: f64,
}

/// The number of units that general weights are spread over: rounding errs by 2^-61 of the mass.
const TOTAL_BITS: i32 = 60;

impl Units {
    /// Expresses the positive weights `a` and the weights `b` (0 on columns that take no part) in
    /// units. Exactly, where all weights are equal on each side or are multiples of one power of two
    /// with equal sums; otherwise to 2^-61 of the mass, after scaling `b` to the sum of `a`.
    pub(crate) fn assign(&mut self, a: &[f64], b: &[f64], moved: Option<Moved>) {
        self.supply.clear();
        self.demand.clear();
        self.equal = self.equal_weights(a, b);
        if !self.equal && !self.exact_binary(a, b) {
            self.rounded(a, b);
            if let Some(moved) = moved {
                self.move_exactly(moved);
            }
        }
    }

    /// Gives the dummies what the others leave, in units: then what moves is right to half a unit, whatever the rounding
    /// of many weights comes to.
    fn move_exactly(&mut self, Moved { n, m, mass }: Moved) {
        let units = ((mass / self.unit).round() as i64).max(1);
        let spare = |real: &mut [i64], dummy: &mut [i64]| {
            let left = real.iter().sum::<i64>() - units;
            // A dummy has a unit at least; without one nothing may be left.
            let kept = dummy.first_mut().map_or(0, |dummy| {
                *dummy = left.max(1);
                *dummy
            });
            let beyond = left - kept;
            if let Some(largest) = real.iter_mut().max_by_key(|w| **w) {
                *largest -= beyond;
            }
        };
        let (sources, dummy_source) = self.supply.split_at_mut(n);
        let (targets, dummy_target) = self.demand.split_at_mut(m);
        spare(sources, dummy_target);
        spare(targets, dummy_source);
    }

    /// All units of one side.
    pub(crate) fn total(&self) -> i64 {
        self.supply.iter().sum()
    }

    fn equal_weights(&mut self, a: &[f64], b: &[f64]) -> bool {
        let live = b.iter().filter(|&&w| w > 0.0).count();
        let Some(first) = b.iter().copied().find(|&w| w > 0.0) else {
            return false;
        };
        if a.iter().any(|&w| w != a[0]) || b.iter().any(|&w| w > 0.0 && w != first) {
            return false;
        }
        let common = gcd(a.len(), live);
        let (s, d) = ((live / common) as i64, (a.len() / common) as i64);
        self.supply.resize(a.len(), s);
        self.demand
            .extend(b.iter().map(|&w| if w > 0.0 { d } else { 0 }));
        self.unit = a[0] / s as f64;
        true
    }

    fn exact_binary(&mut self, a: &[f64], b: &[f64]) -> bool {
        let live = || a.iter().chain(b).copied().filter(|&w| w > 0.0);
        let Some(least) = live().map(trailing_exponent).min() else {
            return false;
        };
        let total: f64 = a.iter().sum();
        if exponent(total) - least > TOTAL_BITS || !(-1000..=1000).contains(&least) {
            return false;
        }
        let scale = power_of_two(-least);
        self.supply.extend(a.iter().map(|&w| (w * scale) as i64));
        self.demand.extend(b.iter().map(|&w| (w * scale) as i64));
        let same = self.supply.iter().sum::<i64>() == self.demand.iter().sum::<i64>();
        if same {
            self.unit = power_of_two(least);
        } else {
            self.supply.clear();
            self.demand.clear();
        }
        same
    }

    fn rounded(&mut self, a: &[f64], b: &[f64]) {
        let (mass_a, mass_b): (f64, f64) = (a.iter().sum(), b.iter().sum());
        let shift = TOTAL_BITS - exponent(mass_a);
        // In two steps, so that masses near the ends of the range of f64 do not overflow.
        let (half, rest) = (power_of_two(shift / 2), power_of_two(shift - shift / 2));
        let units = |w: f64| {
            if w > 0.0 {
                ((w * half * rest).round() as i64).max(1)
            } else {
                0
            }
        };
        self.supply.extend(a.iter().map(|&w| units(w)));
        // Sums that agree to their own rounding are left alone: equal weights then stay equal units.
        let ratio = mass_a / mass_b;
        let ratio = if (ratio - 1.0).abs() < 1e-13 {
            1.0
        } else {
            ratio
        };
        self.demand.extend(b.iter().map(|&w| units(w * ratio)));
        self.unit = power_of_two(-shift / 2) * power_of_two(-(shift - shift / 2));
        // What rounding left over goes to the largest weight of the poorer side.
        let gap = self.supply.iter().sum::<i64>() - self.demand.iter().sum::<i64>();
        let poorer = if gap > 0 {
            &mut self.demand
        } else {
            &mut self.supply
        };
        if let Some(largest) = poorer.iter_mut().max_by_key(|w| **w) {
            *largest += gap.abs();
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The exponent of the leading bit of a positive number.
fn exponent(x: f64) -> i32 {
    let biased = ((x.to_bits() >> 52) & 0x7ff) as i32;
    if biased == 0 {
        -1011 - (x.to_bits().leading_zeros() as i32)
    } else {
        biased - 1023
    }
}

/// The exponent of the lowest set bit of a positive number.
fn trailing_exponent(x: f64) -> i32 {
    let fraction = x.to_bits() & ((1 << 52) - 1);
    let biased = ((x.to_bits() >> 52) & 0x7ff) as i32;
    let significand = if biased == 0 {
        fraction
    } else {
        fraction | (1 << 52)
    };
    biased.max(1) - 1075 + significand.trailing_zeros() as i32
}

fn power_of_two(e: i32) -> f64 {
    f64::from(e).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(a: &[f64], b: &[f64]) -> Units {
        let mut u = Units::default();
        u.assign(a, b, None);
        assert_eq!(u.supply.iter().sum::<i64>(), u.demand.iter().sum::<i64>());
        for (w, k) in a.iter().chain(b).zip(u.supply.iter().chain(&u.demand)) {
            assert_eq!(*w > 0.0, *k > 0);
        }
        u
    }

    #[test]
    fn equal_weights_become_small_integers() {
        let u = assigned(&[0.25; 4], &[0.5, 0.0, 0.5]);
        assert_eq!(u.supply, [1; 4]);
        assert_eq!(u.demand, [2, 0, 2]);
        assert_eq!(u.unit, 0.25);
        let u = assigned(&[1.0 / 3.0; 3], &[0.2; 5]);
        assert_eq!((u.supply[0], u.demand[0]), (5, 3));
    }

    #[test]
    fn integer_masses_stay_what_they_are() {
        let u = assigned(&[3.0, 5.0], &[1.0, 7.0]);
        assert_eq!(u.supply, [3, 5]);
        assert_eq!(u.unit, 1.0);
        let u = assigned(&[0.375, 0.625], &[0.5, 0.5]);
        assert_eq!(u.supply, [3, 5]);
        assert_eq!(u.unit, 0.125);
    }

    #[test]
    fn what_a_partial_problem_moves_is_right_to_half_a_unit() {
        let third = 1.0 / 3.0;
        let (a, b) = ([third, 0.1, 0.7], [0.3, 1e-30, third]);
        for mass in [0.5, 1e-9, b.iter().sum()] {
            let spare = |w: &[f64; 3]| w.iter().sum::<f64>() - mass;
            let (mut supply, mut demand) = (a.to_vec(), b.to_vec());
            supply.extend(Some(spare(&b)).filter(|s| *s > 0.0));
            demand.push(spare(&a));
            let mut u = Units::default();
            u.assign(&supply, &demand, Some(Moved { n: 3, m: 3, mass }));
            assert_eq!(u.supply.iter().sum::<i64>(), u.demand.iter().sum::<i64>());
            let moved = u.supply[..3].iter().sum::<i64>() - u.demand[3];
            assert!((moved as f64 * u.unit - mass).abs() <= 0.5 * u.unit + 1e-16 * mass);
        }
    }

    #[test]
    fn general_weights_are_rounded_far_below_double_precision() {
        for scale in [1.0, 1e9, 1e-200, 1e200] {
            let a = [0.1 * scale, 0.2 * scale, 0.7 * scale];
            let b = [0.3 * scale, 1e-30 * scale, 0.7 * scale];
            let u = assigned(&a, &b);
            for (w, k) in a.iter().zip(&u.supply) {
                assert!((*k as f64 * u.unit - w).abs() <= 4e-16 * scale, "{scale}");
            }
        }
    }
}
