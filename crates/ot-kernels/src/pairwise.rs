//! Distances between points: one pair, one row, or a block, with the same bits in all three.
//!
//! The sum over coordinates runs in ascending order, one rounding for each product and one for each sum
//! (never a fused multiply-add), and SIMD lanes hold different points of `y`. So the result does not depend
//! on the instruction set, on the block or on the position in it: a solver may price a row and recompute one
//! entry later. (`Minkowski` takes powers from the standard library, which is one function per machine.)
//!
//! The squared Euclidean distance is a sum of squared differences, not ‖x‖² + ‖y‖² − 2⟨x, y⟩: it is exactly 0
//! for equal points and relatively accurate (d·2⁻⁵³) for close ones. Squares and their sum must stay in the range of
//! the number type: the caller scales points of another size. `Minkowski` needs no such care, because the power that
//! would have to be safe depends on p: a sum that leaves the range is taken again, in units of its largest term.

use crate::dispatch::{Isa, isa};
use crate::simd::{Backend, Elem, Kernel, Lanes, Scalar, run};

/// A distance between points of ℝᵈ.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Metric {
    /// `Σ_k (x_k − y_k)²`
    SqEuclidean,
    /// `√(Σ_k (x_k − y_k)²)`; the squares must neither underflow nor overflow.
    Euclidean,
    /// `Σ_k |x_k − y_k|`
    L1,
    /// `max_k |x_k − y_k|`
    Chebyshev,
    /// `(Σ_k |x_k − y_k|^p)^(1/p)`, p > 0; right wherever it can be represented itself.
    Minkowski(f64),
    /// `1 − ⟨x, y⟩ / (‖x‖·‖y‖)`, clamped to [0, 2]; 0 between two zero vectors, 1 between a zero vector and
    /// another. Equal points may differ from 0 by 2⁻⁵².
    Cosine,
}

/// Bytes of one coordinate in a panel: four 512-bit registers, so that four sums are in flight.
const PANEL_BYTES: usize = 256;

/// Points of `y` in panels of 32 (f64) or 64 (f32), each coordinate of a panel contiguous, so that SIMD runs
/// over points. A copy of `y`, padded to whole panels, and its Euclidean norms.
#[derive(Clone, Debug)]
pub struct PackedPoints<T> {
    len: usize,
    dim: usize,
    panels: Vec<T>,
    norms: Vec<T>,
}

impl<T: Elem> PackedPoints<T> {
    /// Points in a panel.
    const WIDTH: usize = PANEL_BYTES / size_of::<T>();

    /// Packs row-major points of dimension `dim`: `y.len() / dim` of them.
    ///
    /// # Panics
    /// If `dim` is 0 or `y` does not hold whole points.
    #[must_use]
    pub fn new(y: &[T], dim: usize) -> Self {
        let mut packed = Self {
            len: 0,
            dim,
            panels: Vec::new(),
            norms: Vec::new(),
        };
        packed.repack(y);
        packed
    }

    /// Other points of the same dimension in place of these; allocates nothing where they are no more.
    ///
    /// # Panics
    /// As [`PackedPoints::new`].
    pub fn repack(&mut self, y: &[T]) {
        let dim = self.dim;
        assert!(dim > 0, "PackedPoints: points of dimension 0");
        assert_eq!(
            y.len() % dim,
            0,
            "PackedPoints: y does not hold whole points"
        );
        self.len = y.len() / dim;
        let padded = self.len.next_multiple_of(Self::WIDTH);
        for (room, size) in [(&mut self.panels, padded * dim), (&mut self.norms, padded)] {
            room.clear();
            room.resize(size, T::ZERO);
        }
        for (j, point) in y.chunks_exact(dim).enumerate() {
            let start = j / Self::WIDTH * Self::WIDTH * dim + j % Self::WIDTH;
            for (k, &coordinate) in point.iter().enumerate() {
                self.panels[start + k * Self::WIDTH] = coordinate;
            }
            self.norms[j] = norm(point);
        }
    }

    /// The number of points.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no point.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The dimension of the points.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }
}

/// How a metric sums over coordinates, lane by lane.
trait Fold: Copy {
    /// Whether `finish` reads the norms.
    const NORMS: bool = false;
    /// Whether a sum may leave the range in which all terms count, so that `again` is to be asked.
    const MAY_LEAVE: bool = false;

    /// The distance from the coordinates once more, where `sum` has left that range.
    #[inline(always)]
    fn again<T: Elem>(self, _sum: T, _pairs: impl Iterator<Item = (T, T)> + Clone) -> Option<T> {
        None
    }

    /// # Safety
    /// The instruction set of `V` is available.
    unsafe fn step<V: Lanes>(self, sum: V, x: V, y: V) -> V;

    /// # Safety
    /// The instruction set of `V` is available.
    #[inline(always)]
    unsafe fn finish<V: Lanes>(self, sum: V, _norm_x: V, _norm_y: V) -> V {
        sum
    }
}

#[derive(Clone, Copy)]
struct SqEuclidean;

impl Fold for SqEuclidean {
    #[inline(always)]
    unsafe fn step<V: Lanes>(self, sum: V, x: V, y: V) -> V {
        // SAFETY: the caller's promise.
        unsafe {
            let difference = x.sub(y);
            sum.add(difference.mul(difference))
        }
    }
}

#[derive(Clone, Copy)]
struct Euclidean;

impl Fold for Euclidean {
    #[inline(always)]
    unsafe fn step<V: Lanes>(self, sum: V, x: V, y: V) -> V {
        // SAFETY: the caller's promise.
        unsafe { SqEuclidean.step(sum, x, y) }
    }
    #[inline(always)]
    unsafe fn finish<V: Lanes>(self, sum: V, _norm_x: V, _norm_y: V) -> V {
        // SAFETY: the caller's promise.
        unsafe { sum.sqrt() }
    }
}

#[derive(Clone, Copy)]
struct L1;

impl Fold for L1 {
    #[inline(always)]
    unsafe fn step<V: Lanes>(self, sum: V, x: V, y: V) -> V {
        // SAFETY: the caller's promise.
        unsafe { sum.add(x.sub(y).abs()) }
    }
}

#[derive(Clone, Copy)]
struct Chebyshev;

impl Fold for Chebyshev {
    #[inline(always)]
    unsafe fn step<V: Lanes>(self, sum: V, x: V, y: V) -> V {
        // SAFETY: the caller's promise.
        unsafe { x.sub(y).abs().max(sum) }
    }
}

#[derive(Clone, Copy)]
struct Minkowski(f64);

impl Fold for Minkowski {
    const MAY_LEAVE: bool = true;
    #[inline(always)]
    fn again<T: Elem>(self, sum: T, pairs: impl Iterator<Item = (T, T)> + Clone) -> Option<T> {
        // Above this, a term that is no normal number is rounding beside the sum.
        let least = if size_of::<T>() == size_of::<f64>() {
            f64::MIN_POSITIVE / f64::EPSILON
        } else {
            f64::from(f32::MIN_POSITIVE / f32::EPSILON)
        };
        if least <= sum.into() && sum < T::INFINITY {
            return None;
        }
        let differences = pairs.map(|(x, y)| x.minus(y).magnitude().into());
        let largest = differences.clone().fold(0.0_f64, f64::max);
        // Equal points; or a difference that overflows, as the distance then does.
        if largest == 0.0 || largest == f64::INFINITY {
            return Some(T::from_f64(largest));
        }
        let sum: f64 = differences.map(|t| (t / largest).powf(self.0)).sum();
        Some(T::from_f64(largest * sum.powf(1.0 / self.0)))
    }
    #[inline(always)]
    unsafe fn step<V: Lanes>(self, sum: V, x: V, y: V) -> V {
        // SAFETY: the caller's promise.
        unsafe { sum.add(x.sub(y).abs().map(|t| t.powf(self.0))) }
    }
    #[inline(always)]
    unsafe fn finish<V: Lanes>(self, sum: V, _norm_x: V, _norm_y: V) -> V {
        // SAFETY: the caller's promise.
        unsafe { sum.map(|t| t.powf(1.0 / self.0)) }
    }
}

#[derive(Clone, Copy)]
struct Cosine;

impl Fold for Cosine {
    const NORMS: bool = true;
    #[inline(always)]
    unsafe fn step<V: Lanes>(self, sum: V, x: V, y: V) -> V {
        // SAFETY: the caller's promise.
        unsafe { sum.add(x.mul(y)) }
    }
    #[inline(always)]
    unsafe fn finish<V: Lanes>(self, sum: V, norm_x: V, norm_y: V) -> V {
        // SAFETY: the caller's promise.
        unsafe {
            let zero = V::splat(V::E::ZERO);
            let one = V::splat(V::E::from_f64(1.0));
            let two = V::splat(V::E::from_f64(2.0));
            let product = norm_x.mul(norm_y);
            let distance = one.sub(sum.div(product)).max(zero).min(two);
            // Without a direction: 0 if both norms are 0, otherwise 1.
            let one_is_zero = V::select(zero.lt(norm_x.max(norm_y)), one, zero);
            V::select(zero.lt(product), distance, one_is_zero)
        }
    }
}

/// Calls `$body` with `$fold` bound to the metric's fold.
macro_rules! with_fold {
    ($metric:expr, $fold:ident => $body:expr) => {
        match $metric {
            Metric::SqEuclidean => {
                let $fold = SqEuclidean;
                $body
            }
            Metric::Euclidean => {
                let $fold = Euclidean;
                $body
            }
            Metric::L1 => {
                let $fold = L1;
                $body
            }
            Metric::Chebyshev => {
                let $fold = Chebyshev;
                $body
            }
            Metric::Minkowski(p) => {
                let $fold = Minkowski(p);
                $body
            }
            Metric::Cosine => {
                let $fold = Cosine;
                $body
            }
        }
    };
}

/// `√(Σ x_k²)` in ascending order.
fn norm<T: Elem>(x: &[T]) -> T {
    let mut sum = T::ZERO;
    for &x in x {
        sum = sum.plus(x.times(x));
    }
    sum.root()
}

fn entry_of<T: Elem, F: Fold>(fold: F, x: &[T], y: &[T]) -> T {
    // SAFETY: one-lane registers need no instruction set, and no pointer is used.
    unsafe {
        let mut sum = Scalar(T::ZERO);
        for (&x, &y) in x.iter().zip(y) {
            sum = fold.step(sum, Scalar(x), Scalar(y));
        }
        let (norm_x, norm_y) = if F::NORMS {
            (norm(x), norm(y))
        } else {
            (T::ZERO, T::ZERO)
        };
        if F::MAY_LEAVE
            && let Some(distance) = fold.again(sum.0, x.iter().copied().zip(y.iter().copied()))
        {
            return distance;
        }
        fold.finish(sum, Scalar(norm_x), Scalar(norm_y)).0
    }
}

/// The distance of two points. Same bits as [`row`] and [`block`].
///
/// # Panics
/// If the dimensions differ.
#[must_use]
pub fn entry<T: Elem>(metric: Metric, x: &[T], y: &[T]) -> T {
    assert_eq!(x.len(), y.len(), "entry: dimensions differ");
    with_fold!(metric, fold => entry_of(fold, x, y))
}

struct Block<'a, T, F> {
    fold: F,
    x: &'a [T],
    y: &'a PackedPoints<T>,
    first: usize,
    columns: usize,
    out: &'a mut [T],
}

/// Registers that are summed at a time.
const Q: usize = 4;

impl<T: Elem, F: Fold> Kernel for Block<'_, T, F> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let (width, lanes) = (PackedPoints::<T>::WIDTH, <T::V<B> as Lanes>::N);
        let dim = self.y.dim;
        let (first, last) = (self.first, self.first + self.columns);
        // Groups of Q registers divide a panel, so that a group lies in one panel.
        let group = Q * lanes;
        let mut at = first / group * group;
        while at < last {
            let panel = &self.y.panels[at / width * width * dim..][..width * dim];
            let points = &panel[at % width..];
            let panel = points.as_ptr();
            for (x, out) in self
                .x
                .chunks_exact(dim)
                .zip(self.out.chunks_exact_mut(self.columns))
            {
                // SAFETY: the panel holds `dim` rows of `width` coordinates, and at % width + group ≤ width;
                // norms are padded to whole panels; arrays of PANEL_BYTES / 4 elements
                // hold a group; whole groups are stored only where `out` has them.
                unsafe {
                    let mut sums = [<T::V<B>>::splat(T::ZERO); Q];
                    for (k, &x) in x.iter().enumerate() {
                        let x = <T::V<B>>::splat(x);
                        for q in 0..Q {
                            let y = <T::V<B>>::load(panel.add(k * width + q * lanes));
                            sums[q] = self.fold.step(sums[q], x, y);
                        }
                    }
                    // What was summed, for folds that may have to sum again.
                    let mut summed = [T::ZERO; PANEL_BYTES / 4];
                    if F::MAY_LEAVE {
                        for q in 0..Q {
                            sums[q].store(summed.as_mut_ptr().add(q * lanes));
                        }
                    }
                    let norm_x = <T::V<B>>::splat(if F::NORMS { norm(x) } else { T::ZERO });
                    for q in 0..Q {
                        let norm_y = <T::V<B>>::load(self.y.norms.as_ptr().add(at + q * lanes));
                        sums[q] = self.fold.finish(sums[q], norm_x, norm_y);
                    }
                    if F::MAY_LEAVE {
                        let mut distances = [T::ZERO; PANEL_BYTES / 4];
                        for q in 0..Q {
                            sums[q].store(distances.as_mut_ptr().add(q * lanes));
                        }
                        for lane in 0..group {
                            let y = (0..dim).map(|k| points[k * width + lane]);
                            let pairs = x.iter().copied().zip(y);
                            if let Some(d) = self.fold.again(summed[lane], pairs) {
                                distances[lane] = d;
                            }
                        }
                        for q in 0..Q {
                            sums[q] = <T::V<B>>::load(distances.as_ptr().add(q * lanes));
                        }
                    }
                    if first <= at && at + group <= last {
                        let out = out.as_mut_ptr().add(at - first);
                        for q in 0..Q {
                            sums[q].store(out.add(q * lanes));
                        }
                    } else {
                        let mut whole = [T::ZERO; PANEL_BYTES / 4];
                        for q in 0..Q {
                            sums[q].store(whole.as_mut_ptr().add(q * lanes));
                        }
                        let (from, to) = (at.max(first), (at + group).min(last));
                        out[from - first..to - first].copy_from_slice(&whole[from - at..to - at]);
                    }
                }
            }
            at += group;
        }
    }
}

/// Distances of one point `x_i` to the points `first .. first + out.len()` of `y`. Same bits as [`entry`].
///
/// Per element and coordinate: 8 (or 4) bytes of `y`, 3 flops.
///
/// # Panics
/// If the dimensions differ or the range leaves `y`.
pub fn row<T: Elem>(metric: Metric, x_i: &[T], y: &PackedPoints<T>, first: usize, out: &mut [T]) {
    row_with(isa(), metric, x_i, y, first, out);
}

/// [`row`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// As [`row`].
pub fn row_with<T: Elem>(
    isa: Isa,
    metric: Metric,
    x_i: &[T],
    y: &PackedPoints<T>,
    first: usize,
    out: &mut [T],
) {
    assert_eq!(x_i.len(), y.dim, "row: dimensions differ");
    block_with(isa, metric, x_i, y, first, out.len(), out);
}

/// Distances of the row-major points `x` to the points `first .. first + columns` of `y`, row-major into
/// `out`. Same bits as [`entry`]. A panel of `y` stays in cache while the rows pass.
///
/// # Panics
/// If the dimensions differ, the range leaves `y`, or `out` is not (points in `x`) × `columns`.
pub fn block<T: Elem>(
    metric: Metric,
    x: &[T],
    y: &PackedPoints<T>,
    first: usize,
    columns: usize,
    out: &mut [T],
) {
    block_with(isa(), metric, x, y, first, columns, out);
}

/// [`block`] on a chosen instruction set (or the widest available below it).
///
/// # Panics
/// As [`block`].
pub fn block_with<T: Elem>(
    isa: Isa,
    metric: Metric,
    x: &[T],
    y: &PackedPoints<T>,
    first: usize,
    columns: usize,
    out: &mut [T],
) {
    assert_eq!(
        x.len() % y.dim,
        0,
        "block: x does not hold whole points of y's dimension"
    );
    assert!(
        first <= y.len && columns <= y.len - first,
        "block: the points {first} + {columns} are beyond the {} of y",
        y.len
    );
    assert_eq!(
        out.len(),
        x.len() / y.dim * columns,
        "block: out is not points × columns"
    );
    if out.is_empty() {
        return;
    }
    with_fold!(metric, fold => run(isa, Block { fold, x, y, first, columns, out }));
}
