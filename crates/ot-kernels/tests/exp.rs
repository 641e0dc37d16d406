//! Every path of the exponentials against the standard library, and at the ends of the range.

use ot_kernels::Isa;
use ot_kernels::exp::{exp_in_place_with, exp_with, gibbs_row_f32_with, gibbs_row_with};
use proptest::prelude::*;

fn ulps(x: f64, y: f64) -> u64 {
    (x.to_bits() as i64).abs_diff(y.to_bits() as i64)
}

fn ulps32(x: f32, y: f32) -> u32 {
    (x.to_bits() as i32).abs_diff(y.to_bits() as i32)
}

#[test]
fn f64_over_the_whole_range() {
    let x: Vec<f64> = (0..200_003)
        .map(|i| -708.39 + 1418.17 * f64::from(i) / 200_002.0)
        .collect();
    for isa in Isa::available() {
        let mut y = vec![0.0; x.len()];
        exp_with(isa, &x, &mut y);
        for (x, y) in x.iter().zip(&y) {
            // The reference itself is within 0.51 ulp, so two differences of the last place mean ≤ 1.51 ulp.
            assert!(
                ulps(*y, x.exp()) <= 1,
                "{isa:?}: exp({x:e}) = {y:e}, std {:e}",
                x.exp()
            );
        }
    }
}

#[test]
fn f32_over_the_whole_range() {
    let x: Vec<f32> = (0..200_003)
        .map(|i| -87.33 + 176.05 * i as f32 / 200_002.0)
        .collect();
    for isa in Isa::available() {
        let mut y = vec![0.0; x.len()];
        exp_with(isa, &x, &mut y);
        for (x, y) in x.iter().zip(&y) {
            let reference = f64::from(*x).exp() as f32;
            assert!(
                ulps32(*y, reference) <= 1,
                "{isa:?}: exp({x:e}) = {y:e}, {reference:e}"
            );
        }
    }
}

#[test]
fn ends_of_the_range() {
    let payload = f64::from_bits(0x7ff8_0000_0000_0fff);
    let x = [
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        payload,
        -payload,
        0.0,
        -0.0,
        709.78,
        709.79,
        1e300,
        -708.39,
        -708.5,
        -745.0,
        -1e300,
        f64::MIN_POSITIVE,
        f64::MAX,
        f64::MIN,
    ];
    for isa in Isa::available() {
        let mut y = x;
        exp_in_place_with(isa, &mut y);
        for (x, y) in x.iter().zip(&y) {
            let reference = x.exp();
            let flushed = if reference < f64::MIN_POSITIVE {
                0.0
            } else {
                reference
            };
            assert!(
                (x.is_nan() && y.is_nan()) || ulps(*y, flushed) <= 1,
                "{isa:?}: exp({x:e}) = {y:e}, expected {flushed:e}"
            );
        }
        let x32 = x.map(|x| x as f32);
        let mut y32 = x32;
        exp_in_place_with(isa, &mut y32);
        for (x, y) in x32.iter().zip(&y32) {
            let reference = f64::from(*x).exp() as f32;
            let flushed = if reference < f32::MIN_POSITIVE {
                0.0
            } else {
                reference
            };
            assert!(
                (x.is_nan() && y.is_nan()) || ulps32(*y, flushed) <= 1,
                "{isa:?}: exp({x:e}) = {y:e}, expected {flushed:e}"
            );
        }
    }
}

#[test]
fn last_normal_results_are_kept_and_the_next_are_zero() {
    for isa in Isa::available() {
        for (x, positive) in [(-708.396_418_532_264, true), (-708.396_418_532_265, false)] {
            let mut y = [x];
            exp_in_place_with(isa, &mut y);
            assert_eq!(y[0] > 0.0, positive, "{isa:?} {x}");
        }
        for (x, positive) in [(-87.336_5_f32, true), (-87.336_6, false)] {
            let mut y = [x];
            exp_in_place_with(isa, &mut y);
            assert_eq!(y[0] > 0.0, positive, "{isa:?} {x}");
        }
    }
}

#[test]
fn forbidden_pairs_give_zero() {
    let cost = [
        1.0,
        f64::INFINITY,
        0.5,
        f64::INFINITY,
        2.0,
        1.0,
        1.0,
        1.0,
        f64::INFINITY,
    ];
    let g = [0.25; 9];
    for isa in Isa::available() {
        let mut out = [f64::NAN; 9];
        gibbs_row_with(isa, &cost, 0.125, &g, 4.0, &mut out);
        for (c, k) in cost.iter().zip(out) {
            assert_eq!(k == 0.0, c.is_infinite());
        }
    }
}

proptest! {
    #[test]
    fn any_length_and_any_bits(bits in prop::collection::vec(any::<u64>(), 0..70)) {
        let x: Vec<f64> = bits.into_iter().map(f64::from_bits).collect();
        for isa in Isa::available() {
            let mut y = vec![7.0; x.len()];
            exp_with(isa, &x, &mut y);
            for (x, y) in x.iter().zip(&y) {
                let reference = x.exp();
                let flushed = if reference < f64::MIN_POSITIVE { 0.0 } else { reference };
                prop_assert!((x.is_nan() && y.is_nan()) || ulps(*y, flushed) <= 1,
                    "{:?}: exp({:e}) = {:e}", isa, x, y);
            }
        }
    }

    #[test]
    fn gibbs_row_in_all_types(
        row in prop::collection::vec((0.0..50.0_f64, -20.0..20.0_f64), 0..70),
        f in -20.0..20.0_f64,
        inv_eps in 0.01..5.0_f64,
    ) {
        let cost: Vec<f64> = row.iter().map(|r| r.0).collect();
        let cost32: Vec<f32> = cost.iter().map(|&c| c as f32).collect();
        let g: Vec<f64> = row.iter().map(|r| r.1).collect();
        let g32: Vec<f32> = g.iter().map(|&c| c as f32).collect();
        let n = cost.len();
        for isa in Isa::available() {
            let (mut dd, mut df) = (vec![0.0_f64; n], vec![0.0_f32; n]);
            let (mut fd, mut ff) = (vec![0.0_f64; n], vec![0.0_f32; n]);
            let mut single = vec![0.0_f32; n];
            gibbs_row_with(isa, &cost, f, &g, inv_eps, &mut dd);
            gibbs_row_with(isa, &cost, f, &g, inv_eps, &mut df);
            gibbs_row_with(isa, &cost32, f, &g, inv_eps, &mut fd);
            gibbs_row_with(isa, &cost32, f, &g, inv_eps, &mut ff);
            gibbs_row_f32_with(isa, &cost32, f as f32, &g32, inv_eps as f32, &mut single);
            for j in 0..n {
                let exact = ((f + g[j] - cost[j]) * inv_eps).exp();
                let exact32 = ((f + g[j] - f64::from(cost32[j])) * inv_eps).exp();
                prop_assert!((dd[j] / exact - 1.0).abs() < 1e-15, "{} {}", dd[j], exact);
                prop_assert!((fd[j] / exact32 - 1.0).abs() < 1e-15, "{} {}", fd[j], exact32);
                if exact > 1e-37 && exact < 1e38 {
                    prop_assert!((f64::from(df[j]) / exact - 1.0).abs() < 7e-8);
                    prop_assert!((f64::from(ff[j]) / exact32 - 1.0).abs() < 7e-8);
                    let bound = 2e-7 + 3e-7 * (f.abs() + g[j].abs() + cost[j]) * inv_eps;
                    prop_assert!((f64::from(single[j]) / exact - 1.0).abs() < bound);
                }
            }
        }
    }
}
