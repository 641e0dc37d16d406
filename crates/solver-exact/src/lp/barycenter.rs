//! Barycenters as a linear program: the oracle for what `ot-apps` finds by iteration.
//!
//! min Σ_k λ_k ⟨P_k, C⟩ over P_k ≥ 0 and q ≥ 0 with P_k 1 = p_k and P_kᵀ 1 = q for all k, one variable for each pair of a
//! point of some weight and a point of the support. It stands here and not in `ot-apps` because that crate knows no LP
//! library: barycenters of a backend's own are [`Barycenters`] of its crate.
//!
//! Source: Anderes, Borgwardt and Miller, *Discrete Wasserstein barycenters: optimal transport for discrete data* (2016),
//! section 1.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use solver_api::{
    Barycenter, Barycenters, Context, Convergence, Cost, Error, Measure, Termination,
};

/// Variables beyond which it is refused, if nothing else is said: a program of 20 000 takes about a minute, and nothing can
/// interrupt it.
const MOST: u64 = 20_000;

/// A program: the price of each variable, and sums that have to come to a number.
struct Program {
    prices: Vec<f64>,
    sums: Vec<(Vec<(usize, f64)>, f64)>,
}

/// Exact barycenters on a fixed support, for small problems: at most 20 000 pairs of a point of some weight and a point of
/// the support, unless [`LpBarycenter::with_max_pairs`] says more. Forbidden pairs are left out. Memory some 400 bytes a pair. The answer is a vertex: of several best measures,
/// one of the least support. Accurate to the library's tolerance, about 1e-8 of the cost's spread.
#[derive(Debug, Clone, Copy)]
pub struct LpBarycenter {
    name: &'static str,
    max_pairs: u64,
    minimise: fn(&Program) -> Result<Vec<f64>, String>,
}

impl LpBarycenter {
    /// By microlp, through good_lp.
    #[cfg(feature = "lp-microlp")]
    #[must_use]
    pub fn microlp() -> Self {
        Self {
            name: "lp-microlp",
            max_pairs: MOST,
            minimise: |program| by_good_lp(program, |p| p.using(good_lp::microlp)),
        }
    }

    /// By minilp.
    #[cfg(feature = "lp-minilp")]
    #[must_use]
    pub fn minilp() -> Self {
        Self {
            name: "lp-minilp",
            max_pairs: MOST,
            minimise: by_minilp,
        }
    }

    /// By HiGHS, through good_lp.
    #[cfg(feature = "lp-highs")]
    #[must_use]
    pub fn highs() -> Self {
        Self {
            name: "lp-highs",
            max_pairs: MOST,
            minimise: |program| by_good_lp(program, |p| p.using(good_lp::highs)),
        }
    }

    /// With another limit of pairs than 20 000. Time grows faster than their square.
    #[must_use]
    pub fn with_max_pairs(self, max_pairs: u64) -> Self {
        Self { max_pairs, ..self }
    }
}

impl Barycenters for LpBarycenter {
    fn name(&self) -> &str {
        self.name
    }

    fn barycenter(
        &self,
        cost: &Arc<dyn Cost>,
        measures: &[Measure],
        lambda: &[f64],
        context: &mut Context,
    ) -> Result<Barycenter, Error> {
        let (n, m) = cost.shape();
        if lambda.len() != measures.len() {
            return Err(Error::ShapeMismatch {
                argument: "lambda",
                found: lambda.len().to_string(),
                expected: format!("there are {} measures", measures.len()),
            });
        }
        if let Some(odd) = measures.iter().find(|p| p.len() != n) {
            return Err(Error::ShapeMismatch {
                argument: "measures",
                found: odd.len().to_string(),
                expected: format!("`cost` has {n} rows"),
            });
        }
        let lambda = Measure::named("lambda", lambda)?.normalized();
        let counted = measures.iter().zip(lambda.weights());
        let counted: Vec<_> = counted.filter(|(_, l)| **l > 0.0).collect();
        let pairs: u64 = counted
            .iter()
            .map(|(p, _)| p.support_len() as u64 * m as u64)
            .sum();
        if pairs > self.max_pairs {
            return Err(Error::TooManyPairs {
                solver: self.name.to_owned(),
                pairs,
                max_pairs: self.max_pairs,
            });
        }
        // The libraries' tolerances are absolute: costs from 0 to 1.
        let range = cost.range();
        let unit = if range.spread() > 0.0 {
            range.spread()
        } else {
            1.0
        };
        let mut program = Program {
            prices: vec![0.0; m],
            sums: Vec::new(),
        };
        let mut row = vec![0.0; m];
        for (p, &lambda) in counted {
            let p = p.normalized();
            let mut columns: Vec<Vec<(usize, f64)>> = (0..m).map(|j| vec![(j, -1.0)]).collect();
            for (i, &weight) in p.weights().iter().enumerate().filter(|(_, w)| **w > 0.0) {
                cost.row(i, &mut row);
                let mut sum = Vec::with_capacity(m);
                for (column, c) in columns.iter_mut().zip(&row).filter(|(_, c)| c.is_finite()) {
                    let variable = program.prices.len();
                    program.prices.push(lambda * (c - range.min) / unit);
                    sum.push((variable, 1.0));
                    column.push((variable, 1.0));
                }
                program.sums.push((sum, weight));
            }
            program.sums.extend(columns.into_iter().map(|c| (c, 0.0)));
        }
        let failed = |message: String| Error::Backend {
            solver: self.name.to_owned(),
            message,
        };
        // The program is bounded, but the libraries unwrap inside of their factorizations.
        let found = catch_unwind(AssertUnwindSafe(|| (self.minimise)(&program)));
        let found = found
            .map_err(|_| failed("the library panicked".to_owned()))?
            .map_err(failed)?;
        let q: Vec<f64> = found.iter().take(m).map(|q| q.max(0.0)).collect();
        Ok(Barycenter {
            weights: Measure::named("barycenter", q)?.normalized(),
            convergence: Convergence {
                termination: context.interrupted().unwrap_or(Termination::Optimal),
                iterations: None,
                source_error: 0.0,
                target_error: 0.0,
                history: Vec::new(),
            },
            certificate: None,
        })
    }
}

#[cfg(any(feature = "lp-highs", feature = "lp-microlp"))]
fn by_good_lp<M: good_lp::SolverModel<Error = good_lp::ResolutionError>>(
    program: &Program,
    using: impl FnOnce(good_lp::variable::UnsolvedProblem) -> M,
) -> Result<Vec<f64>, String> {
    use good_lp::{Expression, ProblemVariables, Solution, constraint, variable};
    let mut variables = ProblemVariables::new();
    let all = variables.add_vector(variable().min(0.0), program.prices.len());
    let mut objective = Expression::with_capacity(all.len());
    for (&price, &x) in program.prices.iter().zip(&all) {
        objective.add_mul(price, x);
    }
    let mut model = using(variables.minimise(objective));
    for (terms, total) in &program.sums {
        let mut sum = Expression::with_capacity(terms.len());
        for &(x, factor) in terms {
            sum.add_mul(factor, all[x]);
        }
        model.add_constraint(constraint::eq(sum, *total));
    }
    let solution = model.solve().map_err(|e| e.to_string())?;
    Ok(all.into_iter().map(|x| solution.value(x)).collect())
}

#[cfg(feature = "lp-minilp")]
fn by_minilp(program: &Program) -> Result<Vec<f64>, String> {
    use minilp::{ComparisonOp, LinearExpr, OptimizationDirection, Problem};
    let mut model = Problem::new(OptimizationDirection::Minimize);
    let prices = program.prices.iter();
    let all: Vec<_> = prices
        .map(|&p| model.add_var(p, (0.0, f64::INFINITY)))
        .collect();
    for (terms, total) in &program.sums {
        let mut sum = LinearExpr::empty();
        for &(x, factor) in terms {
            sum.add(all[x], factor);
        }
        model.add_constraint(sum, ComparisonOp::Eq, *total);
    }
    let solution = model.solve().map_err(|e| e.to_string())?;
    Ok(all.into_iter().map(|x| solution[x]).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use solver_api::DenseCost;

    use super::*;

    fn libraries() -> Vec<LpBarycenter> {
        vec![
            #[cfg(feature = "lp-microlp")]
            LpBarycenter::microlp(),
            #[cfg(feature = "lp-minilp")]
            LpBarycenter::minilp(),
            #[cfg(feature = "lp-highs")]
            LpBarycenter::highs(),
        ]
    }

    #[test]
    fn two_points_on_a_line_meet_where_their_weights_say() {
        let entries: Vec<f64> = (0..49)
            .map(|e| (e / 7 - e % 7) as f64)
            .map(|d: f64| d * d)
            .collect();
        let cost: Arc<dyn Cost> = Arc::new(DenseCost::new(7, 7, entries).unwrap());
        let at = |i: usize| {
            let mut w = vec![0.0; 7];
            w[i] = 2.0;
            Measure::new(w).unwrap()
        };
        for lp in libraries() {
            let ask = |measures: &[Measure], lambda: &[f64]| {
                let mut context = Context::default();
                lp.barycenter(&cost, measures, lambda, &mut context)
            };
            let found = ask(&[at(0), at(6), at(3)], &[2.0, 1.0, 0.0]).unwrap();
            assert!((found.weights.weights()[2] - 1.0).abs() < 1e-9);
            let short = ask(&[at(0)], &[1.0, 1.0]).unwrap_err();
            assert!(short.to_string().contains("`lambda`"), "{short}");
            let odd = ask(&[Measure::uniform(3).unwrap()], &[1.0]).unwrap_err();
            assert!(odd.to_string().contains("`measures`"), "{odd}");
            let large: Arc<dyn Cost> =
                Arc::new(DenseCost::new(200, 200, vec![1.0; 40_000]).unwrap());
            let many = Measure::uniform(200).unwrap();
            let refused = lp.barycenter(&large, &[many], &[1.0], &mut Context::default());
            assert!(matches!(refused, Err(Error::TooManyPairs { .. })));
            let few = lp.with_max_pairs(6);
            let refused =
                few.barycenter(&cost, &[at(0), at(6)], &[1.0, 1.0], &mut Context::default());
            assert!(matches!(
                refused,
                Err(Error::TooManyPairs { max_pairs: 6, .. })
            ));
        }
    }
}
