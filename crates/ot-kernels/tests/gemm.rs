//! Batched products against the single ones.

use ot_kernels::gemm::{ktu_batch, ktu_batch_add, kv_batch};
use ot_kernels::kernel_product::{ProductWorkspace, ktu, kv};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

proptest! {
    #[test]
    fn one_vector_at_a_time_gives_the_same(
        n in 1..40_usize, m in 1..40_usize, batch in 0..20_usize, threads in 0..4_usize, seed in any::<u64>(),
    ) {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let mut draw = |len: usize| (0..len).map(|_| rng.random_range(0.0..1.0_f64)).collect::<Vec<_>>();
        let (k, v, u) = (draw(n * m), draw(batch * m), draw(batch * n));
        let single = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<_>>();
        let (k32, v32, u32) = (single(&k), single(&v), single(&u));
        let (mut kv_out, mut ktu_out) = (vec![9.0; batch * n], vec![9.0; batch * m]);
        let (mut kv_out32, mut ktu_out32) = (vec![9.0; batch * n], vec![9.0; batch * m]);
        kv_batch(&k, n, m, &v, &mut kv_out, threads);
        ktu_batch(&k, n, m, &u, &mut ktu_out, threads);
        kv_batch(&k32, n, m, &v32, &mut kv_out32, threads);
        ktu_batch(&k32, n, m, &u32, &mut ktu_out32, threads);
        // The same in two blocks of rows.
        let (half, mut added) = (n / 2, vec![0.0; batch * m]);
        for rows in [0..half, half..n] {
            let part: Vec<f64> = u.chunks_exact(n).flat_map(|u| u[rows.clone()].to_vec()).collect();
            ktu_batch_add(&k[rows.start * m..rows.end * m], rows.len(), m, &part, &mut added);
        }
        let apart = |(x, y): (&f64, &f64)| (x - y).abs() < 1e-13;
        prop_assert!(added.iter().zip(&ktu_out).all(apart));
        let mut ws = ProductWorkspace::new(m, 1);
        for b in 0..batch {
            let (mut s, mut t) = (vec![0.0; n], vec![0.0; m]);
            kv(&k, &v[b * m..][..m], &mut s, 1);
            ktu(&k, &u[b * n..][..n], &mut t, &mut ws);
            for i in 0..n {
                prop_assert!((kv_out[b * n + i] - s[i]).abs() < 1e-13);
                prop_assert!((f64::from(kv_out32[b * n + i]) - s[i]).abs() < 1e-5 * s[i].max(1.0));
            }
            for j in 0..m {
                prop_assert!((ktu_out[b * m + j] - t[j]).abs() < 1e-13);
                prop_assert!((f64::from(ktu_out32[b * m + j]) - t[j]).abs() < 1e-5 * t[j].max(1.0));
            }
        }
    }
}

#[test]
fn empty_shapes() {
    let mut out = [1.0; 2];
    kv_batch::<f64>(&[], 2, 0, &[], &mut out, 1);
    assert_eq!(out, [0.0, 0.0]);
    ktu_batch::<f64>(&[], 0, 3, &[], &mut [], 2);
    ktu_batch_add::<f64>(&[], 2, 0, &[], &mut out);
    assert_eq!(out, [0.0, 0.0]);
}
