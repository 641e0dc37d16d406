//! Passes over the rows of the kernel exp((f⊕g − C)/ε): in fixed chunks with ordered sums, so that the bits do not
//! depend on the number of threads.

use ot_entropic::list::Entries;
use ot_kernels::exp::gibbs_row;
use ot_kernels::pricing::row_min;
use ot_kernels::reduce::col_min_update;
use rayon::prelude::*;

use crate::instance::Instance;

/// Row chunks of a pass.
const CHUNKS: usize = 16;
/// Below this many entries a pass is one chunk on the calling thread.
const ENTRIES_IN_LINE: usize = 1 << 15;

/// Entries of a plan in rows, as found by a pass.
#[derive(Debug, Default, Clone)]
pub(crate) struct List {
    /// Where each row begins; one more for the end.
    pub(crate) start: Vec<usize>,
    pub(crate) cols: Vec<u32>,
    /// P_ij, at mass 1.
    pub(crate) mass: Vec<f64>,
}

impl List {
    pub(crate) fn row(&self, i: usize) -> (&[u32], &[f64]) {
        let at = self.start[i]..self.start[i + 1];
        (&self.cols[at.clone()], &self.mass[at])
    }
}

impl List {
    /// Entries of a plan of the instance that are above `keep` times the smaller of their two weights.
    pub(crate) fn copy_from(&mut self, plan: &Entries, instance: &Instance, keep: f64) {
        self.start.clear();
        self.start.push(0);
        self.cols.clear();
        self.mass.clear();
        for (i, a) in instance.a.iter().enumerate() {
            let (cols, mass) = plan.row(i);
            for (&j, &p) in cols.iter().zip(mass) {
                if p > keep * a.min(instance.b[j as usize]) {
                    self.cols.push(j);
                    self.mass.push(p);
                }
            }
            self.start.push(self.cols.len());
        }
    }
}

/// A chunk of rows with its own memory.
#[derive(Debug, Default)]
struct Chunk {
    from: usize,
    f: Vec<f64>,
    columns: Vec<f64>,
    row: Vec<f64>,
    counts: Vec<usize>,
    cols: Vec<u32>,
    mass: Vec<f64>,
}

/// The memory of passes over one instance.
#[derive(Debug, Default)]
pub(crate) struct Passes {
    chunks: Vec<Chunk>,
    /// g + ε ln b, and its negative.
    shifted: Vec<f64>,
    signed: Vec<f64>,
}

impl Passes {
    pub(crate) fn new(instance: &Instance) -> Self {
        let (n, m) = instance.shape();
        let size = if n.saturating_mul(m) < ENTRIES_IN_LINE {
            n
        } else {
            n.div_ceil(CHUNKS)
        }
        .max(1);
        let chunks = (0..n.div_ceil(size)).map(|c| {
            let from = c * size;
            Chunk {
                from,
                f: vec![0.0; size.min(n - from)],
                columns: vec![0.0; m],
                row: vec![0.0; m],
                ..Chunk::default()
            }
        });
        Self {
            chunks: chunks.collect(),
            shifted: vec![0.0; m],
            signed: vec![0.0; m],
        }
    }

    fn each(&mut self, work: impl Fn(&mut Chunk, &[f64], &[f64]) + Sync) {
        let (shifted, signed) = (&self.shifted[..], &self.signed[..]);
        match &mut self.chunks[..] {
            [one] => work(one, shifted, signed),
            many => many
                .par_iter_mut()
                .for_each(|chunk| work(chunk, shifted, signed)),
        }
    }

    /// f = the soft c-transform of g at ε, so that every row of P = a_i b_j exp((f_i + g_j − C_ij)/ε) sums to a_i;
    /// `received` = Pᵀ1. Entries above `keep` times the smaller of their two weights go to `list`.
    ///
    /// One exponential an entry; the largest of each row is 1 before it is normalized, so that nothing overflows and
    /// what underflows is less than 1e-300 of its row.
    pub(crate) fn soft(
        &mut self,
        instance: &Instance,
        g: &[f64],
        eps: f64,
        f: &mut [f64],
        received: &mut [f64],
        mut list: Option<(&mut List, f64)>,
    ) {
        for (((h, s), g), log_b) in (self.shifted.iter_mut().zip(&mut self.signed))
            .zip(g)
            .zip(&instance.log_b)
        {
            *h = g + eps * log_b;
            *s = -*h;
        }
        let keep = list.as_ref().map(|l| l.1);
        self.each(|chunk, h, signed| chunk.soft(instance, h, signed, eps, keep));
        received.fill(0.0);
        if let Some((list, _)) = &mut list {
            list.start.clear();
            list.start.push(0);
            list.cols.clear();
            list.mass.clear();
        }
        for chunk in &self.chunks {
            f[chunk.from..chunk.from + chunk.f.len()].copy_from_slice(&chunk.f);
            received
                .iter_mut()
                .zip(&chunk.columns)
                .for_each(|(r, c)| *r += c);
            if let Some((list, _)) = &mut list {
                let mut end = list.cols.len();
                for count in &chunk.counts {
                    end += count;
                    list.start.push(end);
                }
                list.cols.extend_from_slice(&chunk.cols);
                list.mass.extend_from_slice(&chunk.mass);
            }
        }
    }

    /// f_i = min_j (C_ij − g_j).
    pub(crate) fn hard(&mut self, instance: &Instance, g: &[f64], f: &mut [f64]) {
        self.signed.iter_mut().zip(g).for_each(|(h, g)| *h = -g);
        self.each(|chunk, _, signed| {
            for (k, f) in chunk.f.iter_mut().enumerate() {
                *f = row_min(instance.row(chunk.from + k), signed);
            }
        });
        for chunk in &self.chunks {
            f[chunk.from..chunk.from + chunk.f.len()].copy_from_slice(&chunk.f);
        }
    }

    /// g_j = min_i (C_ij − f_i).
    pub(crate) fn hard_columns(&mut self, instance: &Instance, f: &[f64], g: &mut [f64]) {
        self.each(|chunk, _, _| {
            chunk.columns.fill(f64::INFINITY);
            for k in 0..chunk.f.len() {
                let i = chunk.from + k;
                col_min_update(instance.row(i), f[i], &mut chunk.columns);
            }
        });
        g.fill(f64::INFINITY);
        for chunk in &self.chunks {
            g.iter_mut()
                .zip(&chunk.columns)
                .for_each(|(g, c)| *g = g.min(*c));
        }
    }

    /// Sums over the rows of exp((f_i + g_j − C_ij)/ε) times a_i, for f and g of the caller's choice: the other half
    /// of a scaling step in the log domain. With the g of [`Passes::hard_columns`] none of them underflows.
    pub(crate) fn columns(
        &mut self,
        instance: &Instance,
        f: &[f64],
        g: &[f64],
        eps: f64,
        received: &mut [f64],
    ) {
        self.shifted.copy_from_slice(g);
        self.each(|chunk, g, _| {
            chunk.columns.fill(0.0);
            for k in 0..chunk.f.len() {
                let i = chunk.from + k;
                gibbs_row(instance.row(i), f[i], g, 1.0 / eps, &mut chunk.row);
                add(&mut chunk.columns, instance.a[i], &chunk.row);
            }
        });
        received.fill(0.0);
        for chunk in &self.chunks {
            received
                .iter_mut()
                .zip(&chunk.columns)
                .for_each(|(r, c)| *r += c);
        }
    }

    /// K_ij = exp((f_i + g_j − C_ij)/ε) for all pairs.
    pub(crate) fn kernel(
        &mut self,
        instance: &Instance,
        f: &[f64],
        g: &[f64],
        eps: f64,
        k: &mut [f64],
    ) {
        let m = instance.shape().1.max(1);
        let rows = self.chunks.first().map_or(1, |chunk| chunk.f.len().max(1));
        let fill = |(c, block): (usize, &mut [f64])| {
            for (r, out) in block.chunks_exact_mut(m).enumerate() {
                let i = c * rows + r;
                gibbs_row(instance.row(i), f[i], g, 1.0 / eps, out);
            }
        };
        if self.chunks.len() < 2 {
            k.chunks_mut(rows * m).enumerate().for_each(fill);
        } else {
            k.par_chunks_mut(rows * m).enumerate().for_each(fill);
        }
    }
}

/// out += x·row.
fn add(out: &mut [f64], x: f64, row: &[f64]) {
    out.iter_mut().zip(row).for_each(|(o, r)| *o += x * r);
}

impl Chunk {
    fn soft(
        &mut self,
        instance: &Instance,
        h: &[f64],
        signed: &[f64],
        eps: f64,
        keep: Option<f64>,
    ) {
        self.columns.fill(0.0);
        self.counts.clear();
        self.cols.clear();
        self.mass.clear();
        let inverse = 1.0 / eps;
        for k in 0..self.f.len() {
            let i = self.from + k;
            let (cost, a) = (instance.row(i), instance.a[i]);
            // min_j (C_ij − h_j): the exponent of the largest entry becomes 0.
            let top = row_min(cost, signed);
            gibbs_row(cost, top, h, inverse, &mut self.row);
            let sum = sum(&self.row);
            self.f[k] = top - eps * sum.ln();
            let scale = a / sum;
            add(&mut self.columns, scale, &self.row);
            if let Some(keep) = keep {
                let before = self.cols.len();
                let (least, inverse) = (keep * sum, keep / scale);
                for (j, (&e, &b)) in self.row.iter().zip(&instance.b).enumerate() {
                    // e·a/sum > keep·min(a, b).
                    if e > least || e > inverse * b {
                        self.cols.push(j as u32);
                        self.mass.push(e * scale);
                    }
                }
                self.counts.push(self.cols.len() - before);
            }
        }
    }
}

/// Eight sums side by side: fast, and in a fixed order.
fn sum(x: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let whole = x.chunks_exact(8);
    let rest: f64 = whole.remainder().iter().sum();
    for part in whole {
        lanes.iter_mut().zip(part).for_each(|(l, x)| *l += x);
    }
    lanes.iter().sum::<f64>() + rest
}
