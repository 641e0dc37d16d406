//! ε-scaling on a pyramid of grids: every grid has half the cells of the next along each axis, and serves the ε for
//! which its cells are small enough.

use solver_api::GridCost;

use super::{End, FINE, GridPair, LEVELS, Level, Limits, Seen, iterate};

/// Source and target potential.
type Pair = (Vec<f64>, Vec<f64>);

/// A grid of the pyramid.
pub(super) struct Stage {
    pub(super) grid: GridCost,
    pub(super) a: Vec<f64>,
    pub(super) b: Vec<f64>,
}

/// Sums of pairs of neighbours along each axis; the last cell of an odd axis stays alone.
pub(super) fn pooled(dims: &[usize], w: &[f64]) -> Vec<f64> {
    let half: Vec<usize> = dims.iter().map(|d| d.div_ceil(2)).collect();
    let mut out = vec![0.0; half.iter().product()];
    let mut at = vec![0_usize; dims.len()];
    for &w in w {
        let to = at.iter().zip(&half).fold(0, |t, (i, h)| t * h + i / 2);
        out[to] += w;
        advance(&mut at, dims);
    }
    out
}

/// The next cell in row-major order.
fn advance(at: &mut [usize], dims: &[usize]) {
    for (i, &d) in at.iter_mut().zip(dims).rev() {
        *i += 1;
        if *i < d {
            return;
        }
        *i = 0;
    }
}

/// A potential on the next finer grid: linear along each axis between the centres of the cells.
pub(super) fn refined(dims: &[usize], p: &[f64]) -> Vec<f64> {
    let half: Vec<usize> = dims.iter().map(|d| d.div_ceil(2)).collect();
    let mut now = p.to_vec();
    let mut shape = half;
    for (k, &d) in dims.iter().enumerate() {
        let (h, below) = (shape[k], shape[k + 1..].iter().product::<usize>());
        let mut next = Vec::with_capacity(now.len() / h * d);
        for slab in now.chunks_exact(h * below) {
            let row = |i: usize| &slab[i * below..(i + 1) * below];
            for i in 0..d {
                let here = i / 2;
                // A quarter of the way to the neighbour on its side; at an edge, away from the other one.
                let (other, t) = match (i % 2, here) {
                    _ if h == 1 => (here, 0.0),
                    (0, 0) => (1, -0.25),
                    (0, _) => (here - 1, 0.25),
                    (_, _) if here + 1 < h => (here + 1, 0.25),
                    (_, _) => (here - 1, -0.25),
                };
                let pairs = row(here).iter().zip(row(other));
                next.extend(pairs.map(|(p, q)| p + t * (q - p)));
            }
        }
        now = next;
        shape[k] = d;
    }
    now
}

/// The largest cost of neighbours along an axis.
pub(super) fn step(grid: &GridCost) -> f64 {
    let axes = 0..grid.dims().len();
    let along = axes.filter_map(|k| grid.by_distance(k).get(1).copied());
    along.fold(0.0, f64::max)
}

/// Grids from the given one down, as long as one serves any ε up to `largest`.
pub(super) fn stages(pair: GridPair<'_>, largest: f64) -> Vec<Stage> {
    let mut stages = vec![Stage {
        grid: pair.grid.clone(),
        a: pair.a.to_vec(),
        b: pair.b.to_vec(),
    }];
    loop {
        let fine = &stages[stages.len() - 1];
        let dims = fine.grid.dims();
        if dims.iter().all(|&d| d < 8) {
            return stages;
        }
        let half: Vec<usize> = dims.iter().map(|d| d.div_ceil(2)).collect();
        let spacing: Vec<f64> = fine.grid.spacing().iter().map(|s| 2.0 * s).collect();
        let Ok(grid) = GridCost::with_spacing(&half, &spacing, fine.grid.ground()) else {
            return stages;
        };
        if step(&grid) > FINE * largest {
            return stages;
        }
        let (a, b) = (pooled(dims, &fine.a), pooled(dims, &fine.b));
        stages.push(Stage { grid, a, b });
    }
}

/// Potentials to start from at `eps`, on the given grid; `Err` with some if a check said to stop or no iteration is
/// left.
pub(super) fn climb(
    pair: GridPair<'_>,
    eps: f64,
    limits: Limits,
    done: &mut u64,
    watch: &mut dyn FnMut(&Seen) -> bool,
) -> Result<Pair, Pair> {
    let range = solver_api::Cost::range(pair.grid).max;
    let n = pair.a.len();
    let mut now = eps;
    while now * LEVELS < 0.25 * range {
        now *= LEVELS;
    }
    let mut stages = stages(pair, now);
    let coarsest = &stages[stages.len() - 1];
    let (mut f, mut g) = (vec![0.0; coarsest.a.len()], vec![0.0; coarsest.a.len()]);
    let mut going = true;
    loop {
        // As fine as this ε needs.
        while stages.len() > 1
            && (!going || now <= eps || step(&stages[stages.len() - 1].grid) > FINE * now)
        {
            stages.pop();
            let dims = stages[stages.len() - 1].grid.dims();
            (f, g) = (refined(dims, &f), refined(dims, &g));
        }
        if !going || now <= eps {
            break;
        }
        let stage = &stages[stages.len() - 1];
        let pair = GridPair {
            grid: &stage.grid,
            a: &stage.a,
            b: &stage.b,
        };
        // One iteration at least is left for the last level.
        let limits = Limits {
            max_iter: limits.max_iter.saturating_sub(1),
            ..limits
        };
        if *done >= limits.max_iter {
            going = false;
            continue;
        }
        let mut level = Level::new(pair, now);
        let (end, _) = iterate(
            &mut level,
            pair,
            (&mut f, &mut g),
            limits,
            done,
            false,
            &mut |seen, _, _| watch(seen),
        );
        going = end != End::Stopped;
        now /= LEVELS;
        if now < eps * 1.5 {
            now = eps;
        }
    }
    debug_assert_eq!(f.len(), n);
    if going || *done + 1 >= limits.max_iter {
        Ok((f, g))
    } else {
        Err((f, g))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masses_stay_and_planes_stay() {
        for dims in [vec![9, 4], vec![1, 7], vec![5, 6, 3]] {
            let n: usize = dims.iter().product();
            let w: Vec<f64> = (0..n).map(|k| k as f64).collect();
            let sum = |w: &[f64]| w.iter().sum::<f64>();
            assert_eq!(sum(&pooled(&dims, &w)), sum(&w));
            // An affine function of the centres.
            let half: Vec<usize> = dims.iter().map(|d| d.div_ceil(2)).collect();
            let plane = |dims: &[usize], scale: f64, shift: f64| -> Vec<f64> {
                let n: usize = dims.iter().product();
                let mut at = vec![0; dims.len()];
                (0..n)
                    .map(|_| {
                        let value = at.iter().zip(dims).enumerate().map(|(k, (&i, &d))| {
                            let x = if d == 1 {
                                0.0
                            } else {
                                scale * i as f64 + shift
                            };
                            (k + 1) as f64 * x
                        });
                        let value = value.sum();
                        advance(&mut at, dims);
                        value
                    })
                    .collect()
            };
            let (coarse, fine) = (plane(&half, 2.0, 0.5), plane(&dims, 1.0, 0.0));
            let got = refined(&dims, &coarse);
            for (k, (x, y)) in got.iter().zip(&fine).enumerate() {
                assert!((x - y).abs() < 1e-12, "{dims:?} {k}: {x} {y}");
            }
        }
    }
}
