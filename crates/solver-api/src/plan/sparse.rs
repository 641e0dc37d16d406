//! Making and reading sparse plans.

use super::SparsePlan;
use crate::Error;

impl SparsePlan {
    /// From triples (row, column, mass) in any order; duplicates add up, zeros are dropped.
    pub fn from_triples(
        n: usize,
        m: usize,
        mut triples: Vec<(u32, u32, f64)>,
    ) -> Result<Self, Error> {
        if let Some(&(i, j, _)) = triples
            .iter()
            .find(|t| t.0 as usize >= n || t.1 as usize >= m)
        {
            let expected = format!("the entry ({i}, {j}) lies outside of it");
            return Err(Error::shape("plan", &[n, m], expected));
        }
        triples.retain(|t| t.2 != 0.0);
        // Counted into their rows, then sorted by column within each: rows of a plan are short.
        let mut row_start = vec![0; n + 1];
        for t in &triples {
            row_start[t.0 as usize + 1] += 1;
        }
        for i in 0..n {
            row_start[i + 1] += row_start[i];
        }
        let mut next = row_start.clone();
        let mut entries = vec![(0, 0.0); triples.len()];
        for &(i, j, p) in &triples {
            let at = &mut next[i as usize];
            entries[*at] = (j, p);
            *at += 1;
        }
        let (mut cols, mut values) = (
            Vec::with_capacity(entries.len()),
            Vec::with_capacity(entries.len()),
        );
        for i in 0..n {
            let row = &mut entries[row_start[i]..row_start[i + 1]];
            row.sort_by_key(|e| e.0);
            let begun = cols.len();
            row_start[i] = begun;
            for &(j, p) in &*row {
                if cols.len() > begun && cols.last() == Some(&j) {
                    if let Some(sum) = values.last_mut() {
                        *sum += p;
                    }
                } else {
                    cols.push(j);
                    values.push(p);
                }
            }
        }
        row_start[n] = cols.len();
        Ok(Self {
            n,
            m,
            row_start,
            cols,
            values,
        })
    }

    /// Columns and values of row `i`.
    #[must_use]
    pub fn row_entries(&self, i: usize) -> (&[u32], &[f64]) {
        let at = self.row_start[i]..self.row_start[i + 1];
        (&self.cols[at.clone()], &self.values[at])
    }

    /// The number of stored entries.
    #[must_use]
    pub fn nnz(&self) -> usize {
        self.values.len()
    }
}
