//! Readers and writers for the data that optimal transport is fed with.
//!
//! | module | what it reads |
//! |---|---|
//! | [`npy`] | one NumPy array a file: booleans, integers, `float32`, `float64`, C or Fortran order |
//! | [`npz`] | several named arrays in one archive, plain or compressed |
//! | [`csv`] | tables of numbers with commas, semicolons, tabs or spaces |
//! | [`idx`] | the arrays of MNIST and its kin, plain or gzipped |
//! | [`png`] | grey and colour images |
//! | [`embeddings`] | word vectors and their vocabulary |
//! | [`text`] | documents as weighted clouds of word vectors |
//! | [`fixtures`] | the repository's own problems, with expected values |
//!
//! [`read`](fn@read) picks the reader by the file's name, and what it returns converts itself into what a
//! problem wants:
//!
//! ```
//! # fn main() -> Result<(), ot_data::DataError> {
//! # let folder = tempfile::tempdir().expect("a temporary folder");
//! # let path = folder.path().join("a.npy");
//! ot_data::npy::write(&path, &[3], &[0.5_f32, 0.25, 0.25])?;
//!
//! let a = ot_data::read(&path)?;
//! assert_eq!(a.dtype(), ot_data::Dtype::F32); // the stored type is known …
//! assert_eq!(a.into_vector()?.to_vec(), [0.5, 0.25, 0.25]); // … and the numbers are f64
//! # Ok(())
//! # }
//! ```
//!
//! # What every reader promises
//! - A file that is missing, truncated, of the wrong kind, ragged or too large for memory is a
//!   [`DataError`] that names the file and the rule it breaks, in one line. No input panics, and no
//!   header makes a reader allocate more than the file can hold.
//! - Numbers are passed on as they stand, NaN and ±∞ included: whether a weight or a cost may have
//!   such a value is for the problem to say.
//! - Arrays are in C order, whatever the file's order was.
//!
//! The crate knows nothing of solvers or problems.
#![forbid(unsafe_code)]

mod array;
pub mod csv;
mod element;
pub mod embeddings;
mod error;
pub mod fixtures;
pub mod idx;
mod input;
pub mod npy;
pub mod npz;
pub mod png;
mod read;
mod stored;
pub mod text;

pub use array::{Array, Loaded};
pub use element::{Dtype, Element};
pub use error::DataError;
pub use read::read;
