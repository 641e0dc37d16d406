//! The box around the weights of a problem, its kernels, and its weights.

use ot_kernels::Elem;
use ot_kernels::separable::Axis;
use solver_api::{GridCost, Problem};

/// A part of a grid that holds all weights of both sides, with its kernels.
pub(crate) struct Cut {
    /// First cell and number of cells of each axis.
    sides: Vec<(usize, usize)>,
    /// The dimensions of the whole grid.
    whole: Vec<usize>,
    /// exp(−c/ε), and c·exp(−c/ε)/max c, of each axis.
    axes: Vec<Axis<f64>>,
    priced: Vec<(f64, Axis<f64>)>,
    narrow: Vec<Axis<f32>>,
    /// The largest cost in the box, and along one axis, over ε.
    range: f64,
    /// Largest exponent of an axis.
    exponent: f64,
    /// Weights at mass 1.
    pub(crate) a: Vec<f64>,
    pub(crate) b: Vec<f64>,
}

/// Entries by distance as a matrix.
fn matrix<T: Elem + Default>(by_distance: &[f64]) -> Axis<T> {
    let d = by_distance.len();
    let entry = |e: usize| T::from_f64(by_distance[(e / d).abs_diff(e % d)]);
    Axis::new(&(0..d * d).map(entry).collect::<Vec<_>>(), d)
}

impl Cut {
    pub(crate) fn new(problem: &Problem, grid: &GridCost, reg: f64) -> Self {
        let (a, b, mass) = (problem.a().weights(), problem.b().weights(), problem.mass());
        let whole = grid.dims().to_vec();
        let axes = whole.len();
        let (mut low, mut high) = (whole.clone(), vec![0_usize; axes]);
        // Row by row of the last axis: most rows are empty or not at once.
        let last = whole[axes - 1];
        let mut at = vec![0_usize; axes - 1];
        for (a, b) in a.chunks_exact(last).zip(b.chunks_exact(last)) {
            let weighs = |k: &usize| a[*k] > 0.0 || b[*k] > 0.0;
            if let Some(first) = (0..last).find(weighs) {
                let end = (0..last).rev().find(weighs).unwrap_or(first);
                low[axes - 1] = low[axes - 1].min(first);
                high[axes - 1] = high[axes - 1].max(end);
                for (k, &i) in at.iter().enumerate() {
                    low[k] = low[k].min(i);
                    high[k] = high[k].max(i);
                }
            }
            for (i, &d) in at.iter_mut().zip(&whole).rev() {
                *i += 1;
                if *i < d {
                    break;
                }
                *i = 0;
            }
        }
        let sides: Vec<_> = low
            .iter()
            .zip(&high)
            .map(|(&l, &h)| (l, h + 1 - l))
            .collect();
        let (mut range, mut exponent) = (0.0, 0.0_f64);
        let (mut kernels, mut narrow, mut priced) = (Vec::new(), Vec::new(), Vec::new());
        for (k, &(_, d)) in sides.iter().enumerate() {
            let c = &grid.by_distance(k)[..d];
            let most = c.iter().fold(0.0_f64, |t, &c| t.max(c));
            range += most;
            exponent = exponent.max(most / reg);
            let entries: Vec<f64> = c.iter().map(|c| (-c / reg).exp()).collect();
            let unit = if most > 0.0 { most } else { 1.0 };
            let weighted: Vec<f64> = entries.iter().zip(c).map(|(e, c)| e * (c / unit)).collect();
            kernels.push(matrix(&entries));
            narrow.push(matrix(&entries));
            priced.push((unit, matrix(&weighted)));
        }
        let mut cut = Self {
            sides,
            whole,
            axes: kernels,
            priced,
            narrow,
            range,
            exponent,
            a: Vec::new(),
            b: Vec::new(),
        };
        let mut in_box = (Vec::new(), Vec::new());
        cut.each(|_, cell| {
            in_box.0.push(a[cell] / mass);
            in_box.1.push(b[cell] / mass);
        });
        (cut.a, cut.b) = in_box;
        cut
    }

    /// Visits the cells of the box in order: their index in the box and in the whole grid.
    pub(crate) fn each(&self, mut visit: impl FnMut(usize, usize)) {
        let axes = self.sides.len();
        let (first, length) = self.sides[axes - 1];
        let mut at = vec![0_usize; axes - 1];
        let mut k = 0;
        loop {
            let lead = at.iter().zip(&self.sides).zip(&self.whole);
            let row = lead.fold(0, |t, ((i, (first, _)), d)| t * d + first + i);
            let start = row * self.whole[axes - 1] + first;
            for cell in start..start + length {
                visit(k, cell);
                k += 1;
            }
            let mut carried = true;
            for (i, &(_, d)) in at.iter_mut().zip(&self.sides).rev() {
                *i += 1;
                if *i < d {
                    carried = false;
                    break;
                }
                *i = 0;
            }
            if carried {
                return;
            }
        }
    }

    /// Cells of the box.
    pub(crate) fn cells(&self) -> usize {
        self.sides.iter().map(|(_, d)| d).product()
    }

    /// The sum of its sides.
    pub(crate) fn sides(&self) -> usize {
        self.sides.iter().map(|(_, d)| d).sum()
    }

    /// The largest cost in the box.
    pub(crate) fn range(&self) -> f64 {
        self.range
    }

    /// The largest exponent of a kernel of one axis.
    pub(crate) fn exponent(&self) -> f64 {
        self.exponent
    }

    pub(crate) fn wide(&self) -> Vec<&Axis<f64>> {
        self.axes.iter().collect()
    }

    pub(crate) fn narrow(&self) -> Vec<&Axis<f32>> {
        self.narrow.iter().collect()
    }

    /// The kernels with that of axis `k` times its cost, and the unit of that cost.
    pub(crate) fn priced(&self, k: usize) -> (f64, Vec<&Axis<f64>>) {
        let mut axes = self.wide();
        axes[k] = &self.priced[k].1;
        (self.priced[k].0, axes)
    }

    pub(crate) fn axes(&self) -> usize {
        self.sides.len()
    }
}
