//! Domain adaptation as a classifier: one plan between all samples and labelled representatives.
//!
//! Samples x_1 … x_n with equal weights are coupled with representatives y_1 … y_m at a cost h(‖x_i − y_j‖); where
//! most of the mass of x_i goes says what it is.
//!
//! Sources: Courty, Flamary and Tuia, *Domain adaptation with regularized optimal transport* (2014); 000, equation DA.

use std::collections::BTreeMap;
use std::sync::Arc;

use solver_api::{
    Capability, Context, DenseCost, Ground, Measure, PointCost, Problem, Solution, Solver,
};

use crate::error::require;
use crate::images::by_class;
use crate::transport::checked;
use crate::{Error, scores};

/// How the plan's row of a sample decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CouplingRule {
    /// The class of the representative with the most mass, as in 000.
    #[default]
    Representative,
    /// The class whose representatives have the most mass together.
    ClassSum,
}

/// The classifier argmax over the plan. Needs [`Capability::Balanced`].
#[derive(Clone)]
pub struct Coupling<'a> {
    solver: &'a dyn Solver,
    ground: Ground,
}

impl<'a> Coupling<'a> {
    /// By `solver`, at the cost `ground` between vectors.
    ///
    /// # Errors
    /// A solver without the capability.
    pub fn new(solver: &'a dyn Solver, ground: Ground) -> Result<Self, Error> {
        require(solver, Capability::Balanced)?;
        Ok(Self { solver, ground })
    }

    /// Keeps the representatives: the rows of `y`, vectors of `dim` numbers, one of `labels` for each.
    ///
    /// # Errors
    /// Labels missing, one class only, parts of rows.
    pub fn fit(&self, y: &[f64], dim: usize, labels: &[i64]) -> Result<FittedCoupling<'a>, Error> {
        let count = rows("y", y, dim)?;
        by_class(labels, count)?;
        Ok(FittedCoupling {
            settings: self.clone(),
            y: y.to_vec(),
            dim,
            labels: labels.to_vec(),
        })
    }
}

/// [`Coupling`] with its representatives.
#[derive(Clone)]
pub struct FittedCoupling<'a> {
    settings: Coupling<'a>,
    y: Vec<f64>,
    dim: usize,
    labels: Vec<i64>,
}

impl FittedCoupling<'_> {
    /// The classes of the representatives.
    #[must_use]
    pub fn labels(&self) -> &[i64] {
        &self.labels
    }

    /// Couples all samples, the rows of `x`, with the representatives: one problem. Time and memory of its n×m cost,
    /// O(n·m·dim), and of the solve; `context` is the solver's.
    ///
    /// # Errors
    /// Rows of another length, points that the ground cost refuses, what the solver refuses, and a solve that was
    /// stopped or whose numbers failed.
    pub fn predict(&self, x: &[f64], context: &mut Context) -> Result<Coupled, Error> {
        let n = rows("x", x, self.dim)?;
        let m = self.labels.len();
        let ground = self.settings.ground.clone();
        let points = PointCost::new(x.to_vec(), self.y.clone(), self.dim, ground)?;
        let cost = Arc::new(DenseCost::materialize(&points)?);
        let problem = Problem::new(Measure::uniform(n)?, Measure::uniform(m)?, cost)?;
        let solution = checked(self.settings.solver.solve_with(&problem, context)?)?;
        let mut by_representative = Vec::with_capacity(n);
        let mut by_class = Vec::with_capacity(n);
        let mut scratch = solution.plan.scratch();
        for i in 0..n {
            let mut best: Option<(usize, f64)> = None;
            let mut sums = BTreeMap::<i64, f64>::new();
            solution.plan.row(i, &mut scratch).visit(|j, mass| {
                if best.is_none_or(|(_, most)| mass > most) {
                    best = Some((j, mass));
                }
                *sums.entry(self.labels[j]).or_default() += mass;
            });
            let (representative, _) = best.unwrap_or((0, 0.0));
            by_representative.push(representative);
            let first = self.labels[representative];
            let most = sums.into_iter().fold((first, 0.0), |best, (class, mass)| {
                if mass > best.1 { (class, mass) } else { best }
            });
            by_class.push(most.0);
        }
        Ok(Coupled {
            representatives: by_representative,
            by_class,
            labels: self.labels.clone(),
            solution,
        })
    }
}

/// What [`FittedCoupling::predict`] found.
#[derive(Debug, Clone)]
pub struct Coupled {
    representatives: Vec<usize>,
    by_class: Vec<i64>,
    labels: Vec<i64>,
    solution: Solution,
}

impl Coupled {
    /// The class of each sample by `rule`; the first of equals.
    #[must_use]
    pub fn predictions(&self, rule: CouplingRule) -> Vec<i64> {
        match rule {
            CouplingRule::Representative => {
                let places = self.representatives.iter();
                places.map(|&j| self.labels[j]).collect()
            }
            CouplingRule::ClassSum => self.by_class.clone(),
        }
    }

    /// The representative that each sample sends most of its mass to.
    #[must_use]
    pub fn representatives(&self) -> &[usize] {
        &self.representatives
    }

    /// The plan, its cost and how the solve went.
    #[must_use]
    pub fn solution(&self) -> &Solution {
        &self.solution
    }

    /// The part of the samples whose class by `rule` is that of `labels`.
    ///
    /// # Errors
    /// Another number of labels than of samples.
    pub fn accuracy(&self, rule: CouplingRule, labels: &[i64]) -> Result<f64, Error> {
        scores::accuracy(&self.predictions(rule), labels)
    }
}

fn rows(argument: &'static str, values: &[f64], dim: usize) -> Result<usize, Error> {
    if dim == 0 || values.is_empty() || !values.len().is_multiple_of(dim) {
        return Err(Error::Shape {
            argument,
            found: values.len(),
            expected: format!("rows of {dim} take a positive multiple of that many"),
        });
    }
    Ok(values.len() / dim)
}
