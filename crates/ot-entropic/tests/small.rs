//! Small problems with few pairs, where a plan is a tree and iterations end abruptly.

use ot_entropic::choose::{Method, Task, solve};
use ot_entropic::dual::Dual;
use ot_entropic::path::End;
use ot_entropic::scaling::Acceleration;

#[test]
fn three_by_two() {
    let dual = Dual {
        cost: &[0.0, 2.0, 1.0, 0.5, 3.0, 1.0],
        a: &[0.5, 0.25, 0.25],
        b: &[0.6, 0.4],
        gamma_a: f64::INFINITY,
        gamma_b: f64::INFINITY,
    };
    for reg in [3.0, 0.3, 0.1, 0.03, 0.02, 0.016, 1e-2, 1e-3, 1e-4] {
        let anderson = Method::Scaling {
            acceleration: Acceleration::Anderson,
            by_stages: false,
        };
        for (method, tol) in [
            (Method::Auto, 1e-10),
            (Method::Auto, 9e-10),
            (Method::Newton, 1e-10),
            (anderson, 9e-10),
        ] {
            // Below, plain steps contract by e^{−1/ε}, and there is nothing to mix: `auto` takes another method.
            if method == anderson && reg < 3e-2 {
                continue;
            }
            let task = Task {
                reg,
                tol,
                spread: 3.0,
                max_iter: 10_000,
                threads: 1,
            };
            let found = solve(dual, task, method, None, &mut |_, _| true);
            assert_eq!(
                found.end,
                End::Converged,
                "{reg} {method:?} {:?} {:?}",
                found.work,
                found.point
            );
        }
    }
}
