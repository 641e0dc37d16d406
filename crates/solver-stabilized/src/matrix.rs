//! The cost of the pairs that take part, row-major: the caller's own where all pairs do and it is dense, a copy otherwise.

use solver_api::cost::row_of;
use solver_api::{Cost, CostKind, DenseData, Error, Problem};

/// The sources and targets that take part: of positive weight, with an allowed partner.
#[derive(Debug, Clone, Default)]
pub(crate) struct Support {
    pub(crate) rows: Vec<u32>,
    pub(crate) cols: Vec<u32>,
}

impl Support {
    /// Of `problem`. One pass over the cost where pairs may be forbidden.
    pub(crate) fn of(problem: &Problem) -> Self {
        let (a, b) = (problem.a().weights(), problem.b().weights());
        let (n, m) = problem.shape();
        let heavy = |w: &[f64]| -> Vec<u32> {
            let heavy = w.iter().enumerate().filter(|(_, w)| **w > 0.0);
            heavy.map(|(k, _)| k as u32).collect()
        };
        let (mut rows, mut cols) = (heavy(a), heavy(b));
        let cost = problem.cost();
        let never = matches!(
            cost.kind(),
            CostKind::Points(_) | CostKind::Grid(_) | CostKind::Tree(_)
        );
        let may_forbid = !never;
        if may_forbid && cost.range().forbidden > 0 {
            let (mut row_has, mut col_has) = (vec![false; n], vec![false; m]);
            let mut scratch = vec![0.0; m];
            for &i in &rows {
                let row = row_of(cost, i as usize, &mut scratch);
                for &j in &cols {
                    if row[j as usize] < f64::INFINITY {
                        row_has[i as usize] = true;
                        col_has[j as usize] = true;
                    }
                }
            }
            rows.retain(|&i| row_has[i as usize]);
            cols.retain(|&j| col_has[j as usize]);
        }
        Self { rows, cols }
    }

    fn is_whole(&self, (n, m): (usize, usize)) -> bool {
        self.rows.len() == n && self.cols.len() == m
    }
}

/// Entries of the support's pairs.
#[derive(Debug)]
pub(crate) enum Matrix<'a> {
    F64(&'a [f64]),
    F32(&'a [f32]),
    Copied(Vec<f64>),
}

impl<'a> Matrix<'a> {
    /// The matrix of `support`; an error where memory does not suffice for a copy.
    pub(crate) fn of(cost: &'a dyn Cost, support: &Support) -> Result<Self, Error> {
        if let CostKind::Dense(dense) = cost.kind()
            && support.is_whole(cost.shape())
        {
            match dense.data() {
                DenseData::F64(data) => return Ok(Self::F64(data)),
                DenseData::F32(data) => return Ok(Self::F32(data)),
                _ => {}
            }
        }
        let (n, m) = (support.rows.len(), support.cols.len());
        let mut copy = Vec::new();
        let entries = n.saturating_mul(m);
        if copy.try_reserve_exact(entries).is_err() {
            return Err(Error::TooLarge {
                solver: crate::NAME.to_owned(),
                what: "a copy of the cost".to_owned(),
                bytes: (entries as u64).saturating_mul(8),
                limit: isize::MAX as u64,
            });
        }
        let mut scratch = vec![0.0; cost.shape().1];
        for &i in &support.rows {
            let row = row_of(cost, i as usize, &mut scratch);
            if m == row.len() {
                copy.extend_from_slice(row);
            } else {
                copy.extend(support.cols.iter().map(|&j| row[j as usize]));
            }
        }
        Ok(Self::Copied(copy))
    }
}
