//! The steps of an iteration between two kernel products: element by element, in the number type of the products.
//!
//! Eight strands each, so that they vectorize although sums have a fixed order.

/// What a column update saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Seen {
    /// Σ |v t − b|; NaN or infinite if anything was.
    pub(crate) error: f64,
    /// The smallest t where b > 0.
    pub(crate) least: f64,
    /// The largest t where b > 0.
    pub(crate) largest: f64,
}

/// The steps, for f64 and f32.
pub(crate) trait Sweep: Sized {
    /// The column error of the pair whose products are `t`, and the extremes of `t`.
    fn measure(b: &[Self], t: &[Self], v: &[Self]) -> Seen;

    /// v = b / t, and 0 where b = 0.
    fn divide(b: &[Self], t: &[Self], v: &mut [Self]);

    /// x = a / x, and 0 where a = 0. Returns the extremes of `x` as it came, where a > 0.
    fn divide_into(a: &[Self], x: &mut [Self]) -> (f64, f64);
}

const LANES: usize = 8;

macro_rules! sweeps {
    ($t:ident) => {
        impl Sweep for $t {
            fn measure(b: &[Self], t: &[Self], v: &[Self]) -> Seen {
                let mut error: [Self; LANES] = [0.0; LANES];
                let mut least = [Self::INFINITY; LANES];
                let mut largest: [Self; LANES] = [0.0; LANES];
                let mut see = |k: usize, b: Self, t: Self, v: Self| {
                    error[k] += (v * t - b).abs();
                    let (low, high) = if b > 0.0 {
                        (t, t)
                    } else {
                        (Self::INFINITY, 0.0)
                    };
                    least[k] = if low < least[k] { low } else { least[k] };
                    largest[k] = if high > largest[k] { high } else { largest[k] };
                };
                let (bs, ts, vs) = (
                    b.chunks_exact(LANES),
                    t.chunks_exact(LANES),
                    v.chunks_exact(LANES),
                );
                let rests = (bs.remainder(), ts.remainder(), vs.remainder());
                for ((b, t), v) in bs.zip(ts).zip(vs) {
                    for k in 0..LANES {
                        see(k, b[k], t[k], v[k]);
                    }
                }
                for (k, ((&b, &t), &v)) in rests.0.iter().zip(rests.1).zip(rests.2).enumerate() {
                    see(k, b, t, v);
                }
                Seen {
                    error: error.iter().map(|&e| f64::from(e)).sum(),
                    least: f64::from(least.into_iter().fold(Self::INFINITY, Self::min)),
                    largest: f64::from(largest.into_iter().fold(0.0, Self::max)),
                }
            }

            fn divide(b: &[Self], t: &[Self], v: &mut [Self]) {
                for ((v, &b), &t) in v.iter_mut().zip(b).zip(t) {
                    let quotient = b / t;
                    *v = if b > 0.0 { quotient } else { 0.0 };
                }
            }

            fn divide_into(a: &[Self], x: &mut [Self]) -> (f64, f64) {
                let mut least = [Self::INFINITY; LANES];
                let mut largest: [Self; LANES] = [0.0; LANES];
                let mut step = |k: usize, a: Self, x: &mut Self| {
                    let (low, high) = if a > 0.0 {
                        (*x, *x)
                    } else {
                        (Self::INFINITY, 0.0)
                    };
                    least[k] = if low < least[k] { low } else { least[k] };
                    largest[k] = if high > largest[k] { high } else { largest[k] };
                    let quotient = a / *x;
                    *x = if a > 0.0 { quotient } else { 0.0 };
                };
                let whole = x.len() - x.len() % LANES;
                let (head, tail) = x.split_at_mut(whole);
                for (x, a) in head.chunks_exact_mut(LANES).zip(a.chunks_exact(LANES)) {
                    for k in 0..LANES {
                        step(k, a[k], &mut x[k]);
                    }
                }
                for (k, (x, &a)) in tail.iter_mut().zip(&a[whole..]).enumerate() {
                    step(k, a, x);
                }
                (
                    f64::from(least.into_iter().fold(Self::INFINITY, Self::min)),
                    f64::from(largest.into_iter().fold(0.0, Self::max)),
                )
            }
        }
    };
}

sweeps!(f64);
sweeps!(f32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_zero_weights() {
        for n in 0..20_usize {
            let b: Vec<f64> = (0..n).map(|k| (k % 3) as f64).collect();
            let t: Vec<f64> = (0..n).map(|k| 1.0 + k as f64).collect();
            let v = vec![0.5; n];
            let seen = f64::measure(&b, &t, &v);
            let error: f64 = (0..n).map(|k| (0.5 * t[k] - b[k]).abs()).sum();
            assert!((seen.error - error).abs() < 1e-12);
            let (mut quotients, mut in_place) = (vec![9.0; n], t.clone());
            f64::divide(&b, &t, &mut quotients);
            let extremes = f64::divide_into(&b, &mut in_place);
            assert_eq!(quotients, in_place);
            assert_eq!(extremes, (seen.least, seen.largest));
            for k in 0..n {
                let want = if b[k] > 0.0 { b[k] / t[k] } else { 0.0 };
                assert_eq!(quotients[k], want);
            }
        }
    }

    #[test]
    fn what_is_not_a_number_shows() {
        let seen = f32::measure(&[1.0, 1.0], &[f32::NAN, 1.0], &[1.0, 1.0]);
        assert!(seen.error.is_nan());
        let seen = f64::measure(&[1.0], &[0.0], &[1.0]);
        assert_eq!((seen.least, seen.error), (0.0, 1.0));
    }
}
