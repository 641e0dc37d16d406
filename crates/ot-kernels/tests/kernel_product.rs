//! The fused Sinkhorn step and the plain products against sums in the obvious order.

use ot_kernels::Isa;
use ot_kernels::kernel_product::{
    NarrowKernel, ProductWorkspace, Reference, ktu_with, kv_with, scale_rows,
    scale_rows_narrow_with, scale_rows_soft_with, scale_rows_with,
};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

struct Case {
    n: usize,
    m: usize,
    k: Vec<f64>,
    v: Vec<f64>,
    a: Vec<f64>,
    u: Vec<f64>,
}

fn case(n: usize, m: usize, seed: u64) -> Case {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut draw = |len: usize| {
        (0..len)
            .map(|_| rng.random_range(0.01..1.0_f64))
            .collect::<Vec<_>>()
    };
    // Rounded to f32, so that the f32-stored kernel is the same matrix.
    let k = draw(n * m)
        .into_iter()
        .map(|x| f64::from(x as f32))
        .collect();
    let mut a = draw(n);
    if n > 2 {
        a[n / 2] = 0.0;
    }
    Case {
        n,
        m,
        k,
        v: draw(m),
        a,
        u: draw(n),
    }
}

fn close(x: f64, y: f64) -> bool {
    (x - y).abs() <= 1e-13 * y.abs().max(1.0)
}

fn check(c: &Case, power: f64) -> Result<(), TestCaseError> {
    let k32: Vec<f32> = c.k.iter().map(|&x| x as f32).collect();
    let s: Vec<f64> = (0..c.n)
        .map(|i| (0..c.m).map(|j| c.k[i * c.m + j] * c.v[j]).sum())
        .collect();
    let u: Vec<f64> = (0..c.n)
        .map(|i| {
            if c.a[i] == 0.0 {
                0.0
            } else {
                (c.a[i] / s[i]).powf(power)
            }
        })
        .collect();
    let out: Vec<f64> = (0..c.m)
        .map(|j| (0..c.n).map(|i| c.k[i * c.m + j] * u[i]).sum())
        .collect();
    let error: f64 = (0..c.n).map(|i| (c.u[i] * s[i] - c.a[i]).abs()).sum();
    let weighted = || (0..c.n).filter(|&i| c.a[i] > 0.0).map(|i| s[i]);
    let (min, max) = (
        weighted().fold(f64::INFINITY, f64::min),
        weighted().fold(0.0, f64::max),
    );
    for isa in Isa::available() {
        for threads in 1..=5 {
            for single in [false, true] {
                let mut ws = ProductWorkspace::new(c.m, threads);
                let (mut u1, mut s1, mut out1) = (c.u.clone(), vec![0.0; c.n], vec![9.0; c.m]);
                let seen = if single {
                    scale_rows_with(
                        isa, &k32, &c.v, &c.a, power, &mut u1, &mut s1, &mut out1, &mut ws,
                    )
                } else {
                    scale_rows_with(
                        isa, &c.k, &c.v, &c.a, power, &mut u1, &mut s1, &mut out1, &mut ws,
                    )
                };
                if single && power == 1.0 {
                    narrow(c, isa, &k32, &mut ws, (&s, &u, &out), error)?;
                }
                prop_assert!(
                    s1.iter().zip(&s).all(|(x, y)| close(*x, *y)),
                    "s {isa:?} {threads}"
                );
                prop_assert!(
                    u1.iter().zip(&u).all(|(x, y)| close(*x, *y)),
                    "u {isa:?} {threads}"
                );
                prop_assert!(
                    out1.iter().zip(&out).all(|(x, y)| close(*x, *y)),
                    "out {isa:?} {threads}"
                );
                prop_assert!(close(seen.row_error, error));
                prop_assert!(seen.min_sum == min || close(seen.min_sum, min));
                prop_assert!(close(seen.max_sum, max));

                let (mut s2, mut out2) = (vec![0.0; c.n], vec![0.0; c.m]);
                if single {
                    kv_with(isa, &k32, &c.v, &mut s2, threads);
                    ktu_with(isa, &k32, &u, &mut out2, &mut ws);
                } else {
                    kv_with(isa, &c.k, &c.v, &mut s2, threads);
                    ktu_with(isa, &c.k, &u, &mut out2, &mut ws);
                }
                prop_assert!(
                    s2.iter().zip(&s).all(|(x, y)| close(*x, *y)),
                    "kv {isa:?} {threads}"
                );
                prop_assert!(
                    out2.iter().zip(&out).all(|(x, y)| close(*x, *y)),
                    "ktu {isa:?} {threads}"
                );
            }
        }
    }
    Ok(())
}

/// The step in f32 gives the same to the precision of f32, whatever the scales, and what it tells as a difference to
/// a step nearby to the precision of the difference.
fn narrow(
    c: &Case,
    isa: Isa,
    k: &[f32],
    ws: &mut ProductWorkspace,
    (s, u, out): (&[f64], &[f64], &[f64]),
    error: f64,
) -> Result<(), TestCaseError> {
    let near = |x: &[f64], y: &[f64], off: f64| {
        let pairs = x.iter().zip(y);
        pairs.fold(true, |near, (x, y)| near && (x - y).abs() <= off * y.abs())
    };
    let powers = |n: usize, step: usize| -> Vec<f64> {
        (0..n)
            .map(|i| 2.0_f64.powi((i * step % 9) as i32 - 4))
            .collect()
    };
    let (rows, cols) = (powers(c.n, 5), powers(c.m, 7));
    let scaled: Vec<f32> = (0..c.n * c.m)
        .map(|x| (c.k[x] / rows[x / c.m] / cols[x % c.m]) as f32)
        .collect();
    let (no_rows, no_cols) = (vec![1.0; c.n], vec![1.0; c.m]);
    let plain = NarrowKernel {
        entries: k,
        rows: &no_rows,
        cols: &no_cols,
    };
    let scaled = NarrowKernel {
        entries: &scaled,
        rows: &rows,
        cols: &cols,
    };
    // A step from a v that is off by 1e-6 of itself at most.
    let v: Vec<f64> = (c.v.iter().enumerate())
        .map(|(j, v)| v * (1.0 + 1e-6 * ((j % 7) as f64 / 3.0 - 1.0)))
        .collect();
    let (mut s0, mut u0, mut t0) = (vec![0.0; c.n], c.u.clone(), vec![0.0; c.m]);
    scale_rows_with(isa, &c.k, &v, &c.a, 1.0, &mut u0, &mut s0, &mut t0, ws);
    let nearby = Reference {
        v: &v,
        s: &s0,
        u: &u0,
        t: &t0,
    };
    let (zero_rows, zero_cols) = (vec![0.0; c.n], vec![0.0; c.m]);
    let nothing = Reference {
        v: &zero_cols,
        s: &zero_rows,
        u: &zero_rows,
        t: &zero_cols,
    };
    // Twice: the workspace is clean after a call.
    for (k, known, off) in [
        (plain, nothing, 1e-6),
        (plain, nothing, 1e-6),
        (scaled, nothing, 1e-6),
        (scaled, nearby, 2e-12),
    ] {
        let (mut u1, mut s1, mut out1) = (c.u.clone(), vec![0.0; c.n], vec![9.0; c.m]);
        let seen =
            scale_rows_narrow_with(isa, k, known, &c.v, &c.a, &mut u1, &mut s1, &mut out1, ws);
        prop_assert!(
            near(&s1, s, off) && near(&u1, u, off) && near(&out1, out, off),
            "{isa:?} {off}"
        );
        prop_assert!((seen.row_error - error).abs() <= 1e-6 * error.max(1.0));
        let sums = || (0..c.n).filter(|&i| c.a[i] > 0.0).map(|i| s[i] / k.rows[i]);
        let (least, most) = (
            sums().fold(f64::INFINITY, f64::min),
            sums().fold(0.0, f64::max),
        );
        let same = |x: f64, y: f64| x == y || (x - y).abs() <= off * y;
        prop_assert!(same(seen.min_sum, least) && same(seen.max_sum, most));
    }
    Ok(())
}

#[test]
fn products_in_f32_over_many_rows() {
    let c = case(1003, 517, 9);
    check(&c, 1.0).unwrap();
}

proptest! {
    #[test]
    fn any_shape(n in 0..23_usize, m in 1..50_usize, seed in any::<u64>(), relaxed in any::<bool>()) {
        check(&case(n, m, seed), if relaxed { 0.75 } else { 1.0 })?;
    }
}

#[test]
fn same_bits_on_every_run() {
    let c = case(301, 203, 5);
    let run = || {
        let mut ws = ProductWorkspace::new(c.m, 2);
        let (mut u, mut s, mut out) = (c.u.clone(), vec![0.0; c.n], vec![0.0; c.m]);
        let seen = scale_rows(&c.k, &c.v, &c.a, 1.0, &mut u, &mut s, &mut out, &mut ws);
        (u, s, out, seen)
    };
    let first = run();
    for _ in 0..10 {
        assert!(run() == first);
    }
}

#[test]
fn same_bits_wherever_the_kernel_lies_in_memory() {
    let (n, m) = (37, 61);
    let c = case(n, m, 6);
    let run = |shift: usize| {
        let mut k = vec![0.0; shift];
        k.extend(&c.k);
        let mut ws = ProductWorkspace::new(m, 2);
        let (mut u, mut s, mut out) = (c.u.clone(), vec![0.0; n], vec![0.0; m]);
        let seen = scale_rows(
            &k[shift..],
            &c.v,
            &c.a,
            1.0,
            &mut u,
            &mut s,
            &mut out,
            &mut ws,
        );
        (u, s, out, seen)
    };
    let first = run(0);
    for shift in 1..16 {
        assert!(run(shift) == first, "shifted by {shift}");
    }
}

#[test]
fn the_overlapped_loop_is_right() {
    // Stored in f32 and above 16 MiB, rows not a multiple of 4096 bytes.
    let (n, m) = (2051, 2053);
    let k: Vec<f32> = (0..n * m)
        .map(|i| ((i * 7919) % 1001) as f32 * 1e-3)
        .collect();
    let (v, a) = (vec![0.5; m], vec![1.0; n]);
    for isa in Isa::available() {
        let mut ws = ProductWorkspace::new(m, 1);
        let (mut u, mut s, mut out) = (vec![1.0; n], vec![0.0; n], vec![0.0; m]);
        scale_rows_with(isa, &k, &v, &a, 1.0, &mut u, &mut s, &mut out, &mut ws);
        let (mut s2, mut out2) = (vec![0.0; n], vec![0.0; m]);
        kv_with(isa, &k, &v, &mut s2, 1);
        ktu_with(isa, &k, &u, &mut out2, &mut ws);
        assert!(s == s2 && out == out2, "{isa:?}");
    }
}

#[test]
fn empty_rows_and_overflow_are_reported() {
    let (k, v, a) = (
        [0.0, 0.0, 1.0, 1.0, f64::NAN, 1.0],
        [1.0, 2.0],
        [0.5, 0.5, 0.5],
    );
    let report = |rows: usize| {
        let mut ws = ProductWorkspace::new(2, 1);
        let (mut u, mut s, mut out) = ([1.0; 3], [0.0; 3], [0.0; 2]);
        let (k, a) = (&k[..2 * rows], &a[..rows]);
        scale_rows(
            k,
            &v,
            a,
            1.0,
            &mut u[..rows],
            &mut s[..rows],
            &mut out,
            &mut ws,
        )
    };
    assert_eq!((report(2).min_sum, report(2).max_sum), (0.0, 3.0));
    assert!(report(3).min_sum.is_nan() && report(3).max_sum.is_nan());
}

#[test]
fn soft_steps_equal_sums_in_the_obvious_order() {
    for (n, m, power) in [(1, 1, 0.3), (7, 5, 0.9), (13, 21, 1.0), (40, 33, 1e-3)] {
        let mut c = case(n, m, 17 + n as u64);
        // Weights to the power 1/0.001 would leave the range; their logarithms do not.
        c.a.iter_mut().for_each(|a| *a *= 1e-3);
        let log_a: Vec<f64> = c.a.iter().map(|a| a.ln()).collect();
        let k32: Vec<f32> = c.k.iter().map(|&x| x as f32).collect();
        let row = |i: usize| -> f64 { (0..m).map(|j| c.k[i * m + j] * c.v[j]).sum() };
        let s: Vec<f64> = (0..n).map(row).collect();
        let u: Vec<f64> = (0..n).map(|i| c.a[i] * s[i].powf(-power)).collect();
        let out: Vec<f64> = (0..m)
            .map(|j| (0..n).map(|i| c.k[i * m + j] * u[i]).sum())
            .collect();
        let sent: f64 = u.iter().zip(&s).map(|(u, s)| u * s).sum();
        for isa in Isa::available() {
            for threads in [1, 2, 5] {
                for single in [false, true] {
                    let mut ws = ProductWorkspace::new(m, threads);
                    let (mut u1, mut s1, mut o1) = (vec![9.0; n], vec![9.0; n], vec![9.0; m]);
                    let (u1, s1, o1) = (&mut u1[..], &mut s1[..], &mut o1[..]);
                    let seen = if single {
                        scale_rows_soft_with(isa, &k32, &c.v, &log_a, power, u1, s1, o1, &mut ws)
                    } else {
                        scale_rows_soft_with(isa, &c.k, &c.v, &log_a, power, u1, s1, o1, &mut ws)
                    };
                    let same = |x: &[f64], y: &[f64]| x.iter().zip(y).all(|(x, y)| close(*x, *y));
                    assert!(same(s1, &s) && same(u1, &u) && same(o1, &out), "{isa:?}");
                    assert!(close(seen.sent, sent));
                    let weighed = || (0..n).filter(|&i| c.a[i] > 0.0).map(|i| s[i]);
                    assert!(close(seen.min_sum, weighed().fold(f64::INFINITY, f64::min)));
                    assert!(close(seen.max_sum, weighed().fold(0.0, f64::max)));
                }
            }
        }
    }
}

#[test]
fn what_is_no_number_is_seen_in_a_soft_step() {
    let (k, log_a) = ([1.0, 2.0, 3.0, 4.0], [0.0, f64::NEG_INFINITY]);
    for isa in Isa::available() {
        let mut ws = ProductWorkspace::new(2, 1);
        let (mut u, mut s, mut out) = ([0.0; 2], [0.0; 2], [0.0; 2]);
        let nan = [f64::NAN, 1.0];
        let seen = scale_rows_soft_with(
            isa, &k, &nan, &log_a, 0.5, &mut u, &mut s, &mut out, &mut ws,
        );
        assert!(seen.min_sum.is_nan() && seen.max_sum.is_nan());
        // A row without a weight has no part, whatever its sum is.
        assert_eq!(u[1], 0.0);
    }
}
