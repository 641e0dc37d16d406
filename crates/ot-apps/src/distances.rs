//! Tables of transport costs between many measures, which can be interrupted and gone on with.

use std::sync::{Arc, Mutex, PoisonError};

use solver_api::{Batch, Capability, Certify, Context, Cost, CostKind, Measure, Solver};

use crate::error::require;
use crate::retrieval::Score;
use crate::transport::{Sources, checked};
use crate::{Error, steps};

/// Entries of a step: some ten milliseconds of digits, so that little is lost and progress is smooth.
const STEP: usize = 64;

/// N×M numbers, of which some may still be missing.
#[derive(Debug, Clone, PartialEq)]
pub struct DistanceTable {
    rows: usize,
    cols: usize,
    values: Vec<f64>,
    /// Places of entries whose solves ended short of their tolerance.
    short: Vec<usize>,
    solver: Option<String>,
}

impl DistanceTable {
    /// A table with nothing in it.
    ///
    /// # Errors
    /// A side of length 0, or more entries than memory has addresses.
    pub fn empty(rows: usize, cols: usize) -> Result<Self, Error> {
        let count = rows.saturating_mul(cols);
        if count == 0 || count > isize::MAX as usize / 8 {
            return Err(Error::Shape {
                argument: "weights",
                found: count,
                expected: format!("a table of {rows}×{cols} must have an entry and fit in memory"),
            });
        }
        Self::from_values(rows, cols, vec![f64::NAN; count])
    }

    /// An earlier table to go on with: entries that are NaN are missing.
    ///
    /// # Errors
    /// Not rows·cols values, and infinite ones.
    pub fn from_values(rows: usize, cols: usize, values: Vec<f64>) -> Result<Self, Error> {
        if Some(values.len()) != rows.checked_mul(cols) || values.is_empty() {
            return Err(Error::Shape {
                argument: "distances",
                found: values.len(),
                expected: format!("the table is one of {rows}×{cols}"),
            });
        }
        if let Some(at) = values.iter().position(|v| v.is_infinite()) {
            let rule = format!(
                "at ({}, {}): entries are numbers, or NaN where they are missing",
                at / cols,
                at % cols
            );
            return Err(Error::setting("distances", values[at], &rule));
        }
        Ok(Self {
            rows,
            cols,
            values,
            short: Vec::new(),
            solver: None,
        })
    }

    /// Rows and columns.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// All entries, row by row; NaN where one is missing.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Entry (i, j), if it is there.
    ///
    /// # Panics
    /// If there is no such place.
    #[must_use]
    pub fn get(&self, i: usize, j: usize) -> Option<f64> {
        let value = self.values[i * self.cols + j];
        (!value.is_nan()).then_some(value)
    }

    /// Places, row·columns + column, of entries whose solves ended short of their tolerance; of mirrored ones the first.
    #[must_use]
    pub fn unconverged(&self) -> &[usize] {
        &self.short
    }

    /// Who solved: with a choice among backends, the one of a first solve; `None` before there was one.
    #[must_use]
    pub fn solver(&self) -> Option<&str> {
        self.solver.as_deref()
    }

    /// How many entries are missing.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.values.iter().filter(|v| v.is_nan()).count()
    }

    /// The q-quantile of the entries that are there, off the diagonal of a square table; `None` where none is.
    /// O(rows·cols·log).
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let square = self.rows == self.cols;
        let mut there: Vec<f64> = (self.values.iter().enumerate())
            .filter(|(k, v)| !(v.is_nan() || square && k / self.cols == k % self.cols))
            .map(|(_, v)| *v)
            .collect();
        let last = there.len().checked_sub(1)?;
        there.sort_unstable_by(f64::total_cmp);
        Some(there[(q.clamp(0.0, 1.0) * last as f64).round() as usize])
    }
}

/// Transport costs between all pairs of two lists of measures, or of one.
///
/// Needs [`Capability::Balanced`]. One measure and up to 64 others make a batch with a shared cost, and batches go side by
/// side on the threads of the context. All pairs of one list under a symmetric cost are solved for once.
#[derive(Clone)]
pub struct Distances<'a> {
    solver: &'a dyn Solver,
    cost: Arc<dyn Cost>,
    score: Score,
}

impl<'a> Distances<'a> {
    /// Costs by `solver` between measures on the sources of `cost` and measures on its targets.
    ///
    /// # Errors
    /// A solver without the capability.
    pub fn new(solver: &'a dyn Solver, cost: Arc<dyn Cost>, score: Score) -> Result<Self, Error> {
        require(solver, Capability::Balanced)?;
        Ok(Self {
            solver,
            cost,
            score,
        })
    }

    /// The costs from each of `rows` to each of `cols`, or to each of `rows`.
    ///
    /// # Errors
    /// As [`Distances::fill`].
    pub fn table(
        &self,
        rows: &[Measure],
        cols: Option<&[Measure]>,
        context: &Context,
    ) -> Result<DistanceTable, Error> {
        let mut table = DistanceTable::empty(rows.len(), cols.unwrap_or(rows).len())?;
        self.fill(&mut table, rows, cols, context, &mut |_| {})?;
        Ok(table)
    }

    /// Fills in what `table` is missing, at mass 1. Whatever ends it early, what was solved for stays in the table. `keep`
    /// sees the table after each step, one caller at a time, and may store it. The observer of `context` hears of every
    /// step.
    ///
    /// # Errors
    /// A table of another shape, measures of another length than the cost's, [`Error::Pair`] for what the solver refuses
    /// and for a solve whose numbers failed, and [`Error::Stopped`] by the context.
    pub fn fill(
        &self,
        table: &mut DistanceTable,
        rows: &[Measure],
        cols: Option<&[Measure]>,
        context: &Context,
        keep: &mut (dyn FnMut(&DistanceTable) + Send),
    ) -> Result<(), Error> {
        let (n, m) = self.cost.shape();
        of_length("weights", rows, n)?;
        of_length(
            if cols.is_some() { "against" } else { "weights" },
            cols.unwrap_or(rows),
            m,
        )?;
        let mirrored = cols.is_none() && is_symmetric(self.cost.as_ref());
        let cols = cols.unwrap_or(rows);
        if table.shape() != (rows.len(), cols.len()) {
            return Err(Error::Shape {
                argument: "distances",
                found: table.values.len(),
                expected: format!("the table is one of {}×{}", rows.len(), cols.len()),
            });
        }
        let todo = todo(table, mirrored);
        let normalized = |list: &[Measure]| -> Vec<Measure> {
            list.iter().map(|w| w.clone().normalized()).collect()
        };
        let (rows, cols) = (normalized(rows), normalized(cols));
        let sources = Sources::new(Arc::clone(&self.cost));
        let shared = Mutex::new((table, keep));
        steps::run(context, "parts of the table", todo.len(), |k, own| {
            let Part { row, cols: wanted } = &todo[k];
            own.certify = Certify::Off;
            let source = sources.source("weights", &rows[*row])?;
            let batch = Batch::OneToMany {
                cost: source.cost,
                source: source.measure,
                targets: wanted.iter().map(|&j| cols[j].clone()).collect(),
            };
            let mut found = Vec::with_capacity(wanted.len());
            let mut failed = None;
            for (solution, &col) in self.solver.solve_batch(&batch, own).into_iter().zip(wanted) {
                // What a stop cut short is no entry; that it was one, the run itself says.
                if own.interrupted().is_some() {
                    break;
                }
                let solution = match solution.map_err(Error::from).and_then(checked) {
                    Ok(solution) => solution,
                    Err(error) => {
                        failed = Some(error.of_pair(*row, col));
                        break;
                    }
                };
                let value = match self.score {
                    Score::TransportCost => solution.transport_cost,
                    Score::Objective => solution.objective,
                };
                found.push((value, solution.convergence.converged(), solution.solver));
            }
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let (table, keep) = &mut *shared;
            for (&j, (value, converged, solver)) in wanted.iter().zip(found) {
                let place = row * cols.len() + j;
                table.values[place] = value;
                if mirrored {
                    table.values[j * cols.len() + row] = value;
                }
                if !converged {
                    table.short.push(place);
                }
                table.solver.get_or_insert(solver);
            }
            keep(table);
            failed.map_or(Ok(()), Err)
        })?;
        // A stop during the last parts is no step's business.
        let (table, _) = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let (Some(termination), missing @ 1..) = (context.interrupted(), table.missing()) {
            return Err(Error::Stopped {
                what: "entries",
                termination,
                done: table.values.len() - missing,
                count: table.values.len(),
            });
        }
        table.short.sort_unstable();
        Ok(())
    }
}

/// Missing entries of a row.
struct Part {
    row: usize,
    cols: Vec<usize>,
}

fn todo(table: &DistanceTable, mirrored: bool) -> Vec<Part> {
    let mut parts = Vec::new();
    for row in 0..table.rows {
        let first = if mirrored { row } else { 0 };
        let there =
            |j: usize| table.get(row, j).is_some() && (!mirrored || table.get(j, row).is_some());
        let missing: Vec<usize> = (first..table.cols).filter(|&j| !there(j)).collect();
        for cols in missing.chunks(STEP) {
            let cols = cols.to_vec();
            parts.push(Part { row, cols });
        }
    }
    parts
}

fn of_length(argument: &'static str, list: &[Measure], len: usize) -> Result<(), Error> {
    for measure in list {
        if measure.len() != len {
            return Err(Error::Shape {
                argument,
                found: measure.len(),
                expected: format!("the cost has {len} places for them"),
            });
        }
    }
    Ok(())
}

/// Whether C_ij = C_ji for all pairs. O(n²).
fn is_symmetric(cost: &dyn Cost) -> bool {
    let (n, m) = cost.shape();
    if n != m {
        return false;
    }
    match cost.kind() {
        CostKind::Grid(_) => true,
        CostKind::Points(points) if points.x() == points.y() => true,
        _ => (0..n).all(|i| (0..i).all(|j| cost.entry(i, j) == cost.entry(j, i))),
    }
}
