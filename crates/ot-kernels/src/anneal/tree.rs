//! The spanning tree of the largest entries of the plan, by Prim's algorithm.

use super::Annealing;
use crate::aligned::Aligned;
use crate::simd::{Backend, Kernel, Lanes};

/// Prim's tree.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) arcs: Vec<(u32, u32)>,
    /// The plan by columns, for the targets' turns.
    turned: Aligned<f32>,
    /// The largest entry between the tree and each source, and each target; who of the tree has it.
    best: [Aligned<f32>; 2],
    link: [Aligned<f32>; 2],
}

pub(super) struct Grow<'a>(pub(super) &'a mut Annealing);

impl Kernel for Grow<'_> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let p = self.0;
        let (n, m) = (p.sources, p.stride);
        // SAFETY: as for `Levels`.
        unsafe { weigh::<B>(p) };
        let tree = &mut p.tree;
        for (side, (count, room)) in [(n, p.rows), (p.targets, m)].into_iter().enumerate() {
            // Nodes of the tree and padding are NaN, which loses every comparison.
            let best = &mut tree.best[side];
            best.stretch(room);
            best[..count].fill(-1.0);
            best[count..].fill(f32::NAN);
            tree.link[side].stretch(room);
        }
        tree.best[0][0] = f32::NAN;
        let [to_sources, to_targets] = &mut tree.best;
        let [source_links, target_links] = &mut tree.link;
        let number = numbers(n + p.targets);
        let mut node = 0;
        for _ in 1..n + p.targets {
            // SAFETY: a source's row has m entries, a target's column `rows`, both multiples of the lanes.
            let top = unsafe {
                let (of_the_other_side, of_this_side) = if node < n {
                    let row = &p.kernel[node * m..(node + 1) * m];
                    let tops = relax::<B>(row, node as f32, to_targets, target_links);
                    (tops, largest::<B>(to_sources))
                } else {
                    let column = &tree.turned[(node - n) * p.rows..(node - n + 1) * p.rows];
                    let tops = relax::<B>(column, node as f32, to_sources, source_links);
                    (tops, largest::<B>(to_targets))
                };
                of_the_other_side.max(of_this_side).largest()
            };
            // Below zero nothing is left but nodes whose entries are no numbers: they stay outside.
            if top.is_nan() || top < 0.0 {
                return;
            }
            node = (top.to_bits() & number) as usize;
            let (k, best, link) = if node < n {
                (node, &mut *to_sources, &*source_links)
            } else {
                (node - n, &mut *to_targets, &*target_links)
            };
            // SAFETY: k is below the length of both.
            unsafe { settle::<B>(best, k, top) };
            tree.arcs.push((node as u32, link[k] as u32));
        }
    }
}

/// The low bits of an entry, which tell the number of a node below `count`.
fn numbers(count: usize) -> u32 {
    (count as u32).next_power_of_two() - 1
}

/// Turns the kernel into the plan, and writes that once more by columns; the low bits of an entry are the number of
/// the node at its far end, so that the largest entry tells where it leads.
///
/// # Safety
/// As [`sharpen`].
#[inline(always)]
unsafe fn weigh<B: Backend>(p: &mut Annealing) {
    let (m, rows) = (p.stride, p.rows);
    p.tree.turned.stretch(rows * m);
    // SAFETY: as in `sharpen`.
    unsafe {
        for i in 0..p.sources {
            let k = p.kernel.as_mut_ptr().add(i * m);
            let scale = B::S::splat(p.a[i] * p.u[i]);
            for j in (0..m).step_by(B::S::N) {
                let v = B::S::load(p.v.as_ptr().add(j));
                B::S::load(k.add(j)).mul(v).mul(scale).store(k.add(j));
            }
        }
        for i in (0..rows).step_by(B::S::N) {
            for j in (0..m).step_by(B::S::N) {
                let from = p.kernel.as_ptr().add(i * m + j);
                let to = p.tree.turned.as_mut_ptr().add(j * rows + i);
                B::S::transpose(from, m, to, rows);
            }
        }
    }
    let number = numbers(p.sources + p.targets);
    for row in p.kernel[..p.sources * m].chunks_exact_mut(m) {
        tag(row, p.sources as u32, number);
    }
    for column in p.tree.turned.chunks_exact_mut(rows) {
        tag(column, 0, number);
    }
}

/// Puts the numbers from `first` on into the low bits of non-negative entries.
#[inline(always)]
fn tag(entries: &mut [f32], first: u32, number: u32) {
    for (k, x) in (first..).zip(entries) {
        *x = f32::from_bits((x.to_bits() & !number) | (k & number));
    }
}

/// Notes `node` wherever its entry is above the best, and returns the best of all, lane by lane.
///
/// # Safety
/// The instruction set of `B` is available, the lengths are equal and a multiple of the lanes.
#[inline(always)]
unsafe fn relax<B: Backend>(
    entries: &[f32],
    node: f32,
    best: &mut [f32],
    link: &mut [f32],
) -> B::S {
    // SAFETY: the caller's promise.
    unsafe {
        let (node, mut top) = (B::S::splat(node), B::S::splat(f32::NEG_INFINITY));
        for j in (0..entries.len()).step_by(B::S::N) {
            let entry = B::S::load(entries.as_ptr().add(j));
            let (b, l) = (best.as_mut_ptr().add(j), link.as_mut_ptr().add(j));
            let (old, old_link) = (B::S::load(b), B::S::load(l));
            let better = old.lt(entry);
            let new = B::S::select(better, entry, old);
            new.store(b);
            B::S::select(better, node, old_link).store(l);
            top = new.max(top);
        }
        top
    }
}

/// # Safety
/// As [`relax`].
#[inline(always)]
unsafe fn largest<B: Backend>(best: &[f32]) -> B::S {
    // SAFETY: the caller's promise.
    unsafe {
        let mut top = B::S::splat(f32::NEG_INFINITY);
        for j in (0..best.len()).step_by(B::S::N) {
            top = B::S::load(best.as_ptr().add(j)).max(top);
        }
        top
    }
}

/// Takes the node at place `k`, whose entry is `top`, out of those to be reached.
///
/// # Safety
/// As [`relax`]; `k` is below the length.
#[inline(always)]
unsafe fn settle<B: Backend>(best: &mut [f32], k: usize, top: f32) {
    // SAFETY: the caller's promise.
    unsafe {
        // The whole register is written: the next step reads it as one, and would wait for a single lane.
        let at = best.as_mut_ptr().add(k - k % B::S::N);
        let (old, top) = (B::S::load(at), B::S::splat(top));
        B::S::select(old.lt(top), old, B::S::splat(f32::NAN)).store(at);
    }
}
