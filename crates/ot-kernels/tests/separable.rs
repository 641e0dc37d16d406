//! Products along the axes of arrays, against the sums that they stand for.

use ot_kernels::dispatch::Isa;
use ot_kernels::separable::log::{Way, log_sum_exp_with};
use ot_kernels::separable::product::{least_with, multiply_with};
use ot_kernels::separable::{Axis, LogAxis};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// The coordinates of cell `i`.
fn coordinates(dims: &[usize], mut i: usize) -> Vec<usize> {
    let mut at = vec![0; dims.len()];
    for (k, &d) in dims.iter().enumerate().rev() {
        at[k] = i % d;
        i /= d;
    }
    at
}

fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    (0..count).map(|_| rng.random::<f64>()).collect()
}

/// Any matrices, so that a transposition would show.
fn matrices(dims: &[usize], seed: u64) -> Vec<Vec<f64>> {
    let each = dims.iter().zip(seed..);
    each.map(|(&d, seed)| numbers(d * d, seed)).collect()
}

/// Σ or min over all cells, by the definition.
fn by_definition(
    dims: &[usize],
    x: &[f64],
    start: f64,
    fold: impl Fn(f64, f64, &[(usize, usize)]) -> f64,
) -> Vec<f64> {
    let cells: usize = dims.iter().product();
    (0..cells)
        .map(|i| {
            let at = coordinates(dims, i);
            (0..cells).fold(start, |total, j| {
                let pairs: Vec<_> = at.iter().copied().zip(coordinates(dims, j)).collect();
                fold(total, x[j], &pairs)
            })
        })
        .collect()
}

const SHAPES: [&[usize]; 9] = [
    &[1],
    &[7],
    &[33],
    &[1, 9],
    &[9, 1],
    &[28, 28],
    &[5, 40],
    &[3, 1, 4],
    &[6, 9, 11],
];

#[test]
fn every_shape_on_every_instruction_set() {
    for dims in SHAPES {
        let cells: usize = dims.iter().product();
        let k = matrices(dims, 5);
        let axes: Vec<_> = k.iter().zip(dims).map(|(k, &d)| Axis::new(k, d)).collect();
        let axes: Vec<_> = axes.iter().collect();
        let narrow = |x: &[f64]| -> Vec<f32> { x.iter().map(|&x| x as f32).collect() };
        let axes32: Vec<_> = (k.iter().zip(dims))
            .map(|(k, &d)| Axis::new(&narrow(k), d))
            .collect();
        let axes32: Vec<_> = axes32.iter().collect();
        // Two arrays at once, the second a multiple of the first.
        let one = numbers(cells, 1);
        let x: Vec<f64> = one
            .iter()
            .copied()
            .chain(one.iter().map(|x| 0.5 * x))
            .collect();
        let of = |f: &dyn Fn(usize, usize, usize) -> f64, pairs: &[(usize, usize)]| -> Vec<f64> {
            pairs
                .iter()
                .enumerate()
                .map(|(a, &(i, j))| f(a, i, j))
                .collect()
        };
        let entry = |a: usize, i: usize, j: usize| k[a][i * dims[a] + j];
        let sums = by_definition(dims, &one, 0.0, |total, x, pairs| {
            total + x * of(&entry, pairs).iter().product::<f64>()
        });
        let minima = by_definition(dims, &one, f64::INFINITY, |least, x, pairs| {
            least.min(x + of(&entry, pairs).iter().sum::<f64>())
        });
        for isa in Isa::available() {
            let (mut out, mut room) = (vec![0.0; 2 * cells], vec![0.0; 2 * cells]);
            multiply_with(isa, &axes, &x, &mut out, &mut room, true);
            for (i, &want) in sums.iter().enumerate() {
                assert!(
                    (out[i] - want).abs() <= 1e-14 * want,
                    "{dims:?} {isa:?} {i}"
                );
                assert!((out[cells + i] - 0.5 * want).abs() <= 1e-14 * want);
            }
            least_with(
                isa,
                &axes,
                &one,
                &mut out[..cells],
                &mut room[..cells],
                true,
            );
            for (i, &want) in minima.iter().enumerate() {
                assert!((out[i] - want).abs() <= 4e-15, "{dims:?} {isa:?} {i}");
            }
            let (mut out, mut room) = (vec![0.0_f32; 2 * cells], vec![0.0_f32; 2 * cells]);
            multiply_with(isa, &axes32, &narrow(&x), &mut out, &mut room, false);
            for (i, &want) in sums.iter().enumerate() {
                assert!((f64::from(out[i]) - want).abs() <= 2e-5 * want);
            }
        }
    }
}

/// Σ_k c_k(|i_k − j_k|), the cost by distances, and how many cells lie between two.
fn log_axes(
    dims: &[usize],
    cost: fn(f64) -> f64,
    eps: f64,
    weighted: Option<usize>,
) -> (Vec<Vec<f64>>, Vec<LogAxis>) {
    let c: Vec<Vec<f64>> = dims
        .iter()
        .map(|&d| (0..d).map(|t| cost(t as f64)).collect())
        .collect();
    let axis = |(k, c): (usize, &Vec<f64>)| {
        let largest = c.iter().fold(f64::MIN_POSITIVE, |m, &c| m.max(c));
        let weights: Vec<f64> = c.iter().map(|c| c / largest).collect();
        LogAxis::new(c, 1.0 / eps, (weighted == Some(k)).then_some(&weights))
    };
    let axes = c.iter().enumerate().map(axis).collect();
    (c, axes)
}

/// The log-sum-exp by its definition, each exponent in turn.
fn log_sum_exp_by_definition(
    dims: &[usize],
    c: &[Vec<f64>],
    eps: f64,
    x: &[f64],
    weighted: Option<usize>,
) -> Vec<f64> {
    let cells = x.len();
    (0..cells)
        .map(|i| {
            let at = coordinates(dims, i);
            let mut exponents = Vec::with_capacity(cells);
            let mut weights = Vec::with_capacity(cells);
            for j in 0..cells {
                let there = coordinates(dims, j);
                let part = |k: usize| c[k][at[k].abs_diff(there[k])];
                let cost: f64 = (0..dims.len()).map(part).sum();
                exponents.push(x[j] - cost / eps);
                weights.push(weighted.map_or(1.0, |k| {
                    part(k) / c[k].iter().fold(f64::MIN_POSITIVE, |m, &c| m.max(c))
                }));
            }
            let top = exponents.iter().fold(f64::NEG_INFINITY, |t, &x| t.max(x));
            if top == f64::NEG_INFINITY {
                return top;
            }
            let terms = exponents.iter().zip(&weights);
            top + terms.map(|(x, w)| w * (x - top).exp()).sum::<f64>().ln()
        })
        .collect()
}

fn check_log(dims: &[usize], cost: fn(f64) -> f64, eps: f64, x: &[f64], weighted: Option<usize>) {
    let (c, axes) = log_axes(dims, cost, eps, weighted);
    let axes: Vec<_> = axes.iter().collect();
    let want = log_sum_exp_by_definition(dims, &c, eps, x, weighted);
    let largest = c.iter().flatten().fold(0.0_f64, |m, &c| m.max(c)) / eps;
    let sent = x.iter().filter(|x| x.is_finite());
    let size = sent.fold(largest, |m: f64, x| m.max(x.abs()));
    // What is left of a weighted sum may be small beside what it is a part of.
    let plain = log_sum_exp_by_definition(dims, &c, eps, x, None);
    for isa in Isa::available() {
        let (mut out, mut room) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        log_sum_exp_with(isa, &axes, x, &mut out, &mut room, true);
        for i in 0..x.len() {
            if plain[i] == f64::NEG_INFINITY {
                assert_eq!(out[i], plain[i]);
                continue;
            }
            let off = ((out[i] - plain[i]).exp() - (want[i] - plain[i]).exp()).abs();
            let bound = 1e-14 + 2e-15 * size;
            assert!(
                off <= bound,
                "{dims:?} {eps} {isa:?} {i}: {off:e} > {bound:e}"
            );
        }
    }
}

const COSTS: [fn(f64) -> f64; 2] = [|t| t * t, |t| t];

#[test]
fn logarithms_at_any_regularization() {
    for dims in SHAPES {
        let cells: usize = dims.iter().product();
        for cost in COSTS {
            for eps in [1e-3, 0.05, 0.11, 1.0, 30.0, 1e4] {
                let spread = 3.0 * cost(dims[dims.len() - 1] as f64) / eps;
                let mut x = numbers(cells, 3);
                x.iter_mut().for_each(|x| *x *= spread);
                check_log(dims, cost, eps, &x, None);
                // Cells without mass.
                x.iter_mut().step_by(3).for_each(|x| *x = f64::NEG_INFINITY);
                check_log(dims, cost, eps, &x, None);
                check_log(dims, cost, eps, &x, Some(dims.len() - 1));
            }
        }
    }
}

#[test]
fn each_way_is_taken() {
    let squares: Vec<f64> = (0..64).map(|t| f64::from(t * t)).collect();
    let lines: Vec<f64> = (0..64).map(f64::from).collect();
    let way = |c: &[f64], eps: f64| LogAxis::new(c, 1.0 / eps, None).way();
    assert_eq!(way(&squares, 7.0), Way::Product);
    assert_eq!(way(&squares, 6.0), Way::Blocks);
    assert_eq!(way(&squares, 0.11), Way::Blocks);
    assert_eq!(way(&squares, 0.09), Way::Exponents);
    assert_eq!(way(&lines, 0.1), Way::Product);
    assert_eq!(way(&lines, 0.05), Way::Blocks);
    assert_eq!(way(&lines, 0.001), Way::Exponents);
}

#[test]
fn what_is_not_a_number_is_not_hidden() {
    let (_, axes) = log_axes(&[3, 10], COSTS[0], 1.0, None);
    let axes: Vec<_> = axes.iter().collect();
    for isa in Isa::available() {
        for bad in [f64::NAN, f64::INFINITY] {
            let (mut out, mut room) = ([0.0; 30], [0.0; 30]);
            let mut x = [0.0; 30];
            x[17] = bad;
            log_sum_exp_with(isa, &axes, &x, &mut out, &mut room, false);
            assert!(out.iter().all(|x| x.is_nan()));
        }
        let (mut out, mut room) = ([0.0; 30], [0.0; 30]);
        log_sum_exp_with(
            isa,
            &axes,
            &[f64::NEG_INFINITY; 30],
            &mut out,
            &mut room,
            false,
        );
        assert_eq!(out, [f64::NEG_INFINITY; 30]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]
    #[test]
    fn any_shape(
        dims in prop::collection::vec(1_usize..20, 1..4).prop_filter("small", |d| d.iter().product::<usize>() < 600),
        seed in 0_u64..1000,
        log_eps in -4.0_f64..3.0,
        which in 0_usize..2,
        weighted in any::<bool>(),
    ) {
        let cells: usize = dims.iter().product();
        let eps = 10_f64.powf(log_eps);
        let mut x = numbers(cells, seed);
        x.iter_mut().for_each(|x| *x = if *x < 0.1 { f64::NEG_INFINITY } else { *x * 200.0 / eps });
        check_log(&dims, COSTS[which], eps, &x, weighted.then_some(0));
    }
}
