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

    /// The weight of edge `e`, counted by rows.
    #[must_use]
    pub fn weight(&self, e: usize) -> f64 {
        self.weights[e]
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
}
