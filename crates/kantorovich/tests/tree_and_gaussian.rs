//! What `auto` makes of the closed forms `tree` and `gaussian`.
#![cfg(all(
    feature = "tree",
    feature = "gaussian",
    feature = "network-simplex",
    feature = "sinkhorn"
))]
#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

use std::sync::Arc;

use kantorovich::closed::tree::{LabelTree, hierarchical_emd_at};
use kantorovich::{
    Context, Error, Ground, Measure, Options, Problem, Reg, Registry, Solver, Tree, TreeCost,
};

fn on_a_tree(n: usize) -> Problem {
    let parent: Vec<usize> = (0..n).map(|k| k.saturating_sub(1) / 3).collect();
    let tree = Tree::new(&parent, &vec![1.0; n]).unwrap();
    let nodes: Vec<usize> = (0..n).collect();
    let turned: Vec<usize> = (0..n).rev().collect();
    let cost = TreeCost::new(tree, &nodes, &turned).unwrap();
    let weights =
        |k: usize| Measure::new((0..n).map(|i| 1.0 + (i * k % 7) as f64).collect::<Vec<_>>());
    let (a, b) = (
        weights(3).unwrap().normalized(),
        weights(5).unwrap().normalized(),
    );
    Problem::new(a, b, Arc::new(cost)).unwrap()
}

#[test]
fn trees_go_to_the_tree_and_others_never() {
    let registry = Registry::new();
    let auto = registry.auto(&Options::default()).unwrap();
    let pick = |problem: &Problem| auto.pick(problem, &Context::new()).unwrap().0.to_owned();
    // Of any size: more pairs than an exact solver gets elsewhere.
    for n in [3, 40, 20_000] {
        assert_eq!(pick(&on_a_tree(n)), "tree");
    }
    let large = auto
        .solve(&on_a_tree(20_000))
        .unwrap()
        .require_converged()
        .unwrap();
    assert_eq!(large.solver, "tree");
    assert!(large.certificate.unwrap().gap() < 1e-12);
    let problem = on_a_tree(40);
    let exact = auto.solve(&problem).unwrap().transport_cost;
    // With a reg the entropic ones take the same cost.
    let options = Options {
        reg: Some(Reg::Relative(0.02)),
        ..Options::default()
    };
    let soft = registry.auto(&options).unwrap().solve(&problem).unwrap();
    assert_ne!(soft.solver, "tree");
    assert!(soft.certificate.unwrap().contains(exact, 1e-12));
    let simplex = registry
        .build("network-simplex", &Options::default())
        .unwrap();
    assert!((simplex.solve(&problem).unwrap().transport_cost - exact).abs() < 1e-12);
    // Partial problems go elsewhere.
    let (a, b) = (problem.a().clone(), problem.b().clone());
    let part = Problem::partial(a, b, problem.shared_cost(), 0.5).unwrap();
    assert_eq!(pick(&part), "network-simplex");
    let matrix = Problem::from_slices(&[1.0], &[1.0], &[1.0]).unwrap();
    assert_eq!(pick(&matrix), "network-simplex");
}

#[test]
fn gaussians_are_asked_by_name_alone() {
    let registry = Registry::new();
    let w = [0.25; 4];
    let (x, y) = ([0.0, 1.0, 2.0, 5.0, 3.0, 3.0, -1.0, 0.0], [0.0; 8]);
    let points = Problem::from_points(&w, &w, &x, &y, 2, Ground::SqEuclidean).unwrap();
    let auto = registry.auto(&Options::default()).unwrap();
    assert_ne!(auto.pick(&points, &Context::new()).unwrap().0, "gaussian");
    let exact = auto.solve(&points).unwrap().transport_cost;
    let named = registry.build("gaussian", &Options::default()).unwrap();
    // To a point, the moments tell all.
    assert!((named.solve(&points).unwrap().objective / exact - 1.0).abs() < 1e-12);
    let matrix = Problem::from_slices(&[1.0], &[1.0], &[1.0]).unwrap();
    assert!(matches!(
        named.solve(&matrix),
        Err(Error::Unsupported { .. })
    ));
    // Alone it is never picked.
    let alone = Registry::empty().with(kantorovich::closed::gaussian::GaussianFactory);
    let auto = alone.auto(&Options::default()).unwrap();
    assert!(matches!(
        auto.solve(&points),
        Err(Error::Unsupported { .. })
    ));
}

#[test]
fn a_loss_over_labels() -> Result<(), Error> {
    let labels = ["animal/cat", "animal/dog", "tool/saw"];
    let hierarchy = LabelTree::from_paths(&labels, '/', |_| 0.5)?;
    let loss = |p: &[f64]| {
        hierarchical_emd_at(
            hierarchy.tree(),
            hierarchy.labels(),
            p,
            &[1.0, 0.0, 0.0],
            1.0,
        )
    };
    // A wrong animal is half as wrong as a tool.
    assert!((loss(&[0.0, 1.0, 0.0])?.value - 1.0).abs() < 1e-15);
    assert!((loss(&[0.0, 0.0, 1.0])?.value - 2.0).abs() < 1e-15);
    Ok(())
}
