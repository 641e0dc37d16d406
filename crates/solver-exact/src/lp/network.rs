//! The transport problem as the libraries see it: entries of positive weight, allowed pairs, masses that sum to 1,
//! costs in [0, 1].

use solver_api::cost::visit_allowed;
use solver_api::{CostRange, Error, Marginals, Potentials, Problem, SparsePlan};

/// Weights beyond this, as multiples of the mass that a partial problem moves, count as this.
const MOST: f64 = 2.0;
/// Potentials (of costs in [0, 1]) of a partial problem that are this close to zero are zero; λ gives way by as much
/// as that and the pricing of the polish may add up to.
const ZERO: f64 = 4e-14;
const GIVE: f64 = 1e-13;

/// An allowed pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Arc {
    pub(super) row: u32,
    pub(super) col: u32,
    /// In [0, 1].
    pub(super) cost: f64,
}

/// Supplies, demands and arcs. In a partial problem the last row and the last column are partners for the mass that
/// stays, at no cost; a partner whose mass is zero is left out.
#[derive(Debug, Clone)]
pub(super) struct Network {
    pub(super) supply: Vec<f64>,
    pub(super) demand: Vec<f64>,
    /// By row, columns ascending.
    pub(super) arcs: Vec<Arc>,
    /// arcs of row i: row_start[i]..row_start[i + 1].
    pub(super) row_start: Vec<usize>,
    /// The caller's index of each row and column; partners have none.
    sources: Vec<usize>,
    targets: Vec<usize>,
    scale: Scale,
}

/// cost = unit·(cost in [0, 1]) + min.
#[derive(Debug, Clone, Copy)]
struct Scale {
    min: f64,
    unit: f64,
}

impl Scale {
    fn of(range: CostRange) -> Self {
        let allowed = range.min.is_finite();
        Self {
            min: if allowed { range.min } else { 0.0 },
            unit: range.spread(),
        }
    }

    fn down(self, cost: f64) -> f64 {
        if self.unit == 0.0 {
            return 0.0;
        }
        ((cost - self.min) / self.unit).clamp(0.0, 1.0)
    }
}

impl Network {
    /// Time and memory O(allowed pairs).
    pub(super) fn new(problem: &Problem) -> Self {
        let (a, b) = (problem.a().weights(), problem.b().weights());
        let (sources, targets) = with_partners(problem);
        let mass = problem.mass();
        let partial = matches!(problem.marginals(), Marginals::Partial { .. });
        // Nobody moves more than the whole mass: twice that keeps large weights off their limit, and beside it the
        // libraries' absolute tolerances still see the mass that moves.
        let most = if partial { MOST } else { f64::INFINITY };
        let units = |w: &[f64], index: &[usize]| -> Vec<f64> {
            index.iter().map(|&k| (w[k] / mass).min(most)).collect()
        };
        let (mut supply, mut demand) = (units(a, &sources), units(b, &targets));
        let scale = Scale::of(problem.cost().range());
        let mut column_of = vec![u32::MAX; b.len()];
        for (col, &j) in targets.iter().enumerate() {
            column_of[j] = col as u32;
        }
        let spare = |w: &[f64]| {
            if partial {
                (w.iter().sum::<f64>() - 1.0).max(0.0)
            } else {
                0.0
            }
        };
        let (spare_a, spare_b) = (spare(&supply), spare(&demand));
        let mut arcs = Vec::new();
        let mut row_start = vec![0];
        let mut scratch = vec![0.0; b.len()];
        for (row, &i) in sources.iter().enumerate() {
            let row = row as u32;
            visit_allowed(problem.cost(), i, &mut scratch, |j, cost| {
                if column_of[j] != u32::MAX {
                    let (col, cost) = (column_of[j], scale.down(cost));
                    arcs.push(Arc { row, col, cost });
                }
            });
            if spare_a > 0.0 {
                let col = targets.len() as u32;
                arcs.push(Arc {
                    row,
                    col,
                    cost: 0.0,
                });
            }
            row_start.push(arcs.len());
        }
        if spare_b > 0.0 {
            let row = sources.len() as u32;
            let to_all = (0..targets.len() as u32).map(|col| Arc {
                row,
                col,
                cost: 0.0,
            });
            arcs.extend(to_all);
            row_start.push(arcs.len());
            supply.push(spare_b);
        }
        if spare_a > 0.0 {
            demand.push(spare_a);
        }
        Self {
            supply,
            demand,
            arcs,
            row_start,
            sources,
            targets,
            scale,
        }
    }

    /// The flow between the caller's entries, in the caller's units.
    pub(super) fn plan(&self, problem: &Problem, flow: &[f64]) -> Result<SparsePlan, Error> {
        let (n, m) = problem.shape();
        let mass = problem.mass();
        let mut triples = Vec::new();
        for (arc, &x) in self.arcs.iter().zip(flow) {
            let ends = (
                self.sources.get(arc.row as usize),
                self.targets.get(arc.col as usize),
            );
            if let (Some(&i), Some(&j)) = ends
                && x > 0.0
            {
                triples.push((i as u32, j as u32, x * mass));
            }
        }
        SparsePlan::from_triples(n, m, triples)
    }

    /// The potentials of the caller's entries, in cost units. With a partner row F₀ and a partner column G₀ of a
    /// partial problem: f = F + G₀ ≤ 0, g = G + F₀ ≤ 0, λ = −F₀ − G₀.
    pub(super) fn potentials(&self, problem: &Problem, f: &[f64], g: &[f64]) -> Potentials {
        let (n, m) = problem.shape();
        let (rows, cols) = (self.sources.len(), self.targets.len());
        let mut all = Potentials::new(vec![0.0; n], vec![0.0; m]);
        let (mut f_shift, mut g_shift) = (0.0, 0.0);
        let partial = matches!(problem.marginals(), Marginals::Partial { .. });
        if partial {
            // A partner without mass may have any potential that keeps its arcs feasible.
            let lowest = |p: &[f64]| -p.iter().fold(f64::NEG_INFINITY, |s: f64, &v| s.max(v));
            f_shift = g.get(cols).copied().unwrap_or_else(|| lowest(&f[..rows]));
            g_shift = f.get(rows).copied().unwrap_or_else(|| lowest(&g[..cols]));
        }
        let Scale { min, unit } = self.scale;
        let shift = if partial { 0.0 } else { min };
        // Rounding times a weight beyond all proportion to the mass that moves would be no rounding.
        let snapped = |p: f64| if partial && p.abs() <= ZERO { 0.0 } else { p };
        for (&i, f) in self.sources.iter().zip(f) {
            all.f[i] = snapped(f + f_shift) * unit + shift;
        }
        for (&j, g) in self.targets.iter().zip(g) {
            all.g[j] = snapped(g + g_shift) * unit;
        }
        if partial {
            all.lambda = min - (f_shift + g_shift + GIVE) * unit;
        }
        all
    }
}

/// Sources and targets of positive weight that have an allowed pair with one another. A weight without any is rounding,
/// or it stays where it is: the problem would be infeasible. To the libraries an empty sum that is not zero is an error,
/// however little is missing.
fn with_partners(problem: &Problem) -> (Vec<usize>, Vec<usize>) {
    let (a, b) = (problem.a().weights(), problem.b().weights());
    let positive = |w: &[f64]| -> Vec<usize> { (0..w.len()).filter(|&k| w[k] > 0.0).collect() };
    let (mut sources, mut targets) = (positive(a), positive(b));
    if problem.cost().range().forbidden == 0 {
        return (sources, targets);
    }
    let mut reached = vec![false; b.len()];
    let mut scratch = vec![0.0; b.len()];
    sources.retain(|&i| {
        let mut reaches = false;
        visit_allowed(problem.cost(), i, &mut scratch, |j, _| {
            reaches |= b[j] > 0.0;
            reached[j] = true;
        });
        reaches
    });
    targets.retain(|&j| reached[j]);
    (sources, targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_without_an_allowed_pair_are_left_out() {
        let inf = f64::INFINITY;
        let cost = [1.0, inf, inf, inf];
        let problem = Problem::from_slices(&[1.0, 1e-13], &[1.0, 1e-13], &cost).unwrap();
        let network = Network::new(&problem);
        assert_eq!((network.supply.len(), network.demand.len()), (1, 1));
        assert_eq!(network.row_start, [0, 1]);
    }

    #[test]
    fn only_positive_weights_and_allowed_pairs_become_arcs() {
        let inf = f64::INFINITY;
        let cost = [5.0, inf, 7.0, 1.0, 1.0, 1.0, inf, 9.0, 6.0];
        let problem = Problem::from_slices(&[2.0, 0.0, 2.0], &[1.0, 2.0, 1.0], &cost).unwrap();
        let network = Network::new(&problem);
        assert_eq!(network.supply, [0.5, 0.5]);
        assert_eq!(network.demand, [0.25, 0.5, 0.25]);
        let arcs: Vec<_> = network
            .arcs
            .iter()
            .map(|a| (a.row, a.col, a.cost))
            .collect();
        assert_eq!(
            arcs,
            [(0, 0, 0.5), (0, 2, 0.75), (1, 1, 1.0), (1, 2, 0.625)]
        );
        assert_eq!(network.row_start, [0, 2, 4]);
        let plan = network.plan(&problem, &[0.25, 0.25, 0.5, 0.0]).unwrap();
        assert_eq!(plan.row_entries(2), ([1].as_slice(), [2.0].as_slice()));
        let p = network.potentials(&problem, &[0.5, 0.25], &[0.0, 0.75, 0.25]);
        assert_eq!((p.f[0], p.f[2], p.g[1]), (5.0, 3.0, 6.0));
    }

    #[test]
    fn the_mass_that_stays_has_partners() {
        use solver_api::{DenseCost, Measure};
        let two = Measure::new(vec![1.0, 1.0]).unwrap();
        let one = Measure::new(vec![1.0]).unwrap();
        let cost = std::sync::Arc::new(DenseCost::new(2, 1, vec![1.0, 3.0]).unwrap());
        let problem = Problem::partial(two, one, cost, 1.0).unwrap();
        let network = Network::new(&problem);
        assert_eq!(
            (network.supply, network.demand),
            (vec![1.0, 1.0], vec![1.0, 1.0])
        );
        let arcs: Vec<_> = network
            .arcs
            .iter()
            .map(|a| (a.row, a.col, a.cost))
            .collect();
        assert_eq!(arcs, [(0, 0, 0.0), (0, 1, 0.0), (1, 0, 1.0), (1, 1, 0.0)]);
    }
}
