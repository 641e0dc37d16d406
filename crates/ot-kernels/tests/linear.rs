//! Products of rows on every path against plain loops.

use ot_kernels::Isa;
use ot_kernels::linear::{add_scaled_with, product_sum_with, pull_with};
use proptest::prelude::*;

proptest! {
    #[test]
    fn equal_plain_loops(
        rows in prop::collection::vec((-3.0..3.0_f64, -3.0..3.0_f64, -3.0..3.0_f64), 0..90),
        factor in -2.0..2.0_f64,
    ) {
        let x: Vec<f64> = rows.iter().map(|r| r.0).collect();
        let y: Vec<f64> = rows.iter().map(|r| r.1).collect();
        let start: Vec<f64> = rows.iter().map(|r| r.2).collect();
        let exact: f64 = x.iter().zip(&y).map(|(x, y)| x * y).sum();
        let pulled: f64 = x.iter().zip(&y).map(|(x, w)| w * (factor - x)).sum();
        for isa in Isa::available() {
            prop_assert!((product_sum_with(isa, &x, &y) - exact).abs() < 1e-12);
            let mut out = start.clone();
            add_scaled_with(isa, factor, &x, &mut out);
            for j in 0..x.len() {
                prop_assert!((out[j] - (start[j] + factor * x[j])).abs() < 1e-14);
            }
            let mut back = start.clone();
            prop_assert!((pull_with(isa, factor, &x, &y, &mut back) - pulled).abs() < 1e-12);
            for j in 0..x.len() {
                prop_assert!((back[j] - (start[j] - y[j] * (factor - x[j]))).abs() < 1e-14);
            }
        }
    }
}
