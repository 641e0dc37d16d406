//! The question: two measures, a cost, and what the marginals must satisfy.

use std::sync::Arc;

use ndarray::{ArrayView1, ArrayView2};

use crate::cost::{Cost, CostKind, DenseCost, Ground, LARGEST, PointCost, validate};
use crate::error::number;
use crate::measure::Precision;
use crate::{Error, Measure};

/// The condition on the marginals of the plan.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Marginals {
    /// P1 = a and Pᵀ1 = b.
    Balanced,
    /// γa·KL(P1 ‖ a) + γb·KL(Pᵀ1 ‖ b) is added to the cost. One of the two may be +∞: that side is hard.
    ///
    /// Elsewhere: POT's `reg_m` is γ; OTT's `tau` is γ/(γ + ε); GeomLoss's `reach` is γ for the Euclidean cost and √γ
    /// for half the squared one.
    #[doc(alias = "reg_m")]
    #[doc(alias = "tau")]
    #[doc(alias = "reach")]
    Relaxed {
        /// Weight of the source side.
        gamma_a: f64,
        /// Weight of the target side.
        gamma_b: f64,
    },
    /// P1 ≤ a, Pᵀ1 ≤ b, and the plan moves exactly `mass`.
    Partial {
        /// The mass to move.
        mass: f64,
    },
}

/// An optimal transport problem. Cheap to clone; a shared cost is the same `Arc`.
#[derive(Debug, Clone)]
pub struct Problem {
    a: Measure,
    b: Measure,
    cost: Arc<dyn Cost>,
    marginals: Marginals,
}

impl Problem {
    /// The most that the largest |cost| times the heavier mass may be, 1e305: values are sums of such products, and dual
    /// ones may be some hundred times as large.
    pub const LARGEST_VALUE: f64 = 1e305;

    /// A balanced problem. Shapes must match, and masses must agree to 1e-9 relative (1e-5 where a side is
    /// single precision); within it `b` is rescaled to the mass of `a`. An opaque cost is checked entry by
    /// entry. The largest |cost| times the heavier mass is at most [`Problem::LARGEST_VALUE`].
    pub fn new(a: Measure, b: Measure, cost: Arc<dyn Cost>) -> Result<Self, Error> {
        let problem = Self::unchecked_masses(a, b, cost)?;
        problem.balanced()
    }

    fn unchecked_masses(a: Measure, b: Measure, cost: Arc<dyn Cost>) -> Result<Self, Error> {
        let (n, m) = cost.shape();
        if a.len() != n {
            let expected = format!("`cost` has {n} rows (sources)");
            return Err(Error::shape("a", &[a.len()], expected));
        }
        if b.len() != m {
            let expected = format!("`cost` has {m} columns (targets)");
            return Err(Error::shape("b", &[b.len()], expected));
        }
        if matches!(cost.kind(), CostKind::Opaque) {
            validate(cost.as_ref())?;
        }
        check_values(&a, &b, cost.as_ref())?;
        Ok(Self {
            a,
            b,
            cost,
            marginals: Marginals::Balanced,
        })
    }

    /// A balanced problem from slices; `cost` is n×m row-major.
    pub fn from_slices(a: &[f64], b: &[f64], cost: &[f64]) -> Result<Self, Error> {
        let (a, b) = (Measure::named("a", a)?, Measure::named("b", b)?);
        let cost = DenseCost::new(a.len(), b.len(), cost)?;
        Self::new(a, b, Arc::new(cost))
    }

    /// A balanced problem from ndarray views.
    pub fn from_arrays(
        a: ArrayView1<'_, f64>,
        b: ArrayView1<'_, f64>,
        cost: ArrayView2<'_, f64>,
    ) -> Result<Self, Error> {
        let (a, b) = (Measure::from_array("a", a)?, Measure::from_array("b", b)?);
        Self::new(a, b, Arc::new(DenseCost::from_array(cost)?))
    }

    /// A balanced problem between two point clouds, row-major with points of dimension `dim`.
    pub fn from_points(
        a: &[f64],
        b: &[f64],
        x: &[f64],
        y: &[f64],
        dim: usize,
        ground: Ground,
    ) -> Result<Self, Error> {
        let (a, b) = (Measure::named("a", a)?, Measure::named("b", b)?);
        Self::new(a, b, Arc::new(PointCost::new(x, y, dim, ground)?))
    }

    /// A problem with KL-relaxed marginals: no condition on the masses. Both γ are positive; one may be +∞. A
    /// finite one, alone and times the mass of its side, is at most [`Problem::LARGEST_VALUE`].
    #[doc(alias = "reg_m")]
    #[doc(alias = "tau")]
    #[doc(alias = "reach")]
    pub fn relaxed(
        a: Measure,
        b: Measure,
        cost: Arc<dyn Cost>,
        gamma_a: f64,
        gamma_b: f64,
    ) -> Result<Self, Error> {
        for (name, gamma) in [("gamma_a", gamma_a), ("gamma_b", gamma_b)] {
            if gamma.is_nan() || gamma <= 0.0 {
                return Err(Error::setting(
                    name,
                    gamma,
                    "must be positive (inf: a hard marginal)",
                ));
            }
        }
        if gamma_a.is_infinite() && gamma_b.is_infinite() {
            let rule = "one side must be finite; leave both out for a balanced problem";
            return Err(Error::setting("gamma_a, gamma_b", "inf", rule));
        }
        let mut problem = Self::unchecked_masses(a, b, cost)?;
        for (name, gamma, side) in [
            ("gamma_a", gamma_a, &problem.a),
            ("gamma_b", gamma_b, &problem.b),
        ] {
            if gamma.is_finite() && gamma > Self::LARGEST_VALUE / side.mass().max(1.0) {
                let rule = format!(
                    "times the mass of that side, {}, must be at most {:e} (inf: a hard marginal)",
                    number(side.mass()),
                    Self::LARGEST_VALUE
                );
                return Err(Error::setting(name, gamma, rule));
            }
        }
        problem.marginals = Marginals::Relaxed { gamma_a, gamma_b };
        Ok(problem)
    }

    /// A problem that moves exactly `mass`, [`Measure::LEAST_MASS`] ≤ mass ≤ min of the two masses.
    pub fn partial(a: Measure, b: Measure, cost: Arc<dyn Cost>, mass: f64) -> Result<Self, Error> {
        let most = a.mass().min(b.mass());
        // NaN fails both comparisons.
        if !(mass >= Measure::LEAST_MASS && mass <= most * (1.0 + 1e-12)) {
            let rule = format!(
                "must be {:e} or more, and at most the smaller mass, {}",
                Measure::LEAST_MASS,
                number(most)
            );
            return Err(Error::setting("mass", mass, rule));
        }
        let mut problem = Self::unchecked_masses(a, b, cost)?;
        problem.marginals = Marginals::Partial {
            mass: mass.min(most),
        };
        Ok(problem)
    }

    /// The same measures and cost with hard marginals.
    pub fn balanced(self) -> Result<Self, Error> {
        let narrow = self.a.precision() == Precision::F32 || self.b.precision() == Precision::F32;
        let tolerance = if narrow { 1e-5 } else { 1e-9 };
        let (a_mass, b_mass) = (self.a.mass(), self.b.mass());
        if (a_mass - b_mass).abs() > tolerance * a_mass.max(b_mass) {
            return Err(Error::MassMismatch {
                a_mass,
                b_mass,
                tolerance,
            });
        }
        let b = self.b.rescaled_to(a_mass);
        Ok(Self {
            b,
            marginals: Marginals::Balanced,
            ..self
        })
    }

    /// The same measures and marginal condition with another cost of the same shape, such as this one written out.
    pub fn with_cost(self, cost: Arc<dyn Cost>) -> Result<Self, Error> {
        let marginals = self.marginals;
        // The masses were settled when this problem was made.
        let problem = Self::unchecked_masses(self.a, self.b, cost)?;
        Ok(Self {
            marginals,
            ..problem
        })
    }

    /// The source measure.
    #[must_use]
    pub fn a(&self) -> &Measure {
        &self.a
    }

    /// The target measure; in a balanced problem its mass is that of `a`.
    #[must_use]
    pub fn b(&self) -> &Measure {
        &self.b
    }

    /// The cost.
    #[must_use]
    pub fn cost(&self) -> &dyn Cost {
        self.cost.as_ref()
    }

    /// The cost, shared.
    #[must_use]
    pub fn shared_cost(&self) -> Arc<dyn Cost> {
        Arc::clone(&self.cost)
    }

    /// The marginal condition.
    #[must_use]
    pub fn marginals(&self) -> Marginals {
        self.marginals
    }

    /// (n, m).
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        self.cost.shape()
    }

    /// The mass that errors are relative to: moved mass for balanced and partial problems, the mean of the two
    /// masses for relaxed ones.
    #[must_use]
    pub fn mass(&self) -> f64 {
        match self.marginals {
            Marginals::Balanced => self.a.mass(),
            Marginals::Relaxed { .. } => 0.5 * self.a.mass() + 0.5 * self.b.mass(),
            Marginals::Partial { mass } => mass,
        }
    }

    /// The problem with source and target exchanged; the cost is transposed into a new matrix (n·m entries).
    pub fn transposed(&self) -> Result<Self, Error> {
        let (n, m) = self.shape();
        let mut data = vec![0.0; n * m];
        let mut row = vec![0.0; m];
        for i in 0..n {
            self.cost.row(i, &mut row);
            for (j, &c) in row.iter().enumerate() {
                data[j * n + i] = c;
            }
        }
        let cost: Arc<dyn Cost> = Arc::new(DenseCost::new(m, n, data)?);
        let (a, b) = (self.b.clone(), self.a.clone());
        match self.marginals {
            Marginals::Balanced => Self::new(a, b, cost),
            Marginals::Relaxed { gamma_a, gamma_b } => Self::relaxed(a, b, cost, gamma_b, gamma_a),
            Marginals::Partial { mass } => Self::partial(a, b, cost, mass),
        }
    }
}

/// Refuses products of cost and mass that overflow. Only masses that no cost of lawful size could be too large for are
/// let through unseen, so that a lazy cost is not streamed for its range.
fn check_values(a: &Measure, b: &Measure, cost: &dyn Cost) -> Result<(), Error> {
    let (argument, mass) = if a.mass() >= b.mass() {
        ("a", a.mass())
    } else {
        ("b", b.mass())
    };
    if mass <= Problem::LARGEST_VALUE / LARGEST {
        return Ok(());
    }
    let range = cost.range();
    let cost = if range.max.abs() >= range.min.abs() || !range.min.is_finite() {
        range.max
    } else {
        range.min
    };
    if cost.is_finite() && cost.abs() > Problem::LARGEST_VALUE / mass {
        return Err(Error::ValueOverflow {
            cost,
            argument,
            mass,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost() -> Arc<dyn Cost> {
        Arc::new(DenseCost::new(2, 2, vec![0.0, 1.0, 1.0, 0.0]).unwrap())
    }

    #[test]
    fn masses_are_compared_by_the_precision_of_the_input() {
        let a = Measure::new(vec![0.5, 0.5]).unwrap();
        let near = Measure::new(vec![0.5, 0.5 + 1e-6]).unwrap();
        let error = Problem::new(a.clone(), near, cost()).unwrap_err();
        assert!(matches!(error, Error::MassMismatch { .. }));
        let near = Measure::from_f32("b", &[0.5, 0.500_001]).unwrap();
        let problem = Problem::new(a, near, cost()).unwrap();
        assert!((problem.b().mass() - 1.0).abs() < 1e-15);
    }

    #[test]
    fn costs_times_masses_stay_in_range() {
        let pose = |mass: f64, cost: f64| {
            let w = Measure::new(vec![0.5 * mass; 2])?;
            let cost = DenseCost::new(2, 2, vec![0.0, cost, f64::INFINITY, 1.0])?;
            Problem::new(
                w,
                Measure::new(vec![0.4 * mass, 0.6 * mass])?,
                Arc::new(cost),
            )
        };
        for (mass, cost) in [(1e9, 1e296), (1e200, 1e105), (1e308, 1.0), (1e300, -1e6)] {
            let error = pose(mass, cost * 10.0).unwrap_err();
            let (named, large) = (mass, cost * 10.0);
            assert!(
                matches!(error, Error::ValueOverflow { cost, mass, .. }
                    if cost == large && (mass / named - 1.0).abs() < 1e-12),
                "{mass} {cost}: {error:?}"
            );
        }
        for (mass, cost) in [(1.0, 1e300), (1e9, 1e290), (1e200, -1e100), (1e304, 1.0)] {
            assert!(pose(mass, cost).is_ok(), "{mass} {cost}");
        }
    }

    #[test]
    fn parameters_are_checked() {
        let a = Measure::uniform(2).unwrap();
        let relaxed = |ga, gb| Problem::relaxed(a.clone(), a.clone(), cost(), ga, gb);
        assert!(relaxed(1.0, f64::INFINITY).is_ok());
        for (ga, gb) in [(0.0, 1.0), (1.0, f64::NAN), (f64::INFINITY, f64::INFINITY)] {
            assert!(relaxed(ga, gb).is_err());
        }
        let error = relaxed(1.0, 1e306).unwrap_err().to_string();
        assert!(
            error.starts_with("`gamma_b` = 1e306: times the mass"),
            "{error}"
        );
        let partial = |s| Problem::partial(a.clone(), a.clone(), cost(), s);
        assert!(partial(1.0).is_ok() && partial(0.25).is_ok());
        for s in [0.0, -1.0, 1.5, f64::NAN] {
            assert!(partial(s).is_err());
        }
        let three = Measure::uniform(3).unwrap();
        assert!(matches!(
            Problem::new(a, three, cost()),
            Err(Error::ShapeMismatch { argument: "b", .. })
        ));
    }
}
