//! Forbidden pairs: avoided, reported, and cut off where only rounding is left on them.

use super::*;

#[test]
fn forbidden_pairs_are_avoided_or_reported() {
    let mut rng = Pcg64::seed_from_u64(4);
    for round in 0..100 {
        let n = 2 + round % 20;
        let mut c: Vec<f64> = (0..n * n)
            .map(|_| {
                if rng.random_range(0..4) == 0 {
                    rng.random()
                } else {
                    f64::INFINITY
                }
            })
            .collect();
        let shift = rng.random_range(0..n);
        for i in 0..n {
            c[i * n + (i + shift) % n] = rng.random::<f64>() + 1.0;
        }
        let a = if round % 2 == 0 {
            uniform(n)
        } else {
            weights(n, &mut rng)
        };
        let mut b = a.clone();
        b.rotate_right(shift);
        let value = certify(&a, &b, &c);
        // The shifted diagonal is one plan; entries of its kind cost 1 at least, the others 0 at least.
        let diagonal: f64 = (0..n).map(|i| a[i] * c[i * n + (i + shift) % n]).sum();
        assert!((0.0..=diagonal * (1.0 + 1e-14)).contains(&value));
        for j in 0..n {
            c[j] = f64::INFINITY;
        }
        assert_eq!(solve(&a, &b, &c).outcome.status, Status::Infeasible);
    }
}

/// A problem from a plan on allowed pairs whose entries are powers of two down to 2^-120: beside the largest, most are
/// far less than a unit, and what rounding adds to one weight no other may take.
fn spread_out(rng: &mut Pcg64) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (n, m) = (rng.random_range(1..14), rng.random_range(1..14));
    let (pairs, lowest) = (rng.random_range(1..40), rng.random_range(1..121));
    let mut c = vec![f64::INFINITY; n * m];
    let (mut a, mut b) = (vec![0.0; n], vec![0.0; m]);
    let mut send = |i: usize, j: usize, rng: &mut Pcg64| {
        let mass = 2.0_f64.powi(-rng.random_range(0..=lowest)) * rng.random_range(1..4) as f64;
        a[i] += mass;
        b[j] += mass;
        if c[i * m + j] == f64::INFINITY {
            c[i * m + j] = rng.random();
        }
    };
    for k in 0..n.max(m) {
        send(k % n, (k * 7 + k / n) % m, rng);
    }
    for _ in 0..pairs {
        let (i, j) = (rng.random_range(0..n), rng.random_range(0..m));
        send(i, j, rng);
    }
    // Columns that no pair was drawn for.
    let live: Vec<usize> = (0..m).filter(|&j| b[j] > 0.0).collect();
    let kept = |i: usize| live.iter().map(move |&j| i * m + j);
    let c = (0..n).flat_map(kept).map(|k| c[k]).collect();
    (a, live.iter().map(|&j| b[j]).collect(), c)
}

#[test]
fn masses_below_a_unit_lose_no_optimum() {
    let mut rng = Pcg64::seed_from_u64(41);
    for _ in 0..400 {
        let (a, b, c) = spread_out(&mut rng);
        certify(&a, &b, &c);
    }
}

#[test]
fn weights_without_an_allowed_pair_are_left_out_where_they_are_rounding() {
    let inf = f64::INFINITY;
    for tiny in [1e-13, 1e-16, 1e-30] {
        let (a, b) = ([1.0], [1.0, tiny]);
        assert_eq!(certify(&a, &b, &[1.0, inf]), 1.0);
        // The other way round, and a sink that only a source without mass to spare may feed.
        assert_eq!(certify(&b, &a, &[1.0, inf]), 1.0);
        let value = certify(&[1.0, tiny], &[1.0, tiny], &[1.0, inf, 2.0, inf]);
        assert!((value - 1.0).abs() <= 4.0 * tiny);
        let value = certify(&[1.0, tiny], &[1.0, 3.0 * tiny], &[1.0, inf, 2.0, 3.0]);
        assert!((value - 1.0).abs() <= 16.0 * tiny);
    }
}
