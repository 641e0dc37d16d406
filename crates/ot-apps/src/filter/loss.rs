//! The mass between equal labels as a function of the filter.

use std::sync::Arc;

use ot_gradients::implicit::coupling;
use ot_gradients::{CostGradient, chain_rule};
use solver_api::{
    Capability, Context, Cost, DenseCost, Ground, Measure, PlanRow, PointCost, Problem, Solver,
};

use super::Filter;
use crate::error::require;
use crate::images::by_class;
use crate::transport::checked;
use crate::{Error, Images};

/// L(f) of one set of samples and one of representatives, both labelled; all samples weigh the same, and so do all
/// representatives.
///
/// Needs [`Capability::Balanced`] for values, and [`Capability::Entropic`] for gradients: the mass of an exact plan jumps.
/// ε of the solver is in units of the mean cost, so give it an absolute one: 1/30 is λ = 30.
pub struct CouplingLoss<'a> {
    solver: &'a dyn Solver,
    ground: Ground,
    x: Images,
    y: Images,
    /// 1 where the labels of sample and representative agree.
    equal: Arc<DenseCost>,
}

/// The cost at one filter.
struct At {
    points: PointCost,
    /// Over its mean.
    cost: Vec<f64>,
    mean: f64,
    problem: Problem,
}

impl<'a> CouplingLoss<'a> {
    /// Of samples `x` and representatives `y` with their labels, by `solver`, at the cost `ground` between filtered images.
    ///
    /// # Errors
    /// A solver without the capability, images of two sizes, labels missing, one class only, and no class in common.
    pub fn new(
        solver: &'a dyn Solver,
        ground: Ground,
        (x, x_labels): (Images, &[i64]),
        (y, y_labels): (Images, &[i64]),
    ) -> Result<Self, Error> {
        require(solver, Capability::Balanced)?;
        x.same_size("x", "y", y.size())?;
        let sides = [by_class(x_labels, x.len())?, by_class(y_labels, y.len())?];
        if !sides[0].keys().any(|class| sides[1].contains_key(class)) {
            let class = x_labels[0];
            let argument = "y_labels";
            return Err(Error::ClassWithoutSamples { argument, class });
        }
        let rows = x_labels.iter();
        let equal = rows.flat_map(|x| y_labels.iter().map(move |y| f64::from(u8::from(x == y))));
        let equal = DenseCost::new(x.len(), y.len(), equal.collect::<Vec<_>>())?;
        Ok(Self {
            solver,
            ground,
            x,
            y,
            equal: Arc::new(equal),
        })
    }

    /// L(f), from 0 to 1: one solve. Time and memory of the n×m cost, O(n·m·pixels), and of the solve.
    ///
    /// # Errors
    /// Filtered images that the ground cost refuses or that are all alike, what the solver refuses, and a solve that was
    /// stopped or whose numbers failed.
    pub fn value(&self, filter: &Filter, context: &mut Context) -> Result<f64, Error> {
        let at = self.at(filter)?;
        let solution = checked(self.solver.solve_with(&at.problem, context)?)?;
        let mut scratch = solution.plan.scratch();
        let mut mass = 0.0;
        for i in 0..self.x.len() {
            let row = solution.plan.row(i, &mut scratch);
            row.visit(|j, p| mass += p * self.equal.entry(i, j));
        }
        Ok(mass)
    }

    /// L(f) and its derivative in the weights of the filter: a solve, a linear system of n + m unknowns, and the chain
    /// rule through the cost, O(n·m·pixels).
    ///
    /// # Errors
    /// As [`CouplingLoss::value`], a solver without [`Capability::Entropic`], and a solve or a system that ended short of
    /// its tolerance: there is no derivative without an optimum.
    pub fn gradient(
        &self,
        filter: &Filter,
        context: &mut Context,
    ) -> Result<(f64, Vec<f64>), Error> {
        require(self.solver, Capability::Entropic)?;
        let at = self.at(filter)?;
        let solution = self.solver.solve_with(&at.problem, context)?;
        let found = coupling(
            &at.problem,
            &solution,
            Arc::clone(&self.equal) as Arc<dyn Cost>,
        )?;
        let by_cost = OverMean::new(&found, &at.cost, at.mean);
        let by_pixel = chain_rule(&at.points, &by_cost)?;
        let mut out = vec![0.0; filter.weights().len()];
        filter.pull_back(&self.x, &by_pixel.x, &mut out);
        filter.pull_back(&self.y, &by_pixel.y, &mut out);
        Ok((found.value, out))
    }

    fn at(&self, filter: &Filter) -> Result<At, Error> {
        let (x, y) = (filter.apply(&self.x), filter.apply(&self.y));
        let points = PointCost::new(x, y, self.x.cells(), self.ground.clone())?;
        let (n, m) = points.shape();
        let mut cost = vec![0.0; n * m];
        points.block(0..n, 0..m, &mut cost);
        let mean = cost.iter().sum::<f64>() / cost.len() as f64;
        if !(mean > 0.0 && mean.is_finite()) {
            let rule = "must be positive and finite: the filtered images must not be all alike";
            return Err(Error::setting("mean cost", mean, rule));
        }
        cost.iter_mut().for_each(|c| *c /= mean);
        let (a, b) = (
            Measure::uniform(n)?.normalized(),
            Measure::uniform(m)?.normalized(),
        );
        let problem = Problem::new(a, b, Arc::new(DenseCost::new(n, m, cost.clone())?))?;
        Ok(At {
            points,
            cost,
            mean,
            problem,
        })
    }
}

/// A derivative in C/mean(C), as one in C: ∂C_kl = (G_kl − ⟨G, C⟩/(n·m·mean))/mean.
struct OverMean {
    shape: (usize, usize),
    entries: Vec<f64>,
}

impl OverMean {
    fn new(gradient: &dyn CostGradient, cost: &[f64], mean: f64) -> Self {
        let mut entries = gradient.to_dense();
        let along: f64 = entries.iter().zip(cost).map(|(g, c)| g * c).sum();
        let less = along / entries.len() as f64;
        entries.iter_mut().for_each(|g| *g = (*g - less) / mean);
        Self {
            shape: gradient.shape(),
            entries,
        }
    }
}

impl CostGradient for OverMean {
    fn shape(&self) -> (usize, usize) {
        self.shape
    }

    fn scratch(&self) -> Vec<f64> {
        Vec::new()
    }

    fn row<'a>(&'a self, i: usize, _: &'a mut [f64]) -> PlanRow<'a> {
        let m = self.shape.1;
        PlanRow::Dense(&self.entries[i * m..(i + 1) * m])
    }
}
