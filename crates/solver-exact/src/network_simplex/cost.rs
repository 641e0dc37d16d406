//! How the engine reads a cost: whole rows, straight from the caller's array where there is one.

use ot_kernels::anneal::Annealing;
use ot_kernels::pricing;

/// A cost that is computed a row at a time.
pub(crate) trait Rows: Sync {
    /// Writes row `i` over all columns.
    fn row(&self, i: usize, out: &mut [f64]);
    /// One pair.
    fn entry(&self, i: usize, j: usize) -> f64;
}

/// Where the entries of a cost come from.
#[derive(Clone, Copy)]
pub(crate) enum Entries<'a> {
    /// Row-major, read in place.
    F64(&'a [f64]),
    /// Row-major, read in place and widened in registers.
    F32(&'a [f32]),
    /// Computed into a buffer.
    Rows(&'a dyn Rows),
}

/// A cost of `sources × columns`; `+∞` forbids a pair.
#[derive(Clone, Copy)]
pub(crate) struct CostView<'a> {
    pub(crate) entries: Entries<'a>,
    /// Columns in storage.
    pub(crate) columns: usize,
    /// The stored row of each source; `None` where they are the same.
    pub(crate) rows: Option<&'a [u32]>,
}

/// One row, as stored.
#[derive(Clone, Copy)]
pub(crate) enum Row<'a> {
    F64(&'a [f64]),
    F32(&'a [f32]),
}

/// A whole cost, as stored.
#[derive(Clone, Copy)]
pub(crate) enum InPlace<'a> {
    F64(&'a [f64]),
    F32(&'a [f32]),
}

impl InPlace<'_> {
    /// The first source from `from` on that has a violated pair, and its entering column.
    pub(crate) fn entering(
        self,
        sinks: &[f64],
        sources: &[f64],
        tol: f64,
        from: usize,
    ) -> Option<(usize, usize)> {
        match self {
            Self::F64(c) => pricing::first_entering(c, sinks, sources, tol, from),
            Self::F32(c) => pricing::first_entering(c, sinks, sources, tol, from),
        }
    }
}

impl<'a> CostView<'a> {
    fn stored(&self, i: usize) -> usize {
        self.rows.map_or(i, |rows| rows[i] as usize)
    }

    /// Row `i`; `buffer` has one place per column and is used where rows are computed.
    pub(crate) fn row<'b>(&self, i: usize, buffer: &'b mut [f64]) -> Row<'b>
    where
        'a: 'b,
    {
        match self.stored_row(i) {
            Ok(row) => row,
            Err((rows, i)) => {
                rows.row(i, buffer);
                Row::F64(buffer)
            }
        }
    }

    /// Row `i` where it stands, or who computes it as which row.
    pub(crate) fn stored_row(&self, i: usize) -> Result<Row<'a>, (&'a dyn Rows, usize)> {
        let at = self.stored(i) * self.columns;
        match self.entries {
            Entries::F64(c) => Ok(Row::F64(&c[at..at + self.columns])),
            Entries::F32(c) => Ok(Row::F32(&c[at..at + self.columns])),
            Entries::Rows(rows) => Err((rows, self.stored(i))),
        }
    }

    /// The entries, where they can be read in place one source after another.
    pub(crate) fn in_place(&self, sources: usize) -> Option<InPlace<'a>> {
        let entries = sources * self.columns;
        match self.entries {
            Entries::F64(c) if self.rows.is_none() => Some(InPlace::F64(&c[..entries])),
            Entries::F32(c) if self.rows.is_none() => Some(InPlace::F32(&c[..entries])),
            _ => None,
        }
    }

    pub(crate) fn entry(&self, i: usize, j: usize) -> f64 {
        let at = self.stored(i) * self.columns + j;
        match self.entries {
            Entries::F64(c) => c[at],
            Entries::F32(c) => f64::from(c[at]),
            Entries::Rows(rows) => rows.entry(self.stored(i), j),
        }
    }
}

impl Row<'_> {
    pub(crate) fn at(&self, j: usize) -> f64 {
        match self {
            Row::F64(c) => c[j],
            Row::F32(c) => f64::from(c[j]),
        }
    }

    pub(crate) fn min(&self, p: &[f64]) -> f64 {
        match self {
            Row::F64(c) => pricing::row_min(c, p),
            Row::F32(c) => pricing::row_min(c, p),
        }
    }

    pub(crate) fn price(&self, p: &[f64], shift: f64, tol: f64) -> f64 {
        match self {
            Row::F64(c) => pricing::row_price(c, p, shift, tol),
            Row::F32(c) => pricing::row_price(c, p, shift, tol),
        }
    }

    pub(crate) fn entering(&self, p: &[f64], shift: f64, tol: f64) -> Option<usize> {
        let j = match self {
            Row::F64(c) => pricing::row_entering(c, p, shift, tol),
            Row::F32(c) => pricing::row_entering(c, p, shift, tol),
        };
        j.map(|j| j as usize)
    }

    pub(crate) fn collect(
        &self,
        p: &[f64],
        shift: f64,
        tol: f64,
        below: f64,
        out: &mut Vec<(f64, u32)>,
    ) {
        match self {
            Row::F64(c) => pricing::row_collect(c, p, shift, tol, below, out),
            Row::F32(c) => pricing::row_collect(c, p, shift, tol, below, out),
        };
    }

    pub(crate) fn column_min(&self, shift: f64, out: &mut [f64]) {
        match self {
            Row::F64(c) => pricing::column_min(c, shift, out),
            Row::F32(c) => pricing::column_min(c, shift, out),
        }
    }
}

impl Row<'_> {
    /// As row `i` of an entropic problem.
    pub(crate) fn anneal(&self, annealing: &mut Annealing, i: usize, low: f64, inv_eps: f64) {
        match self {
            Row::F64(c) => annealing.row(i, c, low, inv_eps),
            Row::F32(c) => annealing.row(i, c, low, inv_eps),
        }
    }
}

/// The cost of phase one: 0 for allowed pairs, 1 for forbidden ones.
pub(crate) struct Forbidden<'a>(pub(super) CostView<'a>);

fn penalty(c: f64) -> f64 {
    if c == f64::INFINITY { 1.0 } else { 0.0 }
}

impl Rows for Forbidden<'_> {
    fn row(&self, i: usize, out: &mut [f64]) {
        match self.0.entries {
            Entries::Rows(rows) => {
                rows.row(self.0.stored(i), out);
                out.iter_mut().for_each(|c| *c = penalty(*c));
            }
            _ => {
                let row = self.0.row(i, &mut []);
                for (j, o) in out.iter_mut().enumerate() {
                    *o = penalty(row.at(j));
                }
            }
        }
    }

    fn entry(&self, i: usize, j: usize) -> f64 {
        penalty(self.0.entry(i, j))
    }
}
