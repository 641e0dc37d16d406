//! The spanning tree of the largest entries of the plan, by Prim's algorithm.

use super::Annealing;
use crate::simd::{Backend, Kernel, Lanes};

/// Prim's tree.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) arcs: Vec<(u32, u32)>,
    /// The plan by columns, for the targets' turns.
    turned: Vec<f32>,
    /// The largest entry between the tree and each source, and each target; who of the tree has it.
    best: [Vec<f32>; 2],
    link: [Vec<f32>; 2],
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
            best.clear();
            best.resize(count, -1.0);
            best.resize(room, f32::NAN);
            tree.link[side].resize(room, 0.0);
        }
        tree.best[0][0] = f32::NAN;
        let [to_sources, to_targets] = &mut tree.best;
        let [source_links, target_links] = &mut tree.link;
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
            // SAFETY: as above.
            let found = unsafe { first_at::<B>(top, to_targets) };
            let (k, best, link) = match found {
                Some(j) => (j, &mut *to_targets, &*target_links),
                None => {
                    // SAFETY: as above.
                    let Some(i) = (unsafe { first_at::<B>(top, to_sources) }) else {
                        return;
                    };
                    (i, &mut *to_sources, &*source_links)
                }
            };
            best[k] = f32::NAN;
            node = if found.is_some() { n + k } else { k };
            tree.arcs.push((node as u32, link[k] as u32));
        }
    }
}

/// Turns the kernel into the plan, and writes that once more by columns.
///
/// # Safety
/// As [`sharpen`].
#[inline(always)]
unsafe fn weigh<B: Backend>(p: &mut Annealing) {
    let (m, rows) = (p.stride, p.rows);
    p.tree.turned.resize(rows * m, 0.0);
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

/// The first place of `value`, above which there is nothing.
///
/// # Safety
/// As [`relax`].
#[inline(always)]
unsafe fn first_at<B: Backend>(value: f32, best: &[f32]) -> Option<usize> {
    let all = (1_u32 << B::S::N) - 1;
    // SAFETY: the caller's promise.
    unsafe {
        let value = B::S::splat(value);
        for j in (0..best.len()).step_by(B::S::N) {
            let x = B::S::load(best.as_ptr().add(j));
            // NaN compares false.
            let same = !B::S::bits(x.lt(value)) & !B::S::bits(x.not_le(value)) & all;
            if same != 0 {
                return Some(j + same.trailing_zeros() as usize);
            }
        }
    }
    None
}
