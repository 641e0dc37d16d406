//! One path on one thread, to 1e-9, with its time.
use std::time::Instant;

use ot_entropic::dual::Dual;
use ot_entropic::path::{Followed, Path, follow};

/// The balanced problem of these weights.
pub(crate) fn balanced<'a>(cost: &'a [f64], a: &'a [f64], b: &'a [f64]) -> Dual<'a, f64> {
    Dual {
        cost,
        a,
        b,
        gamma_a: f64::INFINITY,
        gamma_b: f64::INFINITY,
    }
}

/// Follows the path to `relative` times the largest cost; prints each step if it is asked to. Also the seconds.
pub(crate) fn timed(dual: Dual<'_, f64>, relative: f64, is_verbose: bool) -> (Followed, f64) {
    let max = dual.cost.iter().fold(0.0_f64, |t, c| t.max(*c));
    let min = dual.cost.iter().fold(f64::INFINITY, |t, c| t.min(*c));
    let path = Path {
        reg: relative * max,
        tol: 1e-9,
        spread: max - min,
        threads: 1,
    };
    let start = Instant::now();
    let found = follow(dual, path, None, &mut |s, _| {
        if is_verbose {
            println!(
                "   {:8.4} s, step {}: eps {:.2e}, error {:.2e}",
                start.elapsed().as_secs_f64(),
                s.steps,
                s.eps / max,
                s.error
            );
        }
        true
    });
    (found, start.elapsed().as_secs_f64())
}
