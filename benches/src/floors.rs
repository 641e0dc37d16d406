//! The floors: reading memory, exponentials, and multiply-adds, at the full rate of this machine.

use std::hint::black_box;

use ot_kernels::Elem;
use ot_kernels::exp::exp;
use ot_kernels::gemm::kv_batch;
use ot_kernels::kernel_product::kv;
use ot_kernels::reduce::plain_sum;

use crate::{Threads, seconds, spread};

/// Reads a slice once on `threads` threads of the current pool, one stream each.
pub fn read_once<T: Elem>(x: &[T], threads: usize) {
    if threads <= 1 {
        black_box(plain_sum(black_box(x)));
        return;
    }
    let (left, right) = x.split_at(x.len() * (threads / 2) / threads);
    rayon::join(
        || read_once(left, threads / 2),
        || read_once(right, threads - threads / 2),
    );
}

/// Reads a matrix once, and every block of eight rows a second time while it is in the second-level cache.
pub fn read_twice<T: Elem>(k: &[T], columns: usize, threads: usize) {
    if threads <= 1 {
        for block in k.chunks(8 * columns) {
            black_box(plain_sum(black_box(block)));
            black_box(plain_sum(black_box(block)));
        }
        return;
    }
    let rows = k.len() / columns * (threads / 2) / threads;
    let (left, right) = k.split_at(rows * columns);
    rayon::join(
        || read_twice(left, columns, threads / 2),
        || read_twice(right, columns, threads - threads / 2),
    );
}

/// The fastest of `rounds` single reads of a matrix, in seconds: as one stream for each thread, or eight rows at a
/// time, whichever is faster on this machine.
pub fn read_floor<T: Elem>(k: &[T], columns: usize, threads: usize, rounds: usize) -> f64 {
    let v = vec![1.0; columns];
    let mut out = vec![0.0; k.len() / columns];
    let mut best = f64::INFINITY;
    for _ in 0..rounds {
        best = best.min(seconds(|| read_once(k, threads)));
        best = best.min(seconds(|| {
            kv(black_box(k), &v, black_box(&mut out), threads);
        }));
    }
    best
}

/// Bytes per second of reading 256 MiB once on `threads` threads.
#[must_use]
pub fn memory_read_rate(threads: usize) -> f64 {
    let k = vec![1.0_f64; 1 << 25];
    let time = Threads::new(threads).run(|| read_floor(&k, 1 << 12, threads, 8));
    8.0 * k.len() as f64 / time
}

/// Exponentials per second on one thread, argument and result in the first-level cache.
#[must_use]
pub fn exp_rate<T: Elem>() -> f64 {
    let x: Vec<T> = spread(1024)
        .into_iter()
        .map(|x| T::from_f64(-20.0 * x))
        .collect();
    let mut out = x.clone();
    let mut best = f64::INFINITY;
    for _ in 0..200 {
        best = best.min(seconds(|| {
            for _ in 0..16 {
                exp(black_box(&x), black_box(&mut out));
            }
        }));
    }
    16.0 * x.len() as f64 / best
}

/// A product of three 1024 × 1024 matrices: the rate of multiply-adds that large matrices reach.
#[derive(Debug)]
pub struct Gemm<T> {
    k: Vec<T>,
    v: Vec<T>,
    out: Vec<T>,
}

impl<T: Elem> Gemm<T> {
    const N: usize = 1024;

    /// Flops of one [`Gemm::run`].
    pub const FLOPS: f64 = 2.0 * (Self::N * Self::N * Self::N) as f64;

    /// The matrices.
    #[must_use]
    pub fn new() -> Self {
        let k: Vec<T> = spread(Self::N * Self::N)
            .into_iter()
            .map(T::from_f64)
            .collect();
        Self {
            v: k.clone(),
            out: vec![T::ZERO; k.len()],
            k,
        }
    }

    /// One product on `threads` threads of the current pool.
    pub fn run(&mut self, threads: usize) {
        kv_batch(
            &self.k,
            Self::N,
            Self::N,
            &self.v,
            black_box(&mut self.out),
            threads,
        );
    }

    /// The floor of `flops` flops, in seconds, where `run` takes `time`.
    #[must_use]
    pub fn floor(time: f64, flops: f64) -> f64 {
        time * flops / Self::FLOPS
    }
}

impl<T: Elem> Default for Gemm<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Flops per second of [`Gemm`] on `threads` threads.
#[must_use]
pub fn gemm_rate<T: Elem>(threads: usize) -> f64 {
    let mut gemm = Gemm::<T>::new();
    let best = Threads::new(threads).run(|| {
        (0..6)
            .map(|_| seconds(|| gemm.run(threads)))
            .fold(f64::INFINITY, f64::min)
    });
    Gemm::<T>::FLOPS / best
}
