//! A cost over a few allowed pairs.

use super::{Cost, CostKind, CostRange, ENTRY_RULE, is_entry};
use crate::Error;

/// Allowed pairs with their costs, in compressed rows; every other pair is forbidden. Memory O(allowed pairs).
#[derive(Debug, Clone, PartialEq)]
pub struct SparseCost {
    n: usize,
    m: usize,
    row_start: Vec<usize>,
    cols: Vec<u32>,
    values: Vec<f64>,
    range: CostRange,
}

impl SparseCost {
    /// From triples (row, column, cost) in any order. Duplicates are an error; a cost of +∞ says the same as
    /// leaving the pair out. Time O(k log k).
    pub fn from_triples(
        n: usize,
        m: usize,
        mut triples: Vec<(usize, usize, f64)>,
    ) -> Result<Self, Error> {
        if n == 0 || m == 0 {
            let rule = "a cost needs at least one row and one column".to_owned();
            return Err(Error::shape("cost", &[n, m], rule));
        }
        if n.max(m) > u32::MAX as usize {
            let rule = "rows and columns are counted in 32 bits".to_owned();
            return Err(Error::shape("cost", &[n, m], rule));
        }
        for &(row, col, value) in &triples {
            if row >= n || col >= m {
                let rule = format!("the pair ({row}, {col}) lies outside of it");
                return Err(Error::shape("cost", &[n, m], rule));
            }
            if !is_entry(value) {
                return Err(Error::InvalidCost {
                    row,
                    col,
                    value,
                    rule: ENTRY_RULE,
                });
            }
        }
        triples.retain(|t| t.2 != f64::INFINITY);
        triples.sort_unstable_by_key(|&(i, j, _)| (i, j));
        if let Some(w) = triples
            .windows(2)
            .find(|w| (w[0].0, w[0].1) == (w[1].0, w[1].1))
        {
            let (row, col, value) = w[1];
            return Err(Error::InvalidCost {
                row,
                col,
                value,
                rule: "a pair must be given once",
            });
        }
        let mut range = CostRange::EMPTY;
        let mut row_start = vec![0; n + 1];
        for &(i, _, value) in &triples {
            row_start[i + 1] += 1;
            range.include(value);
        }
        for i in 0..n {
            row_start[i + 1] += row_start[i];
        }
        range.forbidden = n as u64 * m as u64 - triples.len() as u64;
        Ok(Self {
            n,
            m,
            row_start,
            cols: triples.iter().map(|t| t.1 as u32).collect(),
            values: triples.iter().map(|t| t.2).collect(),
            range,
        })
    }

    /// The allowed columns of row `i`, ascending, and their costs.
    #[must_use]
    pub fn row_entries(&self, i: usize) -> (&[u32], &[f64]) {
        let at = self.row_start[i]..self.row_start[i + 1];
        (&self.cols[at.clone()], &self.values[at])
    }

    /// The number of allowed pairs.
    #[must_use]
    pub fn allowed(&self) -> usize {
        self.values.len()
    }
}

impl Cost for SparseCost {
    fn shape(&self) -> (usize, usize) {
        (self.n, self.m)
    }

    fn row(&self, i: usize, out: &mut [f64]) {
        out.fill(f64::INFINITY);
        let (cols, values) = self.row_entries(i);
        for (&j, &c) in cols.iter().zip(values) {
            out[j as usize] = c;
        }
    }

    fn block(&self, rows: std::ops::Range<usize>, cols: std::ops::Range<usize>, out: &mut [f64]) {
        out.fill(f64::INFINITY);
        for (out_row, i) in out.chunks_exact_mut(cols.len()).zip(rows) {
            let (allowed, values) = self.row_entries(i);
            let first = allowed.partition_point(|&j| (j as usize) < cols.start);
            for (&j, &c) in allowed[first..].iter().zip(&values[first..]) {
                match out_row.get_mut(j as usize - cols.start) {
                    Some(entry) => *entry = c,
                    None => break,
                }
            }
        }
    }

    fn entry(&self, i: usize, j: usize) -> f64 {
        let (cols, values) = self.row_entries(i);
        cols.binary_search(&(j as u32))
            .map_or(f64::INFINITY, |k| values[k])
    }

    fn range(&self) -> CostRange {
        self.range
    }

    fn kind(&self) -> CostKind<'_> {
        CostKind::Sparse(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accessors_agree() {
        let cost =
            SparseCost::from_triples(2, 3, vec![(1, 2, 5.0), (0, 1, -1.0), (1, 0, f64::INFINITY)])
                .unwrap();
        assert_eq!(cost.allowed(), 2);
        assert_eq!(
            cost.range(),
            CostRange {
                min: -1.0,
                max: 5.0,
                forbidden: 4
            }
        );
        let mut row = [0.0; 3];
        cost.row(1, &mut row);
        assert_eq!(row, [f64::INFINITY, f64::INFINITY, 5.0]);
        let mut block = [0.0; 4];
        cost.block(0..2, 1..3, &mut block);
        assert_eq!(block, [-1.0, f64::INFINITY, f64::INFINITY, 5.0]);
        assert_eq!((cost.entry(0, 1), cost.entry(0, 0)), (-1.0, f64::INFINITY));
    }

    #[test]
    fn duplicates_and_strays_are_refused() {
        assert!(SparseCost::from_triples(1, 1, vec![(0, 0, 1.0), (0, 0, 2.0)]).is_err());
        assert!(SparseCost::from_triples(1, 1, vec![(0, 1, 1.0)]).is_err());
        assert!(SparseCost::from_triples(usize::MAX, 2, vec![(0, 1, 1.0)]).is_err());
        assert!(SparseCost::from_triples(2, usize::MAX, vec![(0, 1, 1.0)]).is_err());
        assert!(SparseCost::from_triples(1, 1, vec![(0, 0, f64::NAN)]).is_err());
    }
}
