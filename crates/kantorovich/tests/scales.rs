//! Points of any size: what is solved is the problem, not its underflow.
#![cfg(all(
    feature = "network-simplex",
    feature = "lp-minilp",
    feature = "sinkhorn"
))]

use kantorovich::{Error, Ground, Options, Problem, Reg, Registry, Termination};

/// On a line all of these are |x − y|.
fn grounds() -> [Ground; 4] {
    [
        Ground::Cityblock,
        Ground::Euclidean,
        Ground::Minkowski(3.0),
        Ground::Minkowski(30.0),
    ]
}

#[test]
fn tiny_and_huge_clouds_have_the_cost_of_the_cloud_times_their_size() -> Result<(), Error> {
    let (x, y) = ([0.0, 1.0, 4.0], [0.5, 2.0, 3.5]);
    let (a, b) = ([0.5, 0.25, 0.25], [0.25, 0.25, 0.5]);
    // Sorted: 0.25 of 0 → 0.5, 0.25 of 0 → 2, 0.25 of 1 → 3.5, 0.25 of 4 → 3.5.
    let unit = 0.25 * (0.5 + 2.0 + 2.5 + 0.5);
    let registry = Registry::new();
    for name in ["network-simplex", "lp-minilp", "sinkhorn"] {
        let mut options = Options::default();
        if name == "sinkhorn" {
            options.reg = Some(Reg::Relative(0.05));
        }
        let solver = registry.build(name, &options)?;
        for exponent in [-300, -200, -170, -160, -110, 0, 110, 150, 160, 250, 290] {
            let scale = 10_f64.powi(exponent);
            let of = |p: &[f64]| p.iter().map(|v| v * scale).collect::<Vec<_>>();
            for ground in grounds() {
                let what = format!("{name}, {ground} at {scale:e}");
                let problem = Problem::from_points(&a, &b, &of(&x), &of(&y), 1, ground)?;
                let s = solver.solve(&problem)?.require_converged()?;
                let bracket = s.certificate.expect("certified by default");
                let exact = unit * scale;
                assert!(bracket.contains(exact, 1e-9 * exact), "{what}: {bracket:?}");
                if s.convergence.termination == Termination::Optimal {
                    let off = (s.transport_cost - exact).abs();
                    assert!(off <= 1e-9 * exact, "{what}: {:e}", s.transport_cost);
                    assert!(bracket.gap() <= 1e-9 * exact, "{what}: {bracket:?}");
                }
            }
        }
    }
    Ok(())
}
