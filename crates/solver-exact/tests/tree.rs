//! Transport on trees against the network simplex on the same cost, and the laws that both obey.
#![cfg(all(feature = "tree", feature = "network-simplex"))]
#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use solver_api::{
    CancelToken, Capability, Certify, Context, Cost, DenseCost, Factory, Measure, Options, Problem,
    Progress, Solution, Solver, Termination, Tree, TreeCost,
};
use solver_exact::NetworkSimplex;
use solver_exact::closed::tree::{TreeFactory, TreeSolver, hierarchical_emd_at};

/// Parents and lengths of a tree with names in a random order, and sources and targets with weights.
#[derive(Debug, Clone)]
struct Given {
    parent: Vec<usize>,
    length: Vec<f64>,
    x: Vec<usize>,
    y: Vec<usize>,
    a: Vec<f64>,
    b: Vec<f64>,
}

impl Given {
    fn tree(&self) -> Arc<Tree> {
        Arc::new(Tree::new(&self.parent, &self.length).unwrap())
    }

    fn problem(&self) -> Problem {
        let cost = TreeCost::new(self.tree(), &self.x, &self.y).unwrap();
        self.with_cost(Arc::new(cost))
    }

    fn with_cost(&self, cost: Arc<dyn Cost>) -> Problem {
        let (a, b) = (
            Measure::named("a", &self.a[..]),
            Measure::named("b", &self.b[..]),
        );
        Problem::new(a.unwrap(), b.unwrap(), cost).unwrap()
    }
}

/// Trees of every shape, lengths with ties and zeros, weights with ties and zeros and any mass, nodes named often.
fn given() -> impl Strategy<Value = Given> {
    let sizes = (1_usize..25, 1_usize..12, 1_usize..12);
    sizes.prop_flat_map(|(nodes, n, m)| {
        let weight =
            prop_oneof![1 => Just(0.0), 3 => Just(1.0), 1 => Just(0.1), 2 => 0.01..5.0_f64];
        let length =
            prop_oneof![1 => Just(0.0), 2 => Just(1.0), 2 => 0.0..3.0_f64, 1 => Just(1e-7)];
        (
            prop::collection::vec(0_usize..1000, nodes),
            prop::collection::vec(length, nodes),
            Just((0..nodes).collect::<Vec<_>>()).prop_shuffle(),
            prop_oneof![Just(1_usize), Just(2), Just(1000)],
            prop::collection::vec(0..nodes, n),
            prop::collection::vec(0..nodes, m),
            prop::collection::vec(weight.clone(), n),
            prop::collection::vec(weight, m),
        )
            .prop_filter_map(
                "no mass",
                |(above, length, names, reach, x, y, a, mut b)| {
                    let (mass, other): (f64, f64) = (a.iter().sum(), b.iter().sum());
                    if mass == 0.0 || other == 0.0 {
                        return None;
                    }
                    b.iter_mut().for_each(|w| *w *= mass / other);
                    let mut parent = vec![0; above.len()];
                    for k in 0..above.len() {
                        // Chains, trees of few branches, bushes.
                        let back = 1 + above[k] % reach.min(k.max(1));
                        parent[names[k]] = names[k.saturating_sub(back)];
                    }
                    Some(Given {
                        parent,
                        length,
                        x,
                        y,
                        a,
                        b,
                    })
                },
            )
    })
}

fn solved(problem: &Problem) -> Solution {
    TreeSolver::default()
        .solve(problem)
        .unwrap()
        .require_converged()
        .unwrap()
}

/// What any solution on a tree must be.
fn sound(problem: &Problem, solution: &Solution) -> Result<(), TestCaseError> {
    let (n, m) = problem.shape();
    let scale = problem.mass() * problem.cost().range().max_abs();
    prop_assert_eq!(solution.convergence.termination, Termination::Optimal);
    prop_assert!(solution.plan.nnz() < n + m);
    prop_assert!(solution.convergence.source_error <= 1e-14);
    prop_assert!(solution.convergence.target_error <= 1e-14);
    let bracket = solution
        .certificate
        .ok_or_else(|| TestCaseError::fail("no certificate"))?;
    prop_assert!(
        bracket.gap() >= 0.0 && bracket.gap() <= 1e-13 * scale,
        "{:?}",
        bracket
    );
    prop_assert!(bracket.contains(solution.transport_cost, 1e-13 * scale));
    let (f, g) = (&solution.potentials.f, &solution.potentials.g);
    for i in 0..n {
        for j in 0..m {
            prop_assert!(
                f[i] + g[j]
                    <= problem.cost().entry(i, j) + 1e-14 * problem.cost().range().max_abs()
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_optimum_is_that_of_the_simplex(given in given()) {
        let problem = given.problem();
        let scale = problem.mass() * problem.cost().range().max_abs();
        let found = solved(&problem);
        sound(&problem, &found)?;
        let simplex = NetworkSimplex::default().solve(&problem)?;
        prop_assert!((found.transport_cost - simplex.transport_cost).abs() <= 1e-12 * scale);
        // As a matrix, whose transforms are taken entry by entry.
        let dense = given.with_cost(Arc::new(DenseCost::materialize(problem.cost())?));
        let bracket = solver_api::certify(&dense, &found.plan, &found.potentials);
        prop_assert!(bracket.gap().abs() <= 1e-13 * scale, "{:?}", bracket);
        let simplex = NetworkSimplex::default().solve(&dense)?;
        prop_assert!((found.transport_cost - simplex.transport_cost).abs() <= 1e-12 * scale);
        // The loss at ρ = 1 is the same value: over all points, sources first.
        let nodes = [&given.x[..], &given.y[..]].concat();
        let zeros = |n| vec![0.0; n];
        let p = [problem.a().weights().to_vec(), zeros(given.y.len())].concat();
        let q = [zeros(given.x.len()), problem.b().weights().to_vec()].concat();
        let loss = hierarchical_emd_at(&given.tree(), &nodes, &p, &q, 1.0)?;
        // What the two masses differ by in their last digits crosses edges that no plan has to.
        let crumbs = 1e-15 * problem.mass() * given.length.iter().sum::<f64>();
        prop_assert!((found.transport_cost - loss.value).abs() <= 1e-12 * scale + crumbs);
    }

    #[test]
    fn symmetries_carry_over(given in given(), by in 1_usize..7) {
        let problem = given.problem();
        let found = solved(&problem);
        let scale = problem.mass() * problem.cost().range().max_abs();
        let same = |value: f64, factor: f64| (value - factor * found.transport_cost).abs() <= 1e-13 * factor * scale;
        // Transposed.
        let mut other = given.clone();
        (other.x, other.y, other.a, other.b) = (given.y.clone(), given.x.clone(), given.b.clone(), given.a.clone());
        let turned = solved(&other.problem());
        sound(&other.problem(), &turned)?;
        prop_assert!(same(turned.transport_cost, 1.0));
        // Sources turned round.
        let mut other = given.clone();
        let by = by % given.x.len();
        other.x.rotate_left(by);
        other.a.rotate_left(by);
        prop_assert!(same(solved(&other.problem()).transport_cost, 1.0));
        // Longer edges, and more mass.
        let mut other = given.clone();
        other.length.iter_mut().for_each(|l| *l *= 3.0);
        prop_assert!(same(solved(&other.problem()).transport_cost, 3.0));
        let mut other = given.clone();
        other.a.iter_mut().chain(&mut other.b).for_each(|w| *w *= 1048576.0);
        let heavy = solved(&other.problem());
        prop_assert!(same(heavy.transport_cost, 1048576.0));
        // A power of two: of ties, which rounding settles, the same ones.
        for (f, h) in found.potentials.f.iter().zip(&heavy.potentials.f) {
            prop_assert!((f - h).abs() <= 1e-12 * given.length.iter().sum::<f64>());
        }
        // Another root: the path to it turned round.
        let mut other = given.clone();
        let (mut k, mut below, mut edge) = (given.x[0], given.x[0], 0.0);
        loop {
            let (up, length) = (given.parent[k], given.length[k]);
            (other.parent[k], other.length[k]) = (below, edge);
            if up == k {
                break;
            }
            (below, k, edge) = (k, up, length);
        }
        prop_assert!(same(solved(&other.problem()).transport_cost, 1.0));
    }
}

fn large(parent: Vec<usize>) -> Problem {
    let n = parent.len();
    let tree = Tree::new(&parent, &vec![0.1; n]).unwrap();
    let nodes: Vec<usize> = (0..n).collect();
    let cost = TreeCost::new(tree, &nodes, &nodes).unwrap();
    let weights = |k: u64| -> Vec<f64> {
        let word = |i: u64| (i.wrapping_mul(k).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64;
        (0..n as u64).map(|i| 1.0 + word(i + 1)).collect()
    };
    let one = |w: Vec<f64>| Measure::new(w).unwrap().normalized();
    Problem::new(one(weights(3)), one(weights(7)), Arc::new(cost)).unwrap()
}

#[test]
fn deep_chains_and_wide_stars_are_solved_in_line() {
    let n = 200_000;
    for parent in [
        (0..n).map(|k: usize| k.saturating_sub(1)).collect(),
        vec![0; n],
        (0..n).map(|k: usize| k.saturating_sub(1) / 2).collect(),
    ] {
        let problem = large(parent);
        let found = solved(&problem);
        assert!(found.plan.nnz() < 2 * n);
        let bracket = found.certificate.unwrap();
        assert!(bracket.relative_gap(&problem) < 1e-12, "{bracket:?}");
        assert!(found.convergence.source_error < 1e-13);
    }
}

#[test]
fn limits_and_wishes_are_kept() {
    let problem = large((0..200_000).map(|k: usize| k.saturating_sub(1)).collect());
    let solver = TreeSolver::default();
    let token = CancelToken::new();
    token.cancel();
    for (mut context, end) in [
        (Context::new().cancelled_by(&token), Termination::Cancelled),
        (
            Context::new().time_limit(Duration::ZERO),
            Termination::TimeLimit,
        ),
        (
            Context::new().observed(|p: &Progress| match p.iteration {
                0 => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            }),
            Termination::Cancelled,
        ),
    ] {
        context.keep_history = true;
        let found = solver.solve_with(&problem, &mut context).unwrap();
        assert_eq!(found.convergence.termination, end);
        assert!(
            found.certificate.unwrap().contains(0.0, 0.0)
                || found.certificate.unwrap().lower >= 0.0
        );
        assert!(!found.convergence.history.is_empty());
    }
    let mut off = Context::new().certified(Certify::Off);
    let found = solver.solve_with(&problem, &mut off).unwrap();
    assert!(found.certificate.is_none() && found.convergence.converged());
    let again = solver.solve(&problem).unwrap();
    assert_eq!(found.potentials, again.potentials);
    assert_eq!(found.transport_cost, again.transport_cost);
}

#[test]
fn other_costs_and_settings_are_refused() {
    let problem = Problem::from_slices(&[1.0], &[1.0], &[1.0]).unwrap();
    let solver = TreeFactory.build(&Options::default()).unwrap();
    let said = solver.solve(&problem).unwrap_err().to_string();
    assert_eq!(
        said,
        "`tree` can't solve this problem: it lacks `costs other than paths on a tree`"
    );
    assert!(solver.accepts(&problem).is_err());
    let cost = TreeCost::new(Tree::new(&[0], &[0.0]).unwrap(), &[0], &[0]).unwrap();
    let one = Measure::uniform(1).unwrap();
    let partial = Problem::partial(one.clone(), one, Arc::new(cost), 0.5).unwrap();
    let said = solver.solve(&partial).unwrap_err().to_string();
    assert!(said.contains("partial"), "{said}");
    assert!(solver.capabilities().has(Capability::Exact));
    let whole = Arc::new(TreeCost::new(Tree::new(&[0], &[0.0]).unwrap(), &[0], &[0]).unwrap());
    let whole = Problem::new(problem.a().clone(), problem.b().clone(), whole).unwrap();
    let options = Options {
        tol: Some(1e-13),
        ..Options::default()
    };
    let tight = TreeFactory.build(&options).unwrap();
    let said = tight.solve(&whole).unwrap_err().to_string();
    assert!(said.contains("`tree` reaches 1e-12 at best"), "{said}");
    for (tol, part) in [(-1.0, "positive and finite"), (0.0, "positive and finite")] {
        let options = Options {
            tol: Some(tol),
            ..Options::default()
        };
        let said = TreeFactory.build(&options).err().unwrap().to_string();
        assert!(said.contains(part), "{said}");
    }
    let options = Options {
        max_iter: Some(3),
        ..Options::default()
    };
    let said = TreeFactory.build(&options).err().unwrap().to_string();
    assert!(said.contains("has no such setting; it has tol"), "{said}");
}

#[test]
fn gradients_of_the_loss_are_those_of_finite_differences() {
    let parent = [4, 4, 5, 5, 6, 6, 6, 6];
    let length = [1.0, 0.5, 2.0, 1.0, 0.25, 1.5, 0.0, 0.75];
    let tree = Tree::new(&parent, &length).unwrap();
    let nodes = [0, 1, 2, 3, 7, 4];
    let p = [0.2, 0.31, 0.08, 0.14, 0.17, 0.1];
    let q = [0.11, 0.05, 0.33, 0.2, 0.21, 0.1];
    for rho in [1.0, 1.5, 2.0, 3.7] {
        let at = |p: &[f64]| hierarchical_emd_at(&tree, &nodes, p, &q, rho).unwrap();
        let found = at(&p);
        let h = 1e-5;
        for k in 0..p.len() {
            let (mut up, mut down) = (p, p);
            up[k] += h;
            down[k] -= h;
            let slope = (at(&up).value - at(&down).value) / (2.0 * h);
            assert!(
                (slope - found.gradient[k]).abs() < 1e-7,
                "{rho} {k}: {slope} {}",
                found.gradient[k]
            );
        }
        // q's is the negative.
        let swapped = hierarchical_emd_at(&tree, &nodes, &q, &p, rho).unwrap();
        let sum = found
            .gradient
            .iter()
            .zip(&swapped.gradient)
            .map(|(u, v)| (u + v).abs());
        assert!(sum.sum::<f64>() < 1e-14);
        assert_eq!(found.value, swapped.value);
    }
}
