//! The step with caps against sums in the obvious order, on every instruction set, threads and storage.

use ot_kernels::Isa;
use ot_kernels::kernel_product::{ProductWorkspace, scale_rows_capped, scale_rows_capped_with};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

fn close(x: f64, y: f64) -> bool {
    (x - y).abs() <= 1e-13 * y.abs().max(1.0)
}

#[test]
fn rows_stop_at_their_caps() {
    let mut rng = Pcg64Mcg::seed_from_u64(5);
    for (n, m) in [(1, 1), (7, 3), (8, 8), (17, 33), (40, 129)] {
        let mut draw = |len: usize| -> Vec<f64> {
            (0..len)
                .map(|_| f64::from(rng.random_range(0.01..1.0_f32)))
                .collect()
        };
        let (mut k, v, a) = (draw(n * m), draw(m), draw(n));
        // A row that nothing reaches, and caps on either side of a / s.
        k[..m].fill(0.0);
        let s: Vec<f64> = k
            .chunks(m)
            .map(|k| k.iter().zip(&v).map(|(k, v)| k * v).sum())
            .collect();
        let factor = draw(n);
        let caps: Vec<f64> = (0..n)
            .map(|i| {
                if i == 0 {
                    3.0
                } else {
                    a[i] / s[i] * 2.0 * factor[i]
                }
            })
            .collect();
        let u: Vec<f64> = (0..n)
            .map(|i| {
                if i == 0 {
                    3.0
                } else {
                    caps[i].min(a[i] / s[i])
                }
            })
            .collect();
        let out: Vec<f64> = (0..m)
            .map(|j| (0..n).map(|i| k[i * m + j] * u[i]).sum())
            .collect();
        let narrow: Vec<f32> = k.iter().map(|k| *k as f32).collect();
        for isa in Isa::available() {
            for threads in 1..=4 {
                for single in [false, true] {
                    let mut ws = ProductWorkspace::new(m, threads);
                    let (mut u1, mut s1, mut out1) = (vec![9.0; n], vec![9.0; n], vec![9.0; m]);
                    let (u2, s2, out2) = (&mut u1, &mut s1, &mut out1);
                    if single {
                        scale_rows_capped_with(isa, &narrow, &v, &a, &caps, u2, s2, out2, &mut ws);
                    } else {
                        scale_rows_capped_with(isa, &k, &v, &a, &caps, u2, s2, out2, &mut ws);
                    }
                    for (found, wanted) in [(&u1, &u), (&s1, &s), (&out1, &out)] {
                        let right = found.iter().zip(wanted).all(|(x, y)| close(*x, *y));
                        assert!(right, "{n}×{m}, {isa:?}, {threads} threads: {found:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_no_number_shows() {
    let mut ws = ProductWorkspace::new(1, 1);
    let (mut u, mut s, mut out) = ([0.0], [0.0], [0.0]);
    let nan = [f64::NAN];
    scale_rows_capped(
        &[1.0],
        &nan,
        &[1.0],
        &[1.0],
        &mut u,
        &mut s,
        &mut out,
        &mut ws,
    );
    assert!(u[0].is_nan() && out[0].is_nan());
}
