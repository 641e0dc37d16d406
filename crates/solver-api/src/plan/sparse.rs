//! Making and reading sparse plans.

use rayon::prelude::*;

use super::{SparsePlan, is_sound};
use crate::Error;

impl SparsePlan {
    /// From triples (row, column, mass) in any order, each mass finite and not negative; duplicates add up, zeros are
    /// dropped.
    pub fn from_triples(n: usize, m: usize, triples: Vec<(u32, u32, f64)>) -> Result<Self, Error> {
        let outside = |t: &(u32, u32, f64)| t.0 as usize >= n || t.1 as usize >= m;
        let bad = triples.iter().find(|t| outside(t) || !is_sound(t.2));
        if let Some(&(i, j, value)) = bad.filter(|t| !outside(t)) {
            let (row, col) = (i as usize, j as usize);
            return Err(Error::InvalidPlan { row, col, value });
        }
        if let Some((i, j, _)) = bad {
            let expected = format!("the entry ({i}, {j}) lies outside of it");
            return Err(Error::shape("plan", &[n, m], expected));
        }
        if n > u32::MAX as usize {
            let expected = "its rows are counted in 32 bits".to_owned();
            return Err(Error::shape("plan", &[n, m], expected));
        }
        Ok(Self::sum_of(n, m, triples))
    }

    /// From whole rows in any order: row `rows[k]` holds the columns and masses at `start[k]..start[k + 1]`. Rows that are
    /// not named are empty. In parallel; faster than [`SparsePlan::from_triples`], which finds the rows first.
    ///
    /// # Errors
    /// Lists of lengths that don't fit, a row or a column outside, a row named twice, a mass that is no number or negative.
    pub fn from_rows(
        n: usize,
        m: usize,
        rows: &[u32],
        start: &[u32],
        cols: &[u32],
        values: &[f64],
    ) -> Result<Self, Error> {
        let shape = |expected: String| Error::shape("plan", &[n, m], expected);
        let ends_right = start.last().is_some_and(|&e| e as usize == values.len());
        let fits = start.len() == rows.len() + 1 && cols.len() == values.len() && ends_right;
        if !fits || !start.is_sorted() || start[0] != 0 {
            let lists = [rows.len(), start.len(), cols.len(), values.len()];
            return Err(shape(format!(
                "lists of {lists:?} entries are no rows of it"
            )));
        }
        // Where each row stands in the lists, and then in the plan.
        let mut place = vec![u32::MAX; n];
        for (k, &i) in rows.iter().enumerate() {
            match place.get_mut(i as usize) {
                Some(place) if *place == u32::MAX => *place = k as u32,
                Some(_) => return Err(shape(format!("row {i} is named twice"))),
                None => return Err(shape(format!("row {i} lies outside of it"))),
            }
        }
        let run = |k: u32| match start.get(k as usize..) {
            Some([from, to, ..]) => *from as usize..*to as usize,
            _ => 0..0,
        };
        let mut row_start = Vec::with_capacity(n + 1);
        row_start.push(0);
        let mut end = 0;
        for &k in &place {
            end += run(k).len();
            row_start.push(end);
        }
        let mut plan = Self {
            n,
            m,
            cols: vec![0; end],
            values: vec![0.0; end],
            row_start,
        };
        let chunk = n.div_ceil(rayon::current_num_threads().max(1)).max(1 << 12);
        let mut parts = Vec::new();
        let (mut to_cols, mut to_values) = (&mut plan.cols[..], &mut plan.values[..]);
        for from in (0..n).step_by(chunk) {
            let to = n.min(from + chunk);
            let entries = plan.row_start[to] - plan.row_start[from];
            let (part_cols, rest_cols) = to_cols.split_at_mut(entries);
            let (part_values, rest_values) = to_values.split_at_mut(entries);
            parts.push((&place[from..to], part_cols, part_values));
            (to_cols, to_values) = (rest_cols, rest_values);
        }
        let copy = |(place, to_cols, to_values): (&[u32], &mut [u32], &mut [f64])| {
            let (mut at, mut scratch) = (0, Vec::new());
            for &k in place {
                let from = run(k);
                let to = at..at + from.len();
                at = to.end;
                let (to_cols, to_values) = (&mut to_cols[to.clone()], &mut to_values[to]);
                to_cols.copy_from_slice(&cols[from.clone()]);
                to_values.copy_from_slice(&values[from]);
                if !to_cols.is_sorted() {
                    sort(to_cols, to_values, &mut scratch);
                }
            }
        };
        parts.into_par_iter().for_each(copy);
        plan.check()?;
        Ok(plan)
    }

    /// Every mass is one, and every column inside and named once a row.
    fn check(&self) -> Result<(), Error> {
        for row in 0..self.n {
            let (cols, values) = self.row_entries(row);
            if let Some((&j, &value)) = cols.iter().zip(values).find(|(_, p)| !is_sound(**p)) {
                let col = j as usize;
                return Err(Error::InvalidPlan { row, col, value });
            }
            let twice = cols.windows(2).any(|pair| pair[0] == pair[1]);
            if twice || cols.last().is_some_and(|&j| j as usize >= self.m) {
                let expected = format!("row {row} has a column twice, or one outside of it");
                return Err(Error::shape("plan", &[self.n, self.m], expected));
            }
        }
        Ok(())
    }

    /// [`SparsePlan::from_triples`] of triples that lie inside and may take mass back.
    pub(crate) fn sum_of(n: usize, m: usize, mut triples: Vec<(u32, u32, f64)>) -> Self {
        triples.retain(|t| t.2 != 0.0);
        // Counted into their rows from the last to the first, then sorted by column within each: rows of a plan are
        // short.
        let mut row_start = vec![0; n + 1];
        for t in &triples {
            row_start[t.0 as usize] += 1;
        }
        let mut end = 0;
        for count in &mut row_start {
            end += *count;
            *count = end;
        }
        let mut cols = vec![0; triples.len()];
        let mut values = vec![0.0; triples.len()];
        for &(i, j, p) in triples.iter().rev() {
            let at = &mut row_start[i as usize];
            *at -= 1;
            (cols[*at], values[*at]) = (j, p);
        }
        let mut twice = false;
        for i in 0..n {
            let row = row_start[i]..row_start[i + 1];
            let (cols, values) = (&mut cols[row.clone()], &mut values[row]);
            if !cols.is_sorted() {
                sort(cols, values, &mut triples);
            }
            twice |= cols.windows(2).any(|pair| pair[0] == pair[1]);
        }
        if twice {
            add_up(&mut row_start, &mut cols, &mut values);
        }
        Self {
            n,
            m,
            row_start,
            cols,
            values,
        }
    }

    /// Entries below zero become zero.
    pub(crate) fn clip(&mut self) {
        self.values.iter_mut().for_each(|p| *p = p.max(0.0));
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

/// Sorts a row by column; entries of one column stay in order.
fn sort(cols: &mut [u32], values: &mut [f64], scratch: &mut Vec<(u32, u32, f64)>) {
    if cols.len() <= 16 {
        for k in 1..cols.len() {
            let mut at = k;
            while at > 0 && cols[at - 1] > cols[at] {
                cols.swap(at - 1, at);
                values.swap(at - 1, at);
                at -= 1;
            }
        }
        return;
    }
    scratch.clear();
    scratch.extend(cols.iter().zip(&*values).map(|(&j, &p)| (0, j, p)));
    scratch.sort_by_key(|t| t.1);
    for ((j, p), t) in cols.iter_mut().zip(values).zip(scratch) {
        (*j, *p) = (t.1, t.2);
    }
}

/// Adds up what sorted rows have twice.
fn add_up(row_start: &mut [usize], cols: &mut Vec<u32>, values: &mut Vec<f64>) {
    let (mut kept, mut begun) = (0, 0);
    for i in 0..row_start.len() - 1 {
        let end = row_start[i + 1];
        row_start[i] = kept;
        for k in begun..end {
            if kept > row_start[i] && cols[kept - 1] == cols[k] {
                values[kept - 1] += values[k];
            } else {
                (cols[kept], values[kept]) = (cols[k], values[k]);
                kept += 1;
            }
        }
        begun = end;
    }
    if let Some(last) = row_start.last_mut() {
        *last = kept;
    }
    cols.truncate(kept);
    values.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn triples_in_any_order_make_the_rows_of_their_sums(
            triples in prop::collection::vec((0_u32..4, 0_u32..30, -1_i32..3), 0..90),
        ) {
            let mut want = [[0.0; 30]; 4];
            let mut given = [[false; 30]; 4];
            for &(i, j, p) in &triples {
                want[i as usize][j as usize] += f64::from(p);
                given[i as usize][j as usize] |= p != 0;
            }
            let triples = triples.iter().map(|&(i, j, p)| (i, j, f64::from(p))).collect();
            let plan = SparsePlan::sum_of(4, 30, triples);
            for i in 0..4 {
                let (cols, values) = plan.row_entries(i);
                prop_assert!(cols.windows(2).all(|pair| pair[0] < pair[1]));
                let stored = (0..30).filter(|&j| given[i][j]);
                prop_assert!(stored.eq(cols.iter().map(|&j| j as usize)));
                for (&j, &p) in cols.iter().zip(values) {
                    prop_assert_eq!(p, want[i][j as usize]);
                }
            }
        }
    }
}
