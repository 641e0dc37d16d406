//! Numerics on plain slices for optimal transport.
//!
//! This crate knows nothing of measures, problems or solvers: slices in, slices out. It is the only CPU
//! crate that contains `unsafe` code (SIMD intrinsics), and every hot loop of the workspace lives here.
//! Every kernel has a form that picks the widest instruction set of the machine and one, `*_with`, that takes
//! it as an argument, so that the paths can be checked against each other; asking for one that the machine
//! does not have gives the widest below it. The environment variable `KANTOROVICH_SIMD` (`portable`, `avx2`,
//! `avx512`) narrows the choice for a whole process.
//!
//! The same arguments, instruction set and thread count give the same bits, wherever the slices lie in memory.
//! Kernels panic when the lengths of their arguments do not match, and for nothing else.
//!
//! # Code map
//! Bytes are those that cross from memory (or the outer cache) for one element in f64; flops count a fused
//! multiply-add as two.
//!
//! | module | what it computes | bytes an element | flops an element |
//! |---|---|---|---|
//! | [`aligned`] | a buffer that starts at a cache line | | |
//! | [`anneal`] | entropic iterations in f32 on a kernel in the cache, spanning tree of its plan | 8 | 4 |
//! | [`dispatch`] | which instruction set is used | | |
//! | [`exp`] | e^x of a slice | 8 read, 8 written | 30 |
//! | | Gibbs row exp((f_i + g_j − C_ij)/ε) | 8 read, 8 written, g in cache | 33 |
//! | [`kernel_product`] | K v, scaling of rows and Kᵀ u in one read of K | 8 (K in f32: 4), and as many again from the second-level cache | 4 |
//! | | K v or Kᵀ u alone | 8 (K in f32: 4) | 2 |
//! | | Kᵀ diag(w) K v in one read of K | 8 (K in f32: 4), and as many again from the second-level cache | 4 |
//! | [`gemm`] | K V and Kᵀ U for a batch of B vectors | 8/B of K, cached | 2 B |
//! | | factor·A B of small matrices, either one turned; passes in registers where a side is of four or fewer | each once, cached | 2 a term |
//! | [`lazy`] | a tile of an entropic plan between points, its row and column sums at once | nothing: all in the first-level cache | 2 d + 24 (f32: 2 d + 18) |
//! | [`ln`] | ln x of a slice; a multiple of it added to another | 8 to 16 read, 8 written | 30 |
//! | [`linear`] | sum of products of a row; a multiple of it added to another | 16; 24 | 2 |
//! | | pull of weighted differences, for a point and against it | 32 | 4 |
//! | [`min_plus`] | least C_ij − g_j of each row, C_ij − f_i of each column, for a batch of B vectors | 8/B of C, cached | 2 B |
//! | [`near`] | reduced costs between two runs of points, at the leaves of a search | nothing: all in the first-level cache | 3 d |
//! | [`neural`] | passes between the products of a network: bias and rectifier, their gradients, Adam's step | 16 to 56, in cache | 1 to 11 |
//! | | tanh | 8 read, 8 written | 50 |
//! | [`order`] | the order of numbers, by radix | 60, in four passes | 0 |
//! | | points in kd-order | 8 d, log n times | 0 |
//! | [`pairwise`] | distances in d dimensions: entry, row, block | 8 d of packed points in cache, 8 written | 3 d |
//! | [`pricing`] | reduced costs of a row: least, violated; column minima | 8 (cost in f32: 4), potentials in cache | 2 to 8 |
//! | | entropic half-step over a list of columns | 12 (cost in f32: 8), two indexed accesses | 25 |
//! | [`reduce`] | log-sum-exp of a row | 8 read twice, g in cache | 36 |
//! | | row minimum with its index, column minima | 8 read (column minima: and 8 read and written in cache) | 3 |
//! | | both minima of a row; a row of a plan while it is rounded | 16 to 24 read, 8 written in cache | 4 to 8 |
//! | | compensated sum, dot | 8, 16 | 8, 11 |
//! | | L1 distance, scan | 16, 8 | 3 |
//! | [`scaling`] | scalings from sums, marginal error and extremes | 16 to 24 (in f32: half) | 1 to 4 |
//! | [`screen`] | which pairs of a few rows with many points may be near, in f32 | nothing: all in the first-level cache | 2 d |
//! | [`soft`] | a row of an entropic plan in f32, stored; its entropy sums | 8 read, 4 written, g in cache | 20 |
//! | [`separable`] | kernel products and min-plus products along the axes of an array | 16 an axis | 2 d an axis |
//! | | log-sum-exp along the axes of an array, at any ε | 16 an axis | 2 to 8 d an axis |
//! | [`wide`] | sums of twice the digits | | |
//! | `simd` | the registers that kernels are written against | | |

pub mod aligned;
pub mod anneal;
pub mod dispatch;
pub mod exp;
pub mod gemm;
pub mod kernel_product;
pub mod lazy;
pub mod linear;
pub mod ln;
pub mod min_plus;
pub mod near;
pub mod neural;
pub mod order;
pub mod pairwise;
pub mod pricing;
pub mod reduce;
pub mod scaling;
pub mod screen;
pub mod separable;
mod simd;
pub mod soft;
pub mod wide;

pub use dispatch::{Isa, isa};
pub use simd::Elem;
