//! Whether the allowed pairs can carry the marginals, settled once for all backends by a maximum flow.

use std::fmt;

use crate::Error;
use crate::cost::{Cost, visit_allowed};
use crate::error::number;
use crate::flow::Routing;
use crate::problem::{Marginals, Problem};

/// The proof that no plan exists: a set of sources whose mass exceeds what their allowed targets can take
/// (or, for a partial problem, a cut whose capacity is below the mass asked for).
///
/// A hard target of a relaxed problem that no source may reach is shown with no sources, its mass as the supply.
#[derive(Debug, Clone, PartialEq)]
pub struct Infeasible {
    /// The sources of the violating set.
    pub sources: Vec<usize>,
    /// Every target that one of them may reach.
    pub targets: Vec<usize>,
    /// The mass the sources must send.
    pub supply: f64,
    /// The mass the targets can take.
    pub capacity: f64,
}

impl fmt::Display for Infeasible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |set: &[usize]| {
            let shown: Vec<_> = set.iter().take(8).map(ToString::to_string).collect();
            let more = if set.len() > 8 {
                format!(", … ({} in all)", set.len())
            } else {
                String::new()
            };
            format!("{{{}{more}}}", shown.join(", "))
        };
        if self.sources.is_empty() {
            return write!(
                f,
                "the targets {} must receive mass {}, but no source is allowed to them",
                list(&self.targets),
                number(self.supply)
            );
        }
        write!(
            f,
            "the sources {} must send mass {}, but the targets allowed to them, {}, take only {}",
            list(&self.sources),
            number(self.supply),
            list(&self.targets),
            number(self.capacity)
        )
    }
}

/// Unrouted mass, relative to the whole, from which a problem counts as infeasible: far above the rounding of
/// 10⁶ weights, far below any tolerance on masses.
pub(crate) const UNROUTED: f64 = 1e-11;

/// Checks that a plan over the allowed pairs exists. O(1) where every pair is allowed; otherwise a maximum flow,
/// O(n·m) a phase.
pub fn check_feasible(problem: &Problem) -> Result<(), Error> {
    // Asking lazy costs for their range would stream all of them; only some can forbid pairs at all.
    if !may_forbid(problem.cost()) || problem.cost().range().forbidden == 0 {
        return Ok(());
    }
    let (a, b) = (problem.a().weights(), problem.b().weights());
    let mass = problem.mass();
    match problem.marginals() {
        Marginals::Balanced => {
            let mut flow = Routing::new(problem.cost(), None, a.to_vec(), b.to_vec());
            let unrouted = flow.route(f64::INFINITY);
            if unrouted <= UNROUTED * mass {
                return Ok(());
            }
            Err(violation(a, b, &flow, 0.0))
        }
        Marginals::Partial { mass } => {
            let mut flow = Routing::new(problem.cost(), None, a.to_vec(), b.to_vec());
            let unrouted = flow.route(mass);
            if unrouted <= UNROUTED * mass {
                return Ok(());
            }
            Err(violation(a, b, &flow, problem.a().mass() - mass))
        }
        Marginals::Relaxed { gamma_a, gamma_b } => {
            if gamma_a.is_infinite() {
                check_partners(problem.cost(), a, b, false)?;
            }
            if gamma_b.is_infinite() {
                check_partners(problem.cost(), a, b, true)?;
            }
            Ok(())
        }
    }
}

/// Whether a cost of this kind can have forbidden pairs.
pub(crate) fn may_forbid(cost: &dyn Cost) -> bool {
    use crate::cost::{CostKind, Ground, Shape};
    match cost.kind() {
        CostKind::Grid(_) | CostKind::Tree(_) => false,
        CostKind::Points(points) => {
            matches!(points.ground(), Ground::OfDistance(_, _, Shape::Any))
        }
        _ => true,
    }
}

/// `spare` is the source mass that may stay where it is.
fn violation(a: &[f64], b: &[f64], flow: &Routing<'_>, spare: f64) -> Error {
    let (sources, targets) = flow.reachable();
    let total = |w: &[f64], set: &[usize]| set.iter().map(|&k| w[k]).sum();
    let (supply, capacity): (f64, f64) = (total(a, &sources), total(b, &targets));
    let supply = supply - spare;
    Error::Infeasible(Box::new(Infeasible {
        sources,
        targets,
        supply,
        capacity,
    }))
}

/// A hard side with a soft partner needs one allowed partner of positive weight for each entry.
fn check_partners(cost: &dyn Cost, a: &[f64], b: &[f64], target_side: bool) -> Result<(), Error> {
    let (n, m) = cost.shape();
    let mut scratch = vec![0.0; m];
    let (mut source_has, mut target_has) = (vec![false; n], vec![false; m]);
    for i in 0..n {
        visit_allowed(cost, i, &mut scratch, |j, _| {
            source_has[i] |= b[j] > 0.0;
            target_has[j] |= a[i] > 0.0;
        });
    }
    let (weights, has) = if target_side {
        (b, target_has)
    } else {
        (a, source_has)
    };
    let Some(lonely) = (0..has.len()).find(|&k| weights[k] > 0.0 && !has[k]) else {
        return Ok(());
    };
    // A target that nobody may reach is shown as the sources (none) that could serve it.
    let (sources, targets) = if target_side {
        (vec![], vec![lonely])
    } else {
        (vec![lonely], vec![])
    };
    let proof = Infeasible {
        sources,
        targets,
        supply: weights[lonely],
        capacity: 0.0,
    };
    Err(Error::Infeasible(Box::new(proof)))
}

/// Connected components of the graph of allowed pairs between entries of positive weight: the component of each
/// source, of each target, and their number. Zero-weight entries have component 0 and no meaning.
pub(crate) fn components(problem: &Problem) -> (Vec<u32>, Vec<u32>, usize) {
    let (n, m) = problem.shape();
    let cost = problem.cost();
    if !may_forbid(cost) || cost.range().forbidden == 0 {
        return (vec![0; n], vec![0; m], 1);
    }
    let (a, b) = (problem.a().weights(), problem.b().weights());
    let mut parent: Vec<u32> = (0..(n + m) as u32).collect();
    fn find(parent: &mut [u32], mut k: u32) -> u32 {
        while parent[k as usize] != k {
            parent[k as usize] = parent[parent[k as usize] as usize];
            k = parent[k as usize];
        }
        k
    }
    let mut scratch = vec![0.0; m];
    for i in (0..n).filter(|&i| a[i] > 0.0) {
        visit_allowed(cost, i, &mut scratch, |j, _| {
            if b[j] > 0.0 {
                let (u, v) = (
                    find(&mut parent, i as u32),
                    find(&mut parent, (n + j) as u32),
                );
                parent[u as usize] = v;
            }
        });
    }
    let mut label = vec![u32::MAX; n + m];
    let mut count = 0;
    let mut of = |k: usize, parent: &mut [u32]| {
        let root = find(parent, k as u32) as usize;
        if label[root] == u32::MAX {
            label[root] = count;
            count += 1;
        }
        label[root]
    };
    let of_source = (0..n)
        .map(|i| if a[i] > 0.0 { of(i, &mut parent) } else { 0 })
        .collect();
    let of_target = (0..m)
        .map(|j| {
            if b[j] > 0.0 {
                of(n + j, &mut parent)
            } else {
                0
            }
        })
        .collect();
    (of_source, of_target, (count as usize).max(1))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Measure;
    use crate::cost::SparseCost;

    fn problem(a: &[f64], b: &[f64], pairs: &[(usize, usize)]) -> Problem {
        let triples = pairs.iter().map(|&(i, j)| (i, j, 1.0)).collect();
        let cost = SparseCost::from_triples(a.len(), b.len(), triples).unwrap();
        Problem::new(
            Measure::new(a).unwrap(),
            Measure::new(b).unwrap(),
            Arc::new(cost),
        )
        .unwrap()
    }

    #[test]
    fn greedy_dead_ends_are_rerouted() {
        // Greedy sends source 0 to target 0, which source 1 needs.
        let p = problem(
            &[1.0, 1.0, 1.0],
            &[1.0, 1.0, 1.0],
            &[(0, 0), (0, 1), (1, 0), (2, 1), (2, 2), (0, 2)],
        );
        assert_eq!(check_feasible(&p), Ok(()));
    }

    #[test]
    fn the_proof_names_a_set_that_violates_hall() {
        let p = problem(
            &[2.0, 1.0, 1.0],
            &[3.0, 0.5, 0.5],
            &[(0, 1), (1, 1), (0, 0), (1, 2), (2, 2)],
        );
        let Err(Error::Infeasible(proof)) = check_feasible(&p) else {
            panic!("feasible?")
        };
        assert!(proof.supply > proof.capacity, "{proof}");
        assert_eq!((proof.sources, proof.targets), (vec![1, 2], vec![1, 2]));
    }

    #[test]
    fn the_proof_of_a_partial_problem_counts_what_must_move() {
        let cost = SparseCost::from_triples(2, 2, vec![(1, 0, 1.0)]).unwrap();
        let ones = Measure::new(vec![1.0, 1.0]).unwrap();
        let p = Problem::partial(ones.clone(), ones, Arc::new(cost), 1.5).unwrap();
        let Err(Error::Infeasible(proof)) = check_feasible(&p) else {
            panic!("feasible?")
        };
        // Source 1 can send 1 at most; the other half must come from source 0, which may reach nothing.
        assert_eq!((proof.sources, proof.targets), (vec![0], vec![]));
        assert_eq!((proof.supply, proof.capacity), (0.5, 0.0));
    }

    #[test]
    fn a_small_part_of_the_mass_finds_its_way() {
        // The mass is far below what rounding leaves of the whole.
        let sevenths = Measure::new(vec![1.0 / 7.0; 7]).unwrap();
        let pairs: Vec<_> = (0..7).map(|i| (i, (i + 3) % 7, 1.0)).collect();
        let cost = SparseCost::from_triples(7, 7, pairs).unwrap();
        for mass in [1e-7, 1e-12, 1e-18] {
            let p = Problem::partial(
                sevenths.clone(),
                sevenths.clone(),
                Arc::new(cost.clone()),
                mass,
            );
            assert_eq!(check_feasible(&p.unwrap()), Ok(()));
        }
    }

    #[test]
    fn a_hard_target_out_of_reach_is_named_as_such() {
        let cost = SparseCost::from_triples(1, 2, vec![(0, 0, 1.0)]).unwrap();
        let (a, b) = (Measure::uniform(1).unwrap(), Measure::uniform(2).unwrap());
        let p = Problem::relaxed(a, b, Arc::new(cost), 1.0, f64::INFINITY).unwrap();
        assert_eq!(
            check_feasible(&p).map_err(|e| e.to_string()),
            Err("infeasible: the targets {1} must receive mass 0.5, but no source is allowed to them".into())
        );
    }

    #[test]
    fn components_are_found() {
        let p = problem(
            &[1.0, 1.0, 0.0],
            &[1.0, 1.0],
            &[(0, 0), (1, 1), (2, 0), (2, 1)],
        );
        let (s, t, count) = components(&p);
        assert_eq!(count, 2);
        assert!(s[0] == t[0] && s[1] == t[1] && s[0] != s[1]);
    }
}
