//! Every path of the logarithms against the standard library, and at the ends of the range.

use ot_kernels::Isa;
use ot_kernels::ln::{add_ln_with, ln_with};
use proptest::prelude::*;

/// By how much a logarithm may be off: 2 ulp, of 1 where it is smaller.
fn allowed(y: f64) -> f64 {
    2.0 * f64::EPSILON * y.abs().max(0.5)
}

#[test]
fn over_the_whole_range() {
    let x: Vec<f64> = (0..200_003)
        .map(|i| (-708.39 + 1418.17 * f64::from(i) / 200_002.0).exp())
        .chain((0..50_000).map(|i| 0.5 + f64::from(i) / 20_000.0))
        .chain([1.0, f64::MIN_POSITIVE, f64::MAX])
        .collect();
    for isa in Isa::available() {
        let mut y = vec![0.0; x.len()];
        ln_with(isa, &x, &mut y);
        for (x, y) in x.iter().zip(&y) {
            let (reference, name) = (x.ln(), isa);
            assert!(
                (y - reference).abs() <= allowed(reference),
                "{name:?}: ln {x:e} = {y:e}, std {reference:e}"
            );
        }
    }
}

#[test]
fn ends_of_the_range() {
    let x = [
        1.0,
        0.0,
        -0.0,
        5e-324,
        f64::INFINITY,
        -1.0,
        f64::NEG_INFINITY,
        f64::NAN,
    ];
    for isa in Isa::available() {
        let mut y = [7.0; 8];
        ln_with(isa, &x, &mut y);
        assert_eq!(y[0], 0.0);
        assert_eq!(y[1..4], [f64::NEG_INFINITY; 3]);
        assert_eq!(y[4], f64::INFINITY);
        assert!(y[5..].iter().all(|y| y.is_nan()), "{isa:?}: {y:?}");
    }
}

proptest! {
    #[test]
    fn sums_of_logarithms(
        rows in prop::collection::vec((1e-300..1e300_f64, -10.0..10.0_f64), 0..70),
        weight in -3.0..3.0_f64,
    ) {
        let (x, start): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let mut first = None;
        for isa in Isa::available() {
            let (mut y, mut sum) = (vec![0.0; x.len()], start.clone());
            ln_with(isa, &x, &mut y);
            add_ln_with(isa, weight, &x, &mut sum);
            for (k, sum) in sum.iter().enumerate() {
                prop_assert_eq!(*sum, start[k] + weight * y[k]);
            }
            // The same bits on all.
            let first = first.get_or_insert_with(|| y.clone());
            prop_assert_eq!(&*first, &y);
        }
    }
}
