//! The graph: sources and targets, an edge for each entry of the plan, and springs that tie vertices to the ground.

/// A weighted bipartite graph, edges in compressed rows. Vertices are numbered sources first, then targets.
///
/// Its Laplacian L has the degrees (edges and ground) on the diagonal and −w_ij off it. It is positive definite where
/// every connected component has ground.
#[derive(Debug, Clone, Default)]
pub struct Bipartite {
    n: usize,
    m: usize,
    start: Vec<u32>,
    cols: Vec<u32>,
    weights: Vec<f64>,
    ground: Vec<f64>,
    degree: Vec<f64>,
}

impl Bipartite {
    /// Begins a graph with `m` targets; sources come one by one by [`Bipartite::push_row`]. Keeps its memory.
    pub fn begin(&mut self, m: usize) {
        self.n = 0;
        self.m = m;
        self.start.clear();
        self.start.push(0);
        self.cols.clear();
        self.weights.clear();
    }

    /// Adds a source with these edges: targets and positive weights.
    pub fn push_row(&mut self, edges: impl Iterator<Item = (u32, f64)>) {
        for (j, w) in edges {
            self.cols.push(j);
            self.weights.push(w);
        }
        self.n += 1;
        self.start.push(self.cols.len() as u32);
    }

    /// Ends the graph with the ground weights of sources and targets, and sums up the degrees.
    ///
    /// # Panics
    /// If the lengths are not those of the graph.
    pub fn finish(
        &mut self,
        row_ground: impl Iterator<Item = f64>,
        col_ground: impl Iterator<Item = f64>,
    ) {
        self.ground.clear();
        self.ground.extend(row_ground);
        assert_eq!(self.ground.len(), self.n, "row_ground");
        self.ground.extend(col_ground);
        assert_eq!(self.ground.len(), self.n + self.m, "col_ground");
        self.degree.clear();
        self.degree.extend_from_slice(&self.ground);
        for i in 0..self.n {
            let (from, to) = self.span(i);
            for e in from..to {
                self.degree[i] += self.weights[e];
                self.degree[self.n + self.cols[e] as usize] += self.weights[e];
            }
        }
    }

    fn span(&self, i: usize) -> (usize, usize) {
        (self.start[i] as usize, self.start[i + 1] as usize)
    }

    /// (sources, targets).
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        (self.n, self.m)
    }

    /// The number of edges.
    #[must_use]
    pub fn edges(&self) -> usize {
        self.cols.len()
    }

    /// The edges of source `i`: targets and weights.
    #[must_use]
    pub fn row(&self, i: usize) -> (&[u32], &[f64]) {
        let (from, to) = self.span(i);
        (&self.cols[from..to], &self.weights[from..to])
    }

    /// Ties target `j` to the ground by as much as its edges fall short of `mass`, if most of them are missing: edges
    /// too light to be in the graph, whose other ends move by little beside it.
    pub fn tie_target(&mut self, j: usize, mass: f64) {
        let j = self.n + j;
        let missing = mass - (self.degree[j] - self.ground[j]);
        if missing > 0.5 * mass {
            self.ground[j] += missing;
            self.degree[j] += missing;
        }
    }

    /// What ties each vertex to the ground.
    #[must_use]
    pub fn ground(&self) -> &[f64] {
        &self.ground
    }

    /// The diagonal of the Laplacian.
    #[must_use]
    pub fn degree(&self) -> &[f64] {
        &self.degree
    }

    /// y = L x: 2 multiply-adds and 12 bytes an edge.
    ///
    /// # Panics
    /// If the lengths are not n + m.
    pub fn apply(&self, x: &[f64], y: &mut [f64]) {
        let (n, all) = (self.n, self.n + self.m);
        assert!(x.len() == all && y.len() == all, "apply: lengths differ");
        for ((y, d), x) in y.iter_mut().zip(&self.degree).zip(x) {
            *y = d * x;
        }
        let (x_rows, x_cols) = x.split_at(n);
        let (y_rows, y_cols) = y.split_at_mut(n);
        let mut from = 0;
        for ((x_i, y_i), &to) in x_rows.iter().zip(y_rows).zip(&self.start[1..]) {
            let to = to as usize;
            let mut sum = 0.0;
            for (&j, &w) in self.cols[from..to].iter().zip(&self.weights[from..to]) {
                let j = j as usize;
                sum += w * x_cols[j];
                y_cols[j] -= w * x_i;
            }
            *y_i -= sum;
            from = to;
        }
    }

    /// y = S x with S = D_c − Pᵀ D_r⁻¹ P, the Schur complement of the sources: one pass over the edges, as [`Self::apply`].
    ///
    /// # Panics
    /// If the lengths are not m.
    pub fn apply_reduced(&self, x: &[f64], y: &mut [f64]) {
        assert!(
            x.len() == self.m && y.len() == self.m,
            "apply_reduced: lengths differ"
        );
        for ((y, d), x) in y.iter_mut().zip(&self.degree[self.n..]).zip(x) {
            *y = d * x;
        }
        let mut from = 0;
        for (degree, &to) in self.degree.iter().zip(&self.start[1..]) {
            let to = to as usize;
            let edges = || self.cols[from..to].iter().zip(&self.weights[from..to]);
            let sum: f64 = edges().map(|(&j, w)| w * x[j as usize]).sum();
            if *degree > 0.0 {
                let mean = sum / degree;
                for (&j, w) in edges() {
                    y[j as usize] -= w * mean;
                }
            }
            from = to;
        }
    }

    /// Adds Pᵀ D_r⁻¹ `rows` to `cols`: the right side that is left of L (x, y) = (`rows`, `cols`) when x is eliminated.
    pub fn reduce(&self, rows: &[f64], cols: &mut [f64]) {
        for (i, (h, degree)) in rows.iter().zip(&self.degree).enumerate() {
            if *degree > 0.0 {
                let (targets, weights) = self.row(i);
                for (&j, w) in targets.iter().zip(weights) {
                    cols[j as usize] += w * (h / degree);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three sources, two targets; the last source has no edge.
    fn graph() -> Bipartite {
        let mut graph = Bipartite::default();
        graph.begin(2);
        graph.push_row([(0, 1.0), (1, 2.0)].into_iter());
        graph.push_row([(1, 4.0)].into_iter());
        graph.push_row(std::iter::empty());
        graph.finish([0.0, 0.5, 0.0].into_iter(), [0.25, 0.0].into_iter());
        graph
    }

    #[test]
    fn the_product_is_that_of_the_laplacian() {
        let graph = graph();
        assert_eq!((graph.shape(), graph.edges()), ((3, 2), 3));
        assert_eq!(graph.degree(), [3.0, 4.5, 0.0, 1.25, 6.0]);
        let matrix = [
            [3.0, 0.0, 0.0, -1.0, -2.0],
            [0.0, 4.5, 0.0, 0.0, -4.0],
            [0.0, 0.0, 0.0, 0.0, 0.0],
            [-1.0, 0.0, 0.0, 1.25, 0.0],
            [-2.0, -4.0, 0.0, 0.0, 6.0],
        ];
        let x = [1.0, -2.0, 3.0, 0.5, 4.0];
        let mut y = [f64::NAN; 5];
        graph.apply(&x, &mut y);
        for (y, row) in y.iter().zip(matrix) {
            let wanted: f64 = row.iter().zip(x).map(|(w, x)| w * x).sum();
            assert_eq!(*y, wanted);
        }
    }

    #[test]
    fn sources_are_eliminated() {
        let graph = graph();
        // Any potentials of targets, and those of sources that solve their equations for this right side.
        let (y, rows) = ([0.5, 4.0], [2.0, -1.0]);
        let x = [
            (rows[0] + y[0] + 2.0 * y[1]) / 3.0,
            (rows[1] + 4.0 * y[1]) / 4.5,
            0.0,
            y[0],
            y[1],
        ];
        let mut all = [0.0; 5];
        graph.apply(&x, &mut all);
        assert!((all[0] - rows[0]).abs() < 1e-14 && (all[1] - rows[1]).abs() < 1e-14);
        let mut left = [all[3], all[4]];
        graph.reduce(&[rows[0], rows[1], 0.0], &mut left);
        let mut reduced = [0.0; 2];
        graph.apply_reduced(&y, &mut reduced);
        for (x, y) in reduced.iter().zip(left) {
            assert!((x - y).abs() < 1e-13);
        }
    }

    #[test]
    fn a_target_whose_edges_are_missing_is_tied_to_the_ground() {
        let mut graph = graph();
        // More than half of its mass is there.
        graph.tie_target(1, 11.0);
        assert_eq!(graph.ground()[4], 0.0);
        graph.tie_target(0, 5.0);
        assert_eq!((graph.ground()[3], graph.degree()[3]), (4.25, 5.25));
        // Another graph in the same memory knows nothing of it.
        graph.begin(1);
        graph.push_row([(0, 7.0)].into_iter());
        graph.finish([0.0].into_iter(), [0.0].into_iter());
        assert_eq!(graph.degree(), [7.0, 7.0]);
    }
}
