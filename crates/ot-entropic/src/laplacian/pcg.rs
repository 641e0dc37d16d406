//! Preconditioned conjugate gradients on a Laplacian.

use super::{Bipartite, Cholesky};

/// How a linear solve went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Solved {
    /// Products with the matrix.
    pub iterations: usize,
    /// ‖r‖ / ‖rhs‖ in the norm of the inverse preconditioner.
    pub residual: f64,
}

/// Vectors of a solve, made once.
#[derive(Debug, Clone, Default)]
pub struct Pcg {
    r: Vec<f64>,
    z: Vec<f64>,
    p: Vec<f64>,
    q: Vec<f64>,
}

/// In eight fixed partial sums, which the compiler keeps in registers.
fn dot(x: &[f64], y: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (x8, y8) = (x.chunks_exact(8), y.chunks_exact(8));
    let rest: f64 = (x8.remainder().iter().zip(y8.remainder()))
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in x8.zip(y8) {
        for k in 0..8 {
            sums[k] += x[k] * y[k];
        }
    }
    sums.iter().sum::<f64>() + rest
}

impl Pcg {
    /// Solves L x = `rhs` from x = 0 with a factorization as preconditioner, until the residual in the norm of its inverse
    /// is `tol` of that of `rhs`, or after `most` products.
    ///
    /// # Panics
    /// If the lengths are not n + m.
    pub fn solve(
        &mut self,
        graph: &Bipartite,
        factor: &Cholesky,
        rhs: &[f64],
        x: &mut [f64],
        tol: f64,
        most: usize,
    ) -> Solved {
        let precondition = |r: &[f64], z: &mut [f64]| {
            z.copy_from_slice(r);
            factor.solve(z);
        };
        self.iterate(|x, y| graph.apply(x, y), precondition, rhs, x, tol, most)
    }

    /// Solves S y = `rhs` for the targets alone ([`Bipartite::apply_reduced`]) with its degrees as preconditioner. The whole
    /// system would take twice the products: its spectrum 1 ± σ is that of S, 1 − σ², unfolded.
    ///
    /// # Panics
    /// If the lengths are not m.
    pub fn solve_reduced(
        &mut self,
        graph: &Bipartite,
        rhs: &[f64],
        y: &mut [f64],
        tol: f64,
        most: usize,
    ) -> Solved {
        let degree = &graph.degree()[graph.shape().0..];
        let precondition = |r: &[f64], z: &mut [f64]| {
            for ((z, r), d) in z.iter_mut().zip(r).zip(degree) {
                *z = if *d > 0.0 { r / d } else { 0.0 };
            }
        };
        let solved = self.iterate(
            |x, y| graph.apply_reduced(x, y),
            precondition,
            rhs,
            y,
            tol,
            most,
        );
        // Targets of little mass hardly count in the norm of the residual: each one's own equation, given the others.
        for (y, z) in y.iter_mut().zip(&self.z) {
            *y += z;
        }
        solved
    }

    fn iterate(
        &mut self,
        apply: impl Fn(&[f64], &mut [f64]),
        precondition: impl Fn(&[f64], &mut [f64]),
        rhs: &[f64],
        x: &mut [f64],
        tol: f64,
        most: usize,
    ) -> Solved {
        assert_eq!(rhs.len(), x.len(), "solve: lengths differ");
        for vector in [&mut self.r, &mut self.z, &mut self.p, &mut self.q] {
            vector.clear();
            vector.resize(rhs.len(), 0.0);
        }
        let Self { r, z, p, q } = self;
        x.fill(0.0);
        r.copy_from_slice(rhs);
        precondition(r, z);
        p.copy_from_slice(z);
        let mut rho = dot(r, z);
        let first = rho;
        let mut iterations = 0;
        while iterations < most && rho > tol * tol * first {
            apply(p, q);
            iterations += 1;
            let curvature = dot(p, q);
            // Rounding has won, or the right side has a part that no component can take up.
            if !(curvature > 0.0 && curvature.is_finite()) {
                break;
            }
            let alpha = rho / curvature;
            for (((x, p), r), q) in x.iter_mut().zip(&*p).zip(&mut *r).zip(&*q) {
                *x += alpha * p;
                *r -= alpha * q;
            }
            precondition(r, z);
            let next = dot(r, z);
            let beta = next / rho;
            rho = next;
            if !rho.is_finite() {
                break;
            }
            for (p, z) in p.iter_mut().zip(&*z) {
                *p = z + beta * *p;
            }
        }
        let residual = if first > 0.0 {
            (rho / first).max(0.0).sqrt()
        } else {
            0.0
        };
        Solved {
            iterations,
            residual,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::super::Keep;
    use super::*;

    /// A random graph with weights over `decades` decades; every target has at least one edge.
    fn graph(n: usize, m: usize, row: usize, decades: f64, ground: f64, seed: u64) -> Bipartite {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut graph = Bipartite::default();
        graph.begin(m);
        for i in 0..n {
            let mut edges: Vec<u32> = (0..row).map(|_| rng.random_range(0..m as u32)).collect();
            edges.push((i % m) as u32);
            edges.push(((i + 1) % m) as u32);
            edges.sort_unstable();
            edges.dedup();
            let weighted: Vec<(u32, f64)> = edges
                .into_iter()
                .map(|j| (j, 10_f64.powf(-decades * rng.random::<f64>())))
                .collect();
            graph.push_row(weighted.into_iter());
        }
        graph.finish((0..n).map(|_| 0.0), (0..m).map(|_| ground));
        graph
    }

    fn error_of(graph: &Bipartite, x: &[f64], rhs: &[f64]) -> f64 {
        let mut y = vec![0.0; x.len()];
        graph.apply(x, &mut y);
        let norm = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
        let r: Vec<f64> = y.iter().zip(rhs).map(|(y, r)| y - r).collect();
        norm(&r) / norm(rhs)
    }

    fn balanced_rhs(len: usize, seed: u64) -> Vec<f64> {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut rhs: Vec<f64> = (0..len).map(|_| rng.random::<f64>() - 0.5).collect();
        let mean = rhs.iter().sum::<f64>() / len as f64;
        rhs.iter_mut().for_each(|r| *r -= mean);
        rhs
    }

    #[test]
    fn a_tree_is_solved_by_the_factor_alone() {
        // A comb: source i has the edges i and i + 1.
        let (n, m) = (300, 301);
        let mut graph = Bipartite::default();
        graph.begin(m);
        for i in 0..n {
            let w = 10_f64.powi(-((i * 7 % 5) as i32));
            graph.push_row([(i as u32, w), (i as u32 + 1, 1.0 - 0.5 * w)].into_iter());
        }
        graph.finish(
            (0..n).map(|_| 0.0),
            (0..m).map(|j| if j == 5 { 1.0 } else { 0.0 }),
        );
        let mut factor = Cholesky::default();
        factor.factor(&graph, Keep::ALL, 1);
        assert_eq!(factor.entries(), n + m - 1);
        let rhs = balanced_rhs(n + m, 3);
        let mut x = rhs.clone();
        factor.solve(&mut x);
        assert!(
            error_of(&graph, &x, &rhs) < 1e-8,
            "{}",
            error_of(&graph, &x, &rhs)
        );
    }

    #[test]
    fn both_preconditioners_solve() {
        for (seed, (row, decades)) in [(3, 10.0), (6, 4.0), (30, 2.0)].into_iter().enumerate() {
            let graph = graph(400, 350, row, decades, 1e-6, seed as u64);
            let rhs = balanced_rhs(750, 9);
            let mut factor = Cholesky::default();
            factor.factor(&graph, Keep::ALL, 7);
            let mut x = vec![0.0; 750];
            let mut pcg = Pcg::default();
            let solved = pcg.solve(&graph, &factor, &rhs, &mut x, 1e-10, 500);
            assert!(solved.iterations < 60, "{row} {decades}: {solved:?}");
            assert!(
                error_of(&graph, &x, &rhs) < 1e-5,
                "{}",
                error_of(&graph, &x, &rhs)
            );
            if decades < 5.0 {
                // The targets alone: the same potentials there.
                let mut reduced = rhs[400..].to_vec();
                graph.reduce(&rhs[..400], &mut reduced);
                let mut y = vec![0.0; 350];
                let solved = pcg.solve_reduced(&graph, &reduced, &mut y, 1e-12, 5000);
                let scale = y.iter().fold(0.0_f64, |t, y| t.max(y.abs()));
                for (y, x) in y.iter().zip(&x[400..]) {
                    assert!((y - x).abs() < 1e-6 * scale, "{solved:?}");
                }
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_factor() {
        let graph = graph(100, 90, 5, 6.0, 1e-8, 4);
        let solve = |seed| {
            let mut factor = Cholesky::default();
            factor.factor(&graph, Keep::ALL, seed);
            let mut x = balanced_rhs(190, 1);
            factor.solve(&mut x);
            x
        };
        assert_eq!(solve(5), solve(5));
        assert_ne!(solve(5), solve(6));
    }
}
