//! Reductions on every path against plain loops and exact sums.

use ot_kernels::Isa;
use ot_kernels::reduce::{
    col_min_update_with, dot_with, l1_distance_with, plain_sum_with, row_log_sum_exp_f32_with,
    row_log_sum_exp_with, row_min_arg_with, scan_with, sum_with,
};
use proptest::prelude::*;

fn log_sum_exp(cost: &[f64], g: &[f64], inv_eps: f64) -> f64 {
    let x: Vec<f64> = cost.iter().zip(g).map(|(c, g)| (g - c) * inv_eps).collect();
    let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest.is_infinite() {
        return largest;
    }
    largest + x.iter().map(|x| (x - largest).exp()).sum::<f64>().ln()
}

fn cost() -> impl Strategy<Value = f64> {
    prop_oneof![6 => -50.0..50.0_f64, 1 => Just(f64::INFINITY), 2 => (-3..3_i32).prop_map(f64::from)]
}

fn row() -> impl Strategy<Value = Vec<(f64, f64)>> {
    let g = prop_oneof![3 => -9.0..9.0_f64, 1 => Just(f64::NEG_INFINITY), 3 => Just(1.0)];
    prop::collection::vec((cost(), g), 0..90)
}

proptest! {
    #[test]
    fn soft_minimum(row in row(), inv_eps in 0.01..100.0_f64) {
        let (cost, g): (Vec<f64>, Vec<f64>) = row.into_iter().unzip();
        let cost32: Vec<f32> = cost.iter().map(|&c| c as f32).collect();
        let g32: Vec<f32> = g.iter().map(|&g| g as f32).collect();
        let rounded: Vec<f64> = cost32.iter().map(|&c| f64::from(c)).collect();
        let (exact, of_rounded) = (log_sum_exp(&cost, &g, inv_eps), log_sum_exp(&rounded, &g, inv_eps));
        for isa in Isa::available() {
            let x = row_log_sum_exp_with(isa, &cost, &g, inv_eps);
            prop_assert!(x == exact || (x - exact).abs() < 1e-14 * (60.0 * inv_eps + 1.0), "{:?} {} {}", isa, x, exact);
            let x = row_log_sum_exp_with(isa, &cost32, &g, inv_eps);
            prop_assert!(x == of_rounded || (x - of_rounded).abs() < 1e-14 * (60.0 * inv_eps + 1.0));
            let x = row_log_sum_exp_f32_with(isa, &cost32, &g32, inv_eps as f32);
            prop_assert!(x == of_rounded || (x - of_rounded).abs() < 1e-5 * (60.0 * inv_eps + 1.0));
        }
    }

    #[test]
    fn hard_minima(row in row(), f in -5.0..5.0_f64) {
        let (cost, g): (Vec<f64>, Vec<f64>) = row.into_iter().unzip();
        let cost32: Vec<f32> = cost.iter().map(|&c| c as f32).collect();
        let g: Vec<f64> = g.into_iter().map(|g| g.max(-9.0)).collect();
        let first_least = |cost: &dyn Fn(usize) -> f64| {
            let mut found = (f64::INFINITY, 0);
            for j in 0..g.len() {
                if cost(j) - g[j] < found.0 {
                    found = (cost(j) - g[j], j);
                }
            }
            found
        };
        let start: Vec<f64> = g.iter().map(|g| 3.0 * g).collect();
        for isa in Isa::available() {
            prop_assert_eq!(row_min_arg_with(isa, &cost, &g), first_least(&|j| cost[j]));
            prop_assert_eq!(row_min_arg_with(isa, &cost32, &g), first_least(&|j| f64::from(cost32[j])));
            let (mut out, mut out32) = (start.clone(), start.clone());
            col_min_update_with(isa, &cost, f, &mut out);
            col_min_update_with(isa, &cost32, f, &mut out32);
            for j in 0..g.len() {
                prop_assert_eq!(out[j], start[j].min(cost[j] - f));
                prop_assert_eq!(out32[j], start[j].min(f64::from(cost32[j]) - f));
            }
        }
    }

    #[test]
    fn sums_cancel_exactly(
        x in prop::collection::vec((-1.0..1.0_f64, -60..60_i32), 0..200),
        y in prop::collection::vec(-1.0..1.0_f64, 200),
    ) {
        let x: Vec<f64> = x.into_iter().map(|(x, e)| x * 2.0_f64.powi(e)).collect();
        // x and −x in another order, and one number: the exact sum is that number.
        let mut both = x.clone();
        both.extend(x.iter().rev().map(|x| -x));
        both.push(0.3);
        let mut other: Vec<f64> = y[..x.len()].to_vec();
        other.extend(y[..x.len()].iter().rev());
        other.push(3.0);
        for isa in Isa::available() {
            let size: f64 = x.iter().map(|x| x.abs()).sum();
            let bound = 1e-16 + 1e-29 * size * x.len() as f64;
            prop_assert!((sum_with(isa, &both) - 0.3).abs() <= bound, "{:?} {}", isa, sum_with(isa, &both));
            prop_assert!((dot_with(isa, &both, &other) - 0.3 * 3.0).abs() <= 2e-16 + bound);
        }
    }

    #[test]
    fn scan_finds_what_is_there(
        mut x in prop::collection::vec(cost(), 0..2500),
        bad in prop::option::of((0..2500_usize, any::<bool>())),
    ) {
        if let Some((at, nan)) = bad && !x.is_empty() {
            let at = at % x.len();
            x[at] = if nan { f64::NAN } else { f64::NEG_INFINITY };
        }
        let finite = || x.iter().copied().filter(|x| x.is_finite());
        for isa in Isa::available() {
            let seen = scan_with(isa, &x);
            prop_assert_eq!(seen.min, finite().fold(f64::INFINITY, f64::min));
            prop_assert_eq!(seen.max, finite().fold(f64::NEG_INFINITY, f64::max));
            prop_assert_eq!(seen.infinite, x.iter().filter(|&&x| x == f64::INFINITY).count());
            let first = x.iter().position(|x| x.is_nan() || *x == f64::NEG_INFINITY);
            prop_assert_eq!(seen.first_bad, first);
            let x32: Vec<f32> = x.iter().map(|&x| x as f32).collect();
            let seen32 = scan_with(isa, &x32);
            prop_assert_eq!((seen32.infinite, seen32.first_bad), (seen.infinite, first));
            prop_assert_eq!(seen32.min, f64::from(seen.min as f32));
        }
    }

    #[test]
    fn l1(x in prop::collection::vec((-1.0..1.0_f64, -1.0..1.0_f64), 0..100)) {
        let (x, y): (Vec<f64>, Vec<f64>) = x.into_iter().unzip();
        let exact: f64 = x.iter().zip(&y).map(|(x, y)| (x - y).abs()).sum();
        for isa in Isa::available() {
            prop_assert!((l1_distance_with(isa, &x, &y) - exact).abs() < 1e-13);
            let plain: f64 = x.iter().sum();
            prop_assert!((plain_sum_with(isa, &x) - plain).abs() < 1e-13);
        }
    }
}

#[test]
fn finite_extremes_are_no_infinities() {
    let x = [f64::MAX, f64::MIN, 1e-310, -0.0];
    for isa in Isa::available() {
        let seen = scan_with(isa, &x);
        assert_eq!(
            (seen.min, seen.max, seen.infinite, seen.first_bad),
            (f64::MIN, f64::MAX, 0, None)
        );
    }
}

#[test]
fn infinities_and_f32() {
    for isa in Isa::available() {
        assert_eq!(sum_with(isa, &[1.0, f64::INFINITY, 2.0]), f64::INFINITY);
        assert!(sum_with(isa, &[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert_eq!(sum_with(isa, &[0.5_f32; 37]), 18.5);
        assert_eq!(dot_with(isa, &[0.5_f32; 37], &[2.0_f64; 37]), 37.0);
    }
}
