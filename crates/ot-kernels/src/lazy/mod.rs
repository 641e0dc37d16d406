//! Tiles of an entropic plan between two point clouds, computed when asked for: no entry ever leaves the first-level
//! cache.
//!
//! E_ij = exp((f_i + g_j − C_ij)/ε) for [`SIDE`] rows and as many columns, and in the same evaluation of the exponential
//! Σ_j b_j E_ij and Σ_i a_i E_ij.
//!
//! For C = ‖x − y‖² the exponent is taken about a centre o of the rows. With u = x − o and v = y − o
//! (f + g − C)/ε = [(f − ‖u‖²)/ε − s] + [(g − ‖v‖²)/ε + s] + ⟨2u/ε, v⟩, where s is the mean of the first bracket. All
//! three terms are computed in f64 and rounded once; u is as small as the rows of a tile lie together, so that, unlike
//! with ‖x‖² + ‖y‖² − 2⟨x, y⟩ about the origin, no term is much larger than the exponent itself: in T with unit roundoff
//! η the exponent errs by at most η·(|first| + |second| + (d + 2)·Σ|2 u_k v_k|/ε), which [`Bounds::magnitude`] states.
//! Any other cost comes as a tile of entries in f64, from which the exponent is computed in f64 and rounded once.
//!
//! Exponents are in units of ln 2: 2^x needs one subtraction for its range reduction where e^x needs three steps.

mod weigh;

use crate::dispatch::{Isa, isa};
use crate::simd::{Elem, run};
use weigh::{Costs, Points, Weigh};

/// Rows and columns of a tile.
pub const SIDE: usize = 64;
/// Lanes kept for the sums of a row.
const LANES: usize = 16;
/// Rows that are worked on at a time.
const QUAD: usize = 4;

/// What is known of the exponents of a tile, in natural units, before they are computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// No exponent is larger.
    pub most: f64,
    /// No exponent is smaller.
    pub least: f64,
    /// What the rounding of an exponent is relative to.
    pub magnitude: f64,
}

/// Room for one tile in the number type T, and the rows' side of it.
#[derive(Debug, Clone)]
pub struct Tile<T> {
    isa: Isa,
    dim: usize,
    rows: usize,
    /// 1/(ε ln 2).
    per_unit: f64,
    centre: Vec<f64>,
    /// The mean of the rows' biases, moved to the columns'.
    shift: f64,
    bias: Vec<T>,
    weights: Vec<T>,
    /// 2u/(ε ln 2), row-major.
    factors: Vec<T>,
    /// Extremes of the rows' biases, and the longest u.
    bias_range: (f64, f64),
    radius: f64,
    sums: Vec<T>,
    prices: Vec<T>,
    /// The largest exponent of each row so far, where prices are asked for.
    tops: Vec<T>,
    col_bias: Vec<T>,
    col_weights: Vec<T>,
    /// v, one coordinate after the other.
    col_coords: Vec<T>,
    col_sums: Vec<T>,
    col_tops: Vec<T>,
    /// Exponents of a tile whose cost was given.
    exponents: Vec<T>,
    potentials: Vec<f64>,
    is_clamped: bool,
}

impl<T: Elem> Tile<T> {
    /// Room for tiles of points of dimension `dim`.
    ///
    /// # Panics
    /// If `dim` is 0.
    #[must_use]
    pub fn new(dim: usize) -> Self {
        Self::with(isa(), dim)
    }

    /// [`Tile::new`] on a chosen instruction set (or the widest available below it).
    ///
    /// # Panics
    /// If `dim` is 0.
    #[must_use]
    pub fn with(isa: Isa, dim: usize) -> Self {
        assert!(dim > 0, "Tile: points of dimension 0");
        let zeros = |n| vec![T::ZERO; n];
        Self {
            isa,
            dim,
            rows: 0,
            per_unit: 0.0,
            centre: vec![0.0; dim],
            shift: 0.0,
            bias: zeros(SIDE),
            weights: zeros(SIDE),
            factors: zeros(SIDE * dim),
            bias_range: (0.0, 0.0),
            radius: 0.0,
            sums: zeros(SIDE * LANES),
            prices: zeros(SIDE * LANES),
            tops: zeros(SIDE * LANES),
            col_bias: zeros(SIDE),
            col_weights: zeros(SIDE),
            col_coords: zeros(SIDE * dim),
            col_sums: zeros(SIDE),
            col_tops: zeros(SIDE),
            exponents: Vec::new(),
            potentials: vec![0.0; SIDE],
            is_clamped: true,
        }
    }

    /// Takes rows: row-major points, potentials and weights, at regularization `eps`; their sums begin at 0.
    ///
    /// # Panics
    /// If there is no row, there are more than [`SIDE`], or lengths do not match.
    pub fn take_rows(&mut self, x: &[f64], f: &[f64], a: &[f64], eps: f64) {
        let (n, dim) = (f.len(), self.dim);
        assert!(n > 0 && n <= SIDE, "take_rows: {n} rows");
        assert!(
            x.len() == n * dim && a.len() == n,
            "take_rows: lengths differ"
        );
        self.rows = n;
        self.per_unit = std::f64::consts::LOG2_E / eps;
        self.sums.fill(T::ZERO);
        self.prices.fill(T::ZERO);
        self.tops.fill(T::from_f64(f64::NEG_INFINITY));
        self.centre.fill(0.0);
        for point in x.chunks_exact(dim) {
            for (c, x) in self.centre.iter_mut().zip(point) {
                *c += x / n as f64;
            }
        }
        let mut radius = 0.0_f64;
        for (i, point) in x.chunks_exact(dim).enumerate() {
            let mut square = 0.0;
            for (k, (x, c)) in point.iter().zip(&self.centre).enumerate() {
                let u = x - c;
                square += u * u;
                self.factors[i * dim + k] = T::from_f64(2.0 * u * self.per_unit);
            }
            radius = radius.max(square);
            self.potentials[i] = (f[i] - square) * self.per_unit;
        }
        self.radius = radius.sqrt();
        self.shift = self.potentials[..n].iter().sum::<f64>() / n as f64;
        self.settle_rows(f, a);
    }

    /// [`Tile::take_rows`] for tiles whose cost is given.
    ///
    /// # Panics
    /// If there is no row, there are more than [`SIDE`], or lengths do not match.
    pub fn take_rows_of_costs(&mut self, f: &[f64], a: &[f64], eps: f64) {
        let n = f.len();
        assert!(n > 0 && n <= SIDE, "take_rows: {n} rows");
        assert!(a.len() == n, "take_rows: lengths differ");
        self.rows = n;
        self.per_unit = std::f64::consts::LOG2_E / eps;
        self.sums.fill(T::ZERO);
        self.prices.fill(T::ZERO);
        self.tops.fill(T::from_f64(f64::NEG_INFINITY));
        self.exponents.resize(SIDE * SIDE, T::ZERO);
        self.shift = 0.0;
        self.potentials[..n].copy_from_slice(f);
        for (row, a) in self.weights.iter_mut().zip(a) {
            *row = T::from_f64(*a);
        }
        self.weights[n..].fill(T::ZERO);
    }

    /// Biases and weights from the potentials in natural order; rows of padding are copies of the last one without
    /// weight.
    fn settle_rows(&mut self, f: &[f64], a: &[f64]) {
        let (n, dim) = (f.len(), self.dim);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for i in 0..n {
            let bias = self.potentials[i] - self.shift;
            (low, high) = (low.min(bias), high.max(bias));
            self.bias[i] = T::from_f64(bias);
            self.weights[i] = T::from_f64(a[i]);
        }
        for i in n..n.next_multiple_of(QUAD) {
            self.bias[i] = self.bias[n - 1];
            self.weights[i] = T::ZERO;
            self.factors.copy_within((n - 1) * dim..n * dim, i * dim);
        }
        self.bias_range = (low, high);
    }

    /// Takes columns: `y` holds [`SIDE`] points, one coordinate after the other, `g` and `b` as many potentials and
    /// weights. Of a tile with fewer columns the last point is repeated without weight. Returns what the exponents lie
    /// between.
    ///
    /// # Panics
    /// If lengths are not those of a whole tile.
    pub fn take_columns(&mut self, y: &[f64], g: &[f64], b: &[f64]) -> Bounds {
        assert!(
            y.len() == SIDE * self.dim && g.len() == SIDE && b.len() == SIDE,
            "take_columns: not a whole tile"
        );
        let reach = run(
            self.isa,
            Points {
                y,
                g,
                b,
                centre: &self.centre,
                per_unit: self.per_unit,
                shift: self.shift,
                bias: &mut self.col_bias,
                weights: &mut self.col_weights,
                coords: &mut self.col_coords,
            },
        );
        let cross = 2.0 * self.radius * reach.square.sqrt() * self.per_unit;
        let (low, high) = self.bias_range;
        let (most, least) = (high + reach.high + cross, low + reach.low - cross);
        let magnitude = low.abs().max(high.abs())
            + reach.low.abs().max(reach.high.abs())
            + (self.dim + 2) as f64 * cross;
        self.bounded(most, least, magnitude)
    }

    /// Takes columns whose costs are given: rows × [`SIDE`] entries, row-major; forbidden pairs are +∞.
    ///
    /// # Panics
    /// If lengths are not those of the rows and a whole tile.
    pub fn take_costs(&mut self, costs: &[f64], g: &[f64], b: &[f64]) -> Bounds {
        let n = self.rows;
        assert!(
            costs.len() == n * SIDE && g.len() == SIDE && b.len() == SIDE,
            "take_costs: not a whole tile"
        );
        let reach = run(
            self.isa,
            Costs {
                costs,
                f: &self.potentials[..n],
                g,
                b,
                per_unit: self.per_unit,
                weights: &mut self.col_weights,
                exponents: &mut self.exponents,
            },
        );
        for i in n..n.next_multiple_of(QUAD) {
            self.exponents
                .copy_within((n - 1) * SIDE..n * SIDE, i * SIDE);
        }
        let magnitude = reach.low.abs().max(reach.high.abs());
        self.bounded(reach.high, reach.low, magnitude)
    }

    /// From units of ln 2; decides whether exponents may leave the range of normal numbers.
    fn bounded(&mut self, most: f64, least: f64, magnitude: f64) -> Bounds {
        let c = T::EXP;
        let inside = least > c.lowest2.into() && most < c.highest2.into();
        // NaN is not inside either.
        self.is_clamped = !inside;
        let unit = std::f64::consts::LN_2;
        Bounds {
            most: most * unit,
            least: least * unit,
            magnitude: magnitude * unit,
        }
    }

    /// Computes the tile of points: adds Σ_j b_j E_ij to the rows' sums, and writes the columns' sums Σ_i a_i E_ij,
    /// which it returns. With `priced` it also adds Σ_j b_j E_ij x_ij for the exponents x_ij, and keeps the largest
    /// exponent of each row and column: −ε times it is what a potential must give to be feasible for the cost itself.
    ///
    /// Exponents whose exponential would be subnormal or infinite count as the last one that is neither.
    pub fn weigh(&mut self, priced: bool) -> &[T] {
        let dim = self.dim;
        match dim {
            1 => self.weigh_as::<1>(priced),
            2 => self.weigh_as::<2>(priced),
            3 => self.weigh_as::<3>(priced),
            _ => self.weigh_as::<0>(priced),
        }
    }

    /// [`Tile::weigh`] for a tile of costs.
    pub fn weigh_costs(&mut self, priced: bool) -> &[T] {
        self.weigh_as::<{ usize::MAX }>(priced)
    }

    fn weigh_as<const D: usize>(&mut self, priced: bool) -> &[T] {
        let call = Weigh::<T, D> {
            dim: self.dim,
            rows: self.rows.next_multiple_of(QUAD),
            bias: &self.bias,
            weights: &self.weights,
            factors: &self.factors,
            sums: &mut self.sums,
            prices: &mut self.prices,
            tops: &mut self.tops,
            col_bias: &self.col_bias,
            col_weights: &self.col_weights,
            col_coords: &self.col_coords,
            col_sums: &mut self.col_sums,
            col_tops: &mut self.col_tops,
            exponents: &self.exponents,
            priced,
            clamped: self.is_clamped,
        };
        run(self.isa, call);
        &self.col_sums
    }

    /// Raises `tops` to the largest exponents of the columns in the last tile that was priced.
    pub fn raise_columns(&self, tops: &mut [f64]) {
        for (top, x) in tops.iter_mut().zip(&self.col_tops) {
            let x: f64 = (*x).into();
            *top = top.max(std::f64::consts::LN_2 * x);
        }
    }

    /// Raises `tops` to the largest exponents of the rows in all tiles that were priced since the rows were taken.
    pub fn raise_rows(&self, tops: &mut [f64]) {
        for (top, lanes) in tops.iter_mut().zip(self.tops.chunks_exact(LANES)) {
            for x in lanes {
                let x: f64 = (*x).into();
                *top = top.max(std::f64::consts::LN_2 * x);
            }
        }
    }

    /// Adds the rows' sums since the last call to `sums` and, where it is not empty, their priced sums to `prices`, in
    /// natural units.
    ///
    /// # Panics
    /// If `sums` does not have an entry for each row, or `prices` has entries but not as many.
    pub fn drain(&mut self, sums: &mut [f64], prices: &mut [f64]) {
        assert_eq!(sums.len(), self.rows, "drain: lengths differ");
        add_up(&mut self.sums, sums, 1.0);
        if !prices.is_empty() {
            assert_eq!(prices.len(), self.rows, "drain: lengths differ");
            add_up(&mut self.prices, prices, std::f64::consts::LN_2);
        }
    }
}

fn add_up<T: Elem>(lanes: &mut [T], sums: &mut [f64], unit: f64) {
    for (sum, lanes) in sums.iter_mut().zip(lanes.chunks_exact_mut(LANES)) {
        let mut total = 0.0;
        for lane in &mut *lanes {
            let x: f64 = (*lane).into();
            total += x;
            *lane = T::ZERO;
        }
        *sum += unit * total;
    }
}

#[cfg(test)]
mod tests;
