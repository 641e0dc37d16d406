//! Sums over the entries of a plan's row, with eight partial sums: the compiler vectorizes them, and the latency of
//! one addition does not stand between entries. The order is fixed, so results repeat bit for bit.

use crate::plan::PlanRow;

const LANES: usize = 8;

/// Folds `term(k)` for k in 0..len into a sum of eight interleaved partial sums.
#[inline(always)]
fn lanes(len: usize, term: impl Fn(usize) -> f64) -> f64 {
    let mut partial = [0.0_f64; LANES];
    let whole = len / LANES * LANES;
    let mut k = 0;
    while k < whole {
        for (l, p) in partial.iter_mut().enumerate() {
            *p += term(k + l);
        }
        k += LANES;
    }
    for (l, k) in (whole..len).enumerate() {
        partial[l] += term(k);
    }
    let [a, b, c, d, e, f, g, h] = partial;
    ((a + e) + (b + f)) + ((c + g) + (d + h))
}

/// p·c where no mass on a forbidden pair costs nothing (0·∞ would be NaN).
#[inline(always)]
pub(crate) fn paid(p: f64, c: f64) -> f64 {
    if p == 0.0 { 0.0 } else { p * c }
}

impl PlanRow<'_> {
    /// Σ_j P_j.
    #[inline]
    pub(crate) fn sum(self) -> f64 {
        match self {
            PlanRow::Dense(p) | PlanRow::Sparse(_, p) => lanes(p.len(), |k| p[k]),
        }
    }

    /// Σ_j P_j w_j.
    #[inline]
    pub(crate) fn dot(self, w: &[f64]) -> f64 {
        match self {
            PlanRow::Dense(p) => {
                let w = &w[..p.len()];
                lanes(p.len(), |k| p[k] * w[k])
            }
            PlanRow::Sparse(cols, p) => lanes(p.len(), |k| p[k] * w[cols[k] as usize]),
        }
    }

    /// Σ_j P_j C_j over the entries with mass.
    #[inline]
    pub(crate) fn price(self, c: &[f64]) -> f64 {
        match self {
            PlanRow::Dense(p) => {
                let c = &c[..p.len()];
                lanes(p.len(), |k| paid(p[k], c[k]))
            }
            PlanRow::Sparse(cols, p) => lanes(p.len(), |k| paid(p[k], c[cols[k] as usize])),
        }
    }

    /// Σ_j P_j w_j C_j over the entries with mass.
    #[inline]
    pub(crate) fn weighted_price(self, w: &[f64], c: &[f64]) -> f64 {
        match self {
            PlanRow::Dense(p) => {
                let (w, c) = (&w[..p.len()], &c[..p.len()]);
                lanes(p.len(), |k| paid(p[k] * w[k], c[k]))
            }
            PlanRow::Sparse(cols, p) => lanes(p.len(), |k| {
                paid(p[k] * w[cols[k] as usize], c[cols[k] as usize])
            }),
        }
    }

    /// acc_j += scale·P_j.
    #[inline]
    pub(crate) fn add_to(self, scale: f64, acc: &mut [f64]) {
        match self {
            PlanRow::Dense(p) => acc.iter_mut().zip(p).for_each(|(a, p)| *a += scale * p),
            PlanRow::Sparse(cols, p) => {
                cols.iter()
                    .zip(p)
                    .for_each(|(&j, p)| acc[j as usize] += scale * p);
            }
        }
    }
}

/// Σ_j c_j w_j of two plain slices.
#[inline]
pub(crate) fn dot(c: &[f64], w: &[f64]) -> f64 {
    PlanRow::Dense(c).dot(w)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_and_sparse_rows_sum_alike() {
        let p: Vec<f64> = (0..19)
            .map(|k| if k % 3 == 0 { 0.0 } else { f64::from(k) })
            .collect();
        let w: Vec<f64> = (0..19).map(|k| 1.0 / f64::from(k + 1)).collect();
        let mut c = w.clone();
        c[3] = f64::INFINITY;
        let cols: Vec<u32> = (0..19).filter(|k| k % 3 != 0).collect();
        let values: Vec<f64> = cols.iter().map(|&k| f64::from(k)).collect();
        let (dense, sparse) = (PlanRow::Dense(&p), PlanRow::Sparse(&cols, &values));
        let naive: f64 = p.iter().sum();
        assert_eq!((dense.sum(), sparse.sum()), (naive, naive));
        let price: f64 = cols.iter().map(|&k| f64::from(k) * c[k as usize]).sum();
        let weighted: f64 = cols
            .iter()
            .map(|&k| f64::from(k) * w[k as usize] * c[k as usize])
            .sum();
        for row in [dense, sparse] {
            assert!((row.price(&c) - price).abs() < 1e-13);
            assert!((row.dot(&w) - price).abs() < 1e-13);
            assert!((row.weighted_price(&w, &c) - weighted).abs() < 1e-13);
            let mut acc = vec![1.0; 19];
            row.add_to(2.0, &mut acc);
            assert_eq!((acc[3], acc[4]), (1.0, 9.0));
        }
    }
}
