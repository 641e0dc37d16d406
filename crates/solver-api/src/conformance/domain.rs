//! The problems of a solver that does not take every cost: drawn by the caller, and changed without leaving their kind.

use std::fmt;
use std::sync::Arc;

use super::Verdict;
use super::cases::{self, Random, text};
use super::subject::Subject;
use crate::{Cost, CostKind, DenseCost, Error, Measure, PointCost, Problem, TreeCost};

type Make = dyn Fn(&mut Draw) -> Result<Problem, Error> + Send + Sync;

/// What the caller has said of the problems that the solver takes.
#[derive(Clone)]
pub(super) struct Domain {
    pub(super) name: String,
    pub(super) make: Arc<Make>,
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Domain").field(&self.name).finish()
    }
}

/// The numbers that a problem of a domain is made of: as many as are asked for, the same in every run.
///
/// Some draws are of multiples of 1/8, so that places coincide, costs are tied and weights are zero.
#[derive(Debug)]
pub struct Draw {
    random: Random,
    shape: (usize, usize),
    mass: f64,
    ties: bool,
}

impl Draw {
    pub(super) fn new(seed: u64, shape: (usize, usize), mass: f64, ties: bool) -> Self {
        Self {
            random: Random::new(seed),
            shape,
            mass,
            ties,
        }
    }

    /// The number of sources and of targets that is wanted. A domain of square problems makes of it what it can.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        self.shape
    }

    /// The mass of both sides.
    #[must_use]
    pub fn mass(&self) -> f64 {
        self.mass
    }

    /// A number in [0, 1).
    pub fn number(&mut self) -> f64 {
        let number = self.random.unit();
        if self.ties {
            (8.0 * number).floor() / 8.0
        } else {
            number
        }
    }

    /// `len` numbers in [0, 1).
    pub fn numbers(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| self.number()).collect()
    }

    /// `len` weights that sum to the mass; where numbers may be tied, some are 0.
    pub fn weights(&mut self, len: usize) -> Vec<f64> {
        if !self.ties {
            return self.random.weights(len, self.mass);
        }
        let mut weights = self.numbers(len);
        if weights.iter().all(|w| *w == 0.0) {
            weights[len / 2] = 1.0;
        }
        let total: f64 = weights.iter().sum();
        weights.iter().map(|w| w / total * self.mass).collect()
    }
}

/// `problem` with its sources and targets in another order, and its cost as it is kept.
pub(super) fn permuted(
    problem: &Problem,
    rows: &[usize],
    cols: &[usize],
) -> Result<Problem, String> {
    let pick = |v: &[f64], order: &[usize], dim: usize| -> Vec<f64> {
        let row = |&k: &usize| v[k * dim..(k + 1) * dim].iter().copied();
        order.iter().flat_map(row).collect()
    };
    let cost: Arc<dyn Cost> = match problem.cost().kind() {
        CostKind::Points(points) => {
            let dim = points.dim();
            let (x, y) = (pick(points.x(), rows, dim), pick(points.y(), cols, dim));
            let ground = points.ground().clone();
            Arc::new(text(PointCost::new(x, y, dim, ground))?)
        }
        CostKind::Tree(cost) => {
            let (x, y) = nodes(cost);
            let pick = |v: &[usize], order: &[usize]| order.iter().map(|&k| v[k]).collect();
            let (x, y): (Vec<_>, Vec<_>) = (pick(&x, rows), pick(&y, cols));
            Arc::new(text(TreeCost::new(Arc::clone(cost.tree()), &x, &y))?)
        }
        _ => {
            let m = problem.b().len();
            let entries = super::oracle::matrix(problem);
            let entry = |&i: &usize| pick(&entries[i * m..(i + 1) * m], cols, 1);
            let entries: Vec<f64> = rows.iter().flat_map(entry).collect();
            Arc::new(text(DenseCost::new(rows.len(), cols.len(), entries))?)
        }
    };
    let (a, b) = (problem.a().weights(), problem.b().weights());
    let a = text(Measure::new(pick(a, rows, 1)))?;
    let b = text(Measure::new(pick(b, cols, 1)))?;
    text(Problem::new(a, b, cost))
}

/// `problem` with sources for targets, and its cost as it is kept.
pub(super) fn transposed(problem: &Problem) -> Result<Problem, String> {
    let cost: Arc<dyn Cost> = match problem.cost().kind() {
        CostKind::Points(points) => {
            let (x, y) = (points.x().to_vec(), points.y().to_vec());
            let (dim, ground) = (points.dim(), points.ground().clone());
            Arc::new(text(PointCost::new(y, x, dim, ground))?)
        }
        CostKind::Tree(cost) => Arc::new(cost.transposed()),
        _ => return text(problem.transposed()),
    };
    let (a, b) = (problem.a().clone(), problem.b().clone());
    text(Problem::new(b, a, cost))
}

/// `problem` with both masses times t, on the same cost.
pub(super) fn heavier(problem: &Problem, t: f64) -> Result<Problem, String> {
    let times = |measure: &Measure| {
        let weights = measure.weights().iter().map(|w| w * t).collect::<Vec<_>>();
        text(Measure::new(weights))
    };
    let (a, b) = (times(problem.a())?, times(problem.b())?);
    text(Problem::new(a, b, problem.shared_cost()))
}

/// One point, one side of one point, ties and zero weights, masses of any size.
pub(super) fn odd(subject: &Subject<'_>) -> Verdict {
    for (seed, shape, mass, ties) in [
        (11, (1, 1), 2.0, false),
        (12, (1, 5), 1.0, false),
        (13, (6, 1), 1.0, false),
        (14, (9, 7), 1.0, true),
        (15, (12, 12), 3.0, true),
        (16, (5, 4), 1e9, false),
        (17, (5, 4), 1e-6, true),
        (18, (5, 4), 1e-200, false),
    ] {
        let name = format!(
            "{shape:?} of mass {mass}{}",
            if ties { ", ties" } else { "" }
        );
        let problem = subject.drawn(Draw::new(seed, shape, mass, ties))?;
        subject.solve(&name, &problem)?;
    }
    Ok(())
}

/// A cost of anything: `accepts` says no, and so does the solver when it is asked all the same.
pub(super) fn beyond(subject: &Subject<'_>) -> Verdict {
    let problem = cases::generic(19, 5, 4, 1.0)?;
    let solver = subject.solver(&problem)?;
    for (asked, answer) in [
        ("accepts", solver.accepts(&problem).err()),
        ("solve", solver.solve(&problem).err()),
    ] {
        match answer {
            Some(Error::Unsupported { .. }) => {}
            Some(e) => return Err(format!("{asked}: refused, but not as unsupported: {e}")),
            None => return Err(format!("{asked}: takes a matrix of random costs")),
        }
    }
    Ok(())
}

/// The nodes of sources and targets.
fn nodes(cost: &TreeCost) -> (Vec<usize>, Vec<usize>) {
    let mut node_at = vec![0; cost.tree().len()];
    for (node, &place) in cost.tree().places().iter().enumerate() {
        node_at[place as usize] = node;
    }
    let all = |places: &[u32]| places.iter().map(|&p| node_at[p as usize]).collect();
    (all(cost.source_places()), all(cost.target_places()))
}
