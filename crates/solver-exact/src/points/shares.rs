//! Passes over the pairs of all sources that add to the targets: each thread has some of the sources and sums of its own.

use std::ops::Range;

use rayon::prelude::*;

use super::graph::Graph;

/// Pairs from which on a pass is divided: below, handing it over takes as long as it saves.
const PAIRS: usize = 1 << 16;
/// Shares at most: each costs a pass over the targets.
const MOST: usize = 8;

/// Runs of sources with about as many pairs, as many as threads: the same number of threads gives the same sums.
#[derive(Debug, Default)]
pub(super) struct Shares {
    sources: Vec<Range<usize>>,
    /// Sums of all shares but the first.
    sums: Vec<Vec<f64>>,
}

impl Shares {
    pub(super) fn divide(&mut self, graph: &Graph) {
        let (n, pairs) = (graph.width.len(), graph.target.len());
        let count = match pairs {
            ..PAIRS => 1,
            _ => rayon::current_num_threads().min(MOST),
        };
        self.sources.clear();
        let mut from = 0;
        for share in 1..=count {
            let goal = (pairs as u64 * share as u64 / count as u64) as u32;
            let to = graph.start[..n].partition_point(|&at| at < goal).max(from);
            let to = if share == count { n } else { to };
            self.sources.push(from..to);
            from = to;
        }
        self.sums.resize_with(count - 1, Vec::new);
    }

    /// Does `work` for each share of sources, which adds to what it is given: `out` for the first, zeros for the others, that are
    /// added to `out` in the end. `own` are the pairs' places that a share may write to.
    pub(super) fn add<R: Send>(
        &mut self,
        graph: &Graph,
        own: &mut [f64],
        out: &mut [f64],
        work: impl Fn(Range<usize>, &mut [f64], &mut [f64]) -> R + Sync,
        mut tell: impl FnMut(R),
    ) {
        let Self { sources, sums } = self;
        if let [all] = &sources[..] {
            return tell(work(all.clone(), own, out));
        }
        for sum in &mut *sums {
            sum.clear();
            sum.resize(out.len(), 0.0);
        }
        let mut left = own;
        let mut parts = Vec::with_capacity(sources.len());
        let all_sums = std::iter::once(&mut *out).chain(sums.iter_mut().map(|sum| &mut sum[..]));
        for (sources, sum) in sources.iter().zip(all_sums) {
            let count = graph.rows(sources.clone()).len().min(left.len());
            let (own, rest) = std::mem::take(&mut left).split_at_mut(count);
            left = rest;
            parts.push((sources.clone(), own, sum));
        }
        let told: Vec<R> = parts
            .into_par_iter()
            .map(|(sources, own, sum)| work(sources, own, sum))
            .collect();
        told.into_iter().for_each(&mut tell);
        for sum in sums {
            for (out, s) in out.iter_mut().zip(&*sum) {
                *out += s;
            }
        }
    }
}
