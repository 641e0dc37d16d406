//! The passes between a network's products, against the same in plain words, on every instruction set.
#![allow(clippy::unwrap_used)]

use ot_kernels::gemm::{Matrix, multiply};
use ot_kernels::neural::{
    AdamStep, adam, add_row_sums, all_finite, column_sums, dot, finish_rows, finish_with, leaky,
    leaky_back_with, less_rank_one, tanh_back, tanh_with, turn,
};
use ot_kernels::{Elem, Isa};
use proptest::prelude::*;

fn noise(count: usize, seed: u64) -> Vec<f64> {
    (0..count)
        .map(|i| 2.0 * ((i as f64 + 1.0) * (seed as f64 + 0.618_033_988_75)).fract() - 1.0)
        .collect()
}

fn narrow<E: Elem>(x: &[f64]) -> Vec<E> {
    x.iter().map(|x| E::from_f64(*x)).collect()
}

fn near<E: Elem>(x: &[E], y: &[f64], tol: f64) {
    assert_eq!(x.len(), y.len());
    for (at, (x, y)) in x.iter().zip(y).enumerate() {
        let x: f64 = (*x).into();
        assert!((x - y).abs() <= tol * (1.0 + y.abs()), "{at}: {x} {y}");
    }
}

fn passes<E: Elem>(rows: usize, width: usize, tol: f64) {
    let (x, y, bias) = (
        noise(rows * width, 1),
        noise(rows * width, 2),
        noise(width, 3),
    );
    let of = |x: &[f64]| narrow::<E>(x);
    let rectified = |x: f64| if x > 0.0 { x } else { 0.2 * x };
    let columns = || bias.iter().cycle();
    for isa in Isa::available() {
        let mut out = of(&x);
        finish_with(isa, &of(&bias), None, &mut out);
        let plain: Vec<f64> = x.iter().zip(columns()).map(|(x, b)| x + b).collect();
        near(&out, &plain, tol);
        let mut out = of(&x);
        let slope = E::from_f64(0.2);
        finish_with(isa, &of(&bias), Some(slope), &mut out);
        let plain: Vec<f64> = plain.into_iter().map(rectified).collect();
        near(&out, &plain, tol);
        let mut by = of(&y);
        leaky_back_with(isa, slope, &of(&x), &mut by);
        let pulled = x.iter().zip(&y);
        let pulled: Vec<f64> = pulled
            .map(|(x, y)| if *x > 0.0 { *y } else { 0.2 * y })
            .collect();
        near(&by, &pulled, tol);
    }
    let (biases, mut out) = (noise(rows, 6), of(&x));
    finish_rows(&of(&biases), Some(E::from_f64(0.2)), &mut out);
    let plain: Vec<f64> = (0..x.len())
        .map(|at| rectified(x[at] + biases[at / width]))
        .collect();
    near(&out, &plain, tol);
    let mut out = of(&x);
    leaky(E::from_f64(0.2), &mut out);
    near(
        &out,
        &x.iter().copied().map(rectified).collect::<Vec<_>>(),
        tol,
    );
    let mut by = of(&y);
    tanh_back(&of(&x), &mut by);
    let pulled: Vec<f64> = x.iter().zip(&y).map(|(t, g)| g * (1.0 - t * t)).collect();
    near(&by, &pulled, tol);
    let mut sums = vec![E::INFINITY; width];
    column_sums(&of(&x), &mut sums);
    let plain: Vec<f64> = (0..width)
        .map(|j| (0..rows).map(|i| x[i * width + j]).sum())
        .collect();
    near(&sums, &plain, tol);
    let mut sums = of(&noise(rows, 5));
    add_row_sums(&of(&x), width, &mut sums);
    let plain = noise(rows, 5).into_iter().enumerate();
    let plain: Vec<f64> = plain
        .map(|(i, s)| s + x[i * width..][..width].iter().sum::<f64>())
        .collect();
    near(&sums, &plain, tol);
    let product: f64 = x.iter().zip(&y).map(|(x, y)| x * y).sum();
    near(&[dot(&of(&x), &of(&y))], &[product], tol);
    let (u, mut out) = (noise(rows, 7), of(&x));
    less_rank_one(
        E::from_f64(2.0),
        E::from_f64(0.3),
        &of(&u),
        &of(&bias),
        &mut out,
    );
    let plain: Vec<f64> = (0..rows * width)
        .map(|at| 2.0 * (x[at] - 0.3 * u[at / width] * bias[at % width]))
        .collect();
    near(&out, &plain, tol);
}

/// Every entry once, and nothing beside them.
fn turned<E: Elem>(rows: usize, columns: usize, more: usize) {
    let apart = rows + more;
    let x: Vec<E> = (0..rows * columns).map(|k| E::from_f64(k as f64)).collect();
    let mut out = vec![E::from_f64(-1.0); apart * columns];
    turn(&x, columns, (rows, columns), &mut out, apart);
    for (at, o) in out.iter().enumerate() {
        let (c, r) = (at / apart, at % apart);
        let expected = if r < rows {
            (r * columns + c) as f64
        } else {
            -1.0
        };
        assert_eq!(*o, E::from_f64(expected));
    }
}

fn step<E: Elem>(n: usize, tol: f64) {
    let of = |x: &[f64]| narrow::<E>(x);
    let (g, m, v, theta) = (noise(n, 1), noise(n, 2), noise(n, 3), noise(n, 4));
    let v: Vec<f64> = v.iter().map(|v| v.abs()).collect();
    let (mut mean, mut squares, mut moved) = (of(&m), of(&v), of(&theta));
    let number = E::from_f64;
    let numbers = AdamStep {
        first: (number(0.9), number(0.1)),
        second: (number(0.75), number(0.25)),
        rate: number(0.02),
        scale: number(4.0),
        eps: number(0.01),
    };
    adam(numbers, &of(&g), &mut mean, &mut squares, &mut moved);
    let m: Vec<f64> = m.iter().zip(&g).map(|(m, g)| 0.9 * m + 0.1 * g).collect();
    let v: Vec<f64> = v
        .iter()
        .zip(&g)
        .map(|(v, g)| 0.75 * v + 0.25 * g * g)
        .collect();
    near(&mean, &m, tol);
    near(&squares, &v, tol);
    let plain: Vec<f64> = (0..n)
        .map(|k| theta[k] - 0.02 * m[k] / ((4.0 * v[k]).sqrt() + 0.01))
        .collect();
    near(&moved, &plain, tol);
}

fn product<E: Elem>(
    (m, n, terms): (usize, usize, usize),
    sides: (bool, bool),
    add: bool,
    tol: f64,
) {
    let (a, b, before) = (noise(m * terms, 1), noise(terms * n, 2), noise(m * n, 3));
    let mut plain = if add {
        before.clone()
    } else {
        vec![0.0; m * n]
    };
    // Turned: rows of the entries are columns of the factor.
    let left = |i: usize, p: usize| {
        if sides.0 {
            a[p * m + i]
        } else {
            a[i * terms + p]
        }
    };
    let right = |p: usize, j: usize| {
        if sides.1 {
            b[j * terms + p]
        } else {
            b[p * n + j]
        }
    };
    for i in 0..m {
        for j in 0..n {
            plain[i * n + j] += 0.5 * (0..terms).map(|p| left(i, p) * right(p, j)).sum::<f64>();
        }
    }
    let (a, b) = (narrow::<E>(&a), narrow::<E>(&b));
    let a = if sides.0 {
        Matrix::new(&a, terms, m).turned()
    } else {
        Matrix::new(&a, m, terms)
    };
    let b = if sides.1 {
        Matrix::new(&b, n, terms).turned()
    } else {
        Matrix::new(&b, terms, n)
    };
    let mut out = narrow::<E>(&before);
    multiply(E::from_f64(0.5), a, b, add, &mut out);
    near(&out, &plain, tol);
}

proptest! {
    #[test]
    fn passes_of_any_shape(rows in 1_usize..12, width in 1_usize..70) {
        passes::<f64>(rows, width, 1e-14);
        passes::<f32>(rows, width, 1e-5);
        step::<f64>(rows * width, 1e-14);
        step::<f32>(rows * width, 1e-5);
    }

    /// One side of at most four, the others long.
    #[test]
    fn products_with_a_thin_side(
        thin in 1_usize..5,
        long in 14_usize..90,
        other in 1_usize..40,
        place in 0_usize..3,
        left in any::<bool>(),
        right in any::<bool>(),
        add in any::<bool>(),
    ) {
        let mut shape = [long, other, long];
        shape[place] = thin;
        let shape = (shape[0], shape[2], shape[1]);
        product::<f64>(shape, (left, right), add, 1e-13);
        product::<f32>(shape, (left, right), add, 2e-5);
    }

    #[test]
    fn turned_of_any_shape(rows in 1_usize..40, columns in 1_usize..40, more in 0_usize..3) {
        turned::<f64>(rows, columns, more);
        turned::<f32>(rows, columns, more);
    }

    #[test]
    fn products_of_any_shape(
        shape in (1_usize..40, 1_usize..40, 0_usize..70),
        left in any::<bool>(),
        right in any::<bool>(),
        add in any::<bool>(),
    ) {
        product::<f64>(shape, (left, right), add, 1e-13);
        product::<f32>(shape, (left, right), add, 2e-5);
    }
}

#[test]
fn products_too_long_for_the_stack() {
    for n in [64, 65, 1024, 1025] {
        for shape in [(7, n, 2), (7, 2, n), (2, n, 7), (n, 2, 7), (n, 4, 3)] {
            for sides in [(false, false), (true, false), (false, true), (true, true)] {
                product::<f64>(shape, sides, false, 1e-12);
            }
        }
    }
}

#[test]
fn tanh_is_that_of_the_library() {
    let x: Vec<f64> = (-4000..4000).map(|k| f64::from(k) * 5.3e-3).collect();
    let small = x.iter().map(|x| x * 1e-6);
    let x: Vec<f64> = x
        .iter()
        .copied()
        .chain(small)
        .chain([0.0, 1e-300, -800.0])
        .collect();
    for isa in Isa::available() {
        let mut out = x.clone();
        tanh_with(isa, &mut out);
        for (x, t) in x.iter().zip(&out) {
            let ulp = (t - x.tanh()).abs() / (f64::EPSILON * x.tanh().abs()).max(f64::MIN_POSITIVE);
            assert!(ulp <= 3.0, "{isa:?}: tanh {x} = {t}, {ulp} ulp");
        }
        let single = narrow::<f32>(&x);
        let mut out = single.clone();
        tanh_with(isa, &mut out);
        for (x, t) in single.iter().zip(&out) {
            let exact = f64::from(*x).tanh();
            let unit = (f64::from(f32::EPSILON) * exact.abs()).max(f64::from(f32::MIN_POSITIVE));
            let ulp = (f64::from(*t) - exact).abs() / unit;
            assert!(ulp <= 2.0, "{isa:?}: tanh {x} = {t}, {ulp} ulp");
        }
        let mut odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        tanh_with(isa, &mut odd);
        assert!(odd[0].is_nan() && odd[1..] == [1.0, -1.0]);
    }
}

#[test]
fn what_is_no_number_is_seen_and_goes_on() {
    for at in [0, 31, 32, 70] {
        let mut x = vec![f32::MAX; 71];
        assert!(all_finite(&x));
        x[at] = f32::NAN;
        assert!(!all_finite(&x));
        x[at] = f32::NEG_INFINITY;
        assert!(!all_finite(&x));
    }
    let mut out = [f64::NAN, -f64::INFINITY];
    finish_with(Isa::Portable, &[0.0], Some(0.0), &mut out);
    assert!(out.iter().all(|x| x.is_nan()));
}
