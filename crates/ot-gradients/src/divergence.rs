//! Sinkhorn divergences: S(a, b) = E(a, b) − ½E(a, a) − ½E(b, b), for any solver.
//!
//! E is the solver's `objective`: ⟨P, C⟩ + ε·KL(P ‖ a⊗b) and γ terms (Feydy et al., *Interpolating between optimal
//! transport and MMD using Sinkhorn divergences*, 2019). S ≥ 0, and 0 for equal measures only, where exp(−c/ε) is a
//! positive definite kernel: squared Euclidean and Euclidean costs, for example. From ε = 0 to ∞ it goes from the optimal
//! cost to half of the energy distance. For relaxed marginals ε/2·(Σa − Σb)² is added (Séjourné et al., *Sinkhorn
//! divergences for unbalanced optimal transport*, 2019). [`SinkhornDivergence::sharp`] takes 001's form instead: E is
//! ⟨P, C⟩ of the entropic plan, which may be below 0.

use std::sync::Arc;

use solver_api::{
    Batch, Capability, Certify, Context, Cost, Error, Ground, Measure, PointCost, Problem,
    Solution, Solver,
};

use crate::implicit;
use crate::input::shape;
use crate::objective::{self, WeightGradient};
use crate::points::PointGradient;

/// Which value of a solution E is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Objective,
    TransportCost,
}

/// A Sinkhorn divergence, by a solver of one's choice with an absolute `reg`.
///
/// It needs `balanced`, or `relaxed` where marginals are relaxed; the derivatives of the sharp form need `entropic`. A
/// solver without it is refused by name. An exact solver (`reg` = 0) gives the optimal cost itself.
#[derive(Clone, Copy)]
pub struct SinkhornDivergence<'a> {
    solver: &'a dyn Solver,
    gamma: Option<f64>,
    of: Of,
}

impl std::fmt::Debug for SinkhornDivergence<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SinkhornDivergence")
            .field("solver", &self.solver.name())
            .field("gamma", &self.gamma)
            .field("of", &self.of)
            .finish()
    }
}

/// The three costs that a divergence compares by.
#[derive(Debug, Clone)]
pub struct Costs {
    /// Between source and target, n×m.
    pub ab: Arc<dyn Cost>,
    /// Among sources, n×n, symmetric.
    pub aa: Arc<dyn Cost>,
    /// Among targets, m×m, symmetric.
    pub bb: Arc<dyn Cost>,
}

impl Costs {
    /// Of two clouds, row-major with points of dimension `dim`. O((n + m)·dim) memory.
    ///
    /// # Errors
    /// Those of [`PointCost::new`].
    pub fn of_points(x: &[f64], y: &[f64], dim: usize, ground: &Ground) -> Result<Self, Error> {
        let (x, y): (Arc<[f64]>, Arc<[f64]>) = (x.into(), y.into());
        let cost = |x: &Arc<[f64]>, y: &Arc<[f64]>| -> Result<Arc<dyn Cost>, Error> {
            let cost = PointCost::new(Arc::clone(x), Arc::clone(y), dim, ground.clone())?;
            Ok(Arc::new(cost))
        };
        Ok(Self {
            ab: cost(&x, &y)?,
            aa: cost(&x, &x)?,
            bb: cost(&y, &y)?,
        })
    }

    /// Of two histograms over the same bins: one symmetric cost for all.
    #[must_use]
    pub fn shared(cost: Arc<dyn Cost>) -> Self {
        Self {
            ab: Arc::clone(&cost),
            aa: Arc::clone(&cost),
            bb: cost,
        }
    }
}

/// The value of a divergence and the three solutions behind it.
#[derive(Debug, Clone)]
pub struct Divergence {
    /// S(a, b), in units of the cost times mass. Its error is that of three values that may cancel: where they are near
    /// to each other, it is some 1e-16 of E(a, b) and what the solver's tolerance leaves.
    pub value: f64,
    /// E(a, b).
    pub ab: Solution,
    /// E(a, a).
    pub aa: Solution,
    /// E(b, b).
    pub bb: Solution,
    problems: [Problem; 3],
    gamma: Option<f64>,
    of: Of,
}

impl<'a> SinkhornDivergence<'a> {
    /// Of the objective, balanced.
    #[must_use]
    pub fn new(solver: &'a dyn Solver) -> Self {
        Self {
            solver,
            gamma: None,
            of: Of::Objective,
        }
    }

    /// With marginals relaxed by γ on both sides: measures of any masses.
    ///
    /// # Errors
    /// A γ that is not positive and finite.
    pub fn relaxed(self, gamma: f64) -> Result<Self, Error> {
        if gamma > 0.0 && gamma.is_finite() {
            let gamma = Some(gamma);
            return Ok(Self { gamma, ..self });
        }
        Err(Error::setting(
            "gamma",
            gamma,
            "must be positive and finite",
        ))
    }

    /// 001's form, W̄ = W(a, b) − ½(W(a, a) + W(b, b)) with W = ⟨P, C⟩ of the entropic plan.
    #[must_use]
    pub fn sharp(self) -> Self {
        Self {
            of: Of::TransportCost,
            ..self
        }
    }

    /// Solves the three problems side by side, without certificates.
    ///
    /// # Errors
    /// Those of the problems and of the solver; a solution that has not converged; a relative `reg`, which comes to
    /// three different ones.
    pub fn between(&self, a: &Measure, b: &Measure, costs: &Costs) -> Result<Divergence, Error> {
        let context = &mut Context::default().certified(Certify::Off);
        self.between_with(a, b, costs, context)
    }

    /// [`SinkhornDivergence::between`] under `context`: threads, deadline, observer.
    ///
    /// # Errors
    /// As there.
    pub fn between_with(
        &self,
        a: &Measure,
        b: &Measure,
        costs: &Costs,
        context: &mut Context,
    ) -> Result<Divergence, Error> {
        let pose = |p: &Measure, q: &Measure, cost: &Arc<dyn Cost>| {
            let (p, q, cost) = (p.clone(), q.clone(), Arc::clone(cost));
            match self.gamma {
                Some(gamma) => Problem::relaxed(p, q, cost, gamma, gamma),
                None => Problem::new(p, q, cost),
            }
        };
        let problems = [
            pose(a, b, &costs.ab)?,
            pose(a, a, &costs.aa)?,
            // Balanced, `b` takes the mass of `a`.
            pose(b, b, &costs.bb)?,
        ];
        let capabilities = self.solver.capabilities();
        for problem in &problems {
            capabilities.require(self.solver.name(), problem)?;
        }
        let batch = Batch::Separate(problems.to_vec());
        let mut solved = self.solver.solve_batch(&batch, context).into_iter();
        let mut next = || match solved.next() {
            Some(solution) => solution?.require_converged(),
            None => Err(Error::Backend {
                solver: self.solver.name().to_owned(),
                message: "a batch of three problems has fewer answers".to_owned(),
            }),
        };
        let (ab, aa, bb) = (next()?, next()?, next()?);
        for other in [&aa, &bb] {
            if (other.reg - ab.reg).abs() > 1e-12 * ab.reg {
                let rule = format!(
                    "must be absolute in a divergence: among equals it came to {:e}",
                    other.reg
                );
                return Err(Error::setting("reg", ab.reg, rule));
            }
        }
        let value = |s: &Solution| match self.of {
            Of::Objective => s.objective,
            Of::TransportCost => s.transport_cost,
        };
        let mut total = value(&ab) - 0.5 * value(&aa) - 0.5 * value(&bb);
        if self.gamma.is_some() && self.of == Of::Objective {
            let apart = a.mass() - b.mass();
            total += 0.5 * ab.reg * apart * apart;
        }
        Ok(Divergence {
            value: total,
            ab,
            aa,
            bb,
            problems,
            gamma: self.gamma,
            of: self.of,
        })
    }
}

impl Divergence {
    /// ∂S/∂(a, b). Balanced: for directions that leave the masses equal, as everywhere.
    ///
    /// # Errors
    /// For the sharp form a solver without regularization, and what [`implicit::gradient`] refuses.
    pub fn weights(&self) -> Result<WeightGradient, Error> {
        let of = |problem: &Problem, solution: &Solution| match self.of {
            Of::Objective => objective::weights(problem, solution),
            Of::TransportCost => Ok(self.implicit(problem, solution)?.weights),
        };
        let [ab, aa, bb] = &self.problems;
        let mut out = of(ab, &self.ab)?;
        // A measure stands on both sides of its own problem.
        let (aa, bb) = (of(aa, &self.aa)?, of(bb, &self.bb)?);
        out.add(-0.5, &aa.a, &bb.a);
        out.add(-0.5, &aa.b, &bb.b);
        if self.gamma.is_some() && self.of == Of::Objective {
            let apart = self.ab.reg * (ab.a().mass() - ab.b().mass());
            out.a.iter_mut().for_each(|d| *d += apart);
            out.b.iter_mut().for_each(|d| *d -= apart);
        }
        Ok(out)
    }

    /// ∂S/∂(X, Y), for costs of points. Divided by the weights it is the velocity of a gradient flow.
    ///
    /// # Errors
    /// Costs without points, `Ground::OfDistance`; and as [`Divergence::weights`].
    pub fn points(&self) -> Result<PointGradient, Error> {
        let of = |problem: &Problem, solution: &Solution| match self.of {
            Of::Objective => objective::points(problem, solution),
            Of::TransportCost => self.implicit(problem, solution)?.points(problem),
        };
        let [ab, aa, bb] = &self.problems;
        let mut out = of(ab, &self.ab)?;
        let (aa, bb) = (of(aa, &self.aa)?, of(bb, &self.bb)?);
        if (aa.x.len(), bb.x.len()) != (out.x.len(), out.y.len()) {
            let expected = "the costs of a divergence are of the same points".to_owned();
            return Err(shape("costs", &[aa.x.len(), bb.x.len()], expected));
        }
        out.add(-0.5, &aa.x, &bb.x);
        out.add(-0.5, &aa.y, &bb.y);
        Ok(out)
    }

    fn implicit(
        &self,
        problem: &Problem,
        solution: &Solution,
    ) -> Result<implicit::TransportCostGradient, Error> {
        if solution.reg == 0.0 {
            return Err(Error::unsupported(
                solution.solver.clone(),
                Capability::Entropic.name(),
            ));
        }
        implicit::gradient(problem, solution)
    }
}
