//! Word vectors: an n×d array and a list of n words, one a line.

use std::collections::HashMap;
use std::path::Path;

use ndarray::{Array2, ArrayView1};

use crate::error::excerpt;
use crate::input::read_text;
use crate::{Array, DataError, Loaded, read};

/// Words and their vectors, kept in single precision, as such vectors are published.
#[derive(Debug, Clone)]
pub struct Embeddings {
    words: Vec<String>,
    places: HashMap<String, usize>,
    vectors: Array2<f32>,
}

impl Embeddings {
    /// Reads the vectors (any array of floating-point numbers) and the words (text, one a line).
    ///
    /// # Errors
    /// What the readers have; as many words as vectors; no word twice, none empty.
    pub fn read(vectors: impl AsRef<Path>, words: impl AsRef<Path>) -> Result<Self, DataError> {
        let Loaded { array, path } = read(vectors)?;
        let wrong_shape = DataError::WrongShape {
            path: path.clone(),
            shape: array.shape().to_vec(),
            expected: "an n×d matrix",
        };
        let vectors = match array {
            Array::F32(a) => a,
            Array::F64(a) => a.mapv(|v| v as f32),
            other => {
                let expected = "float32 or float64";
                return Err(DataError::WrongDtype {
                    path,
                    found: other.dtype(),
                    expected,
                });
            }
        };
        let vectors = vectors.into_dimensionality().map_err(|_| wrong_shape)?;
        Self::join(vectors, words.as_ref())
    }

    /// Gives each vector its word.
    fn join(vectors: Array2<f32>, path: &Path) -> Result<Self, DataError> {
        let text = read_text(path)?;
        let words: Vec<String> = text.lines().map(String::from).collect();
        if words.len() != vectors.nrows() {
            return Err(DataError::Mismatch {
                path: path.to_owned(),
                what: "words",
                found: words.len(),
                expected: vectors.nrows(),
            });
        }
        let mut places = HashMap::with_capacity(words.len());
        for (place, word) in words.iter().enumerate() {
            if word.is_empty() || places.insert(word.clone(), place).is_some() {
                return Err(DataError::BadWord {
                    path: path.to_owned(),
                    line: place + 1,
                    word: excerpt(word),
                });
            }
        }
        Ok(Self {
            words,
            places,
            vectors,
        })
    }

    /// The words, by place.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The vectors, one a row.
    pub const fn vectors(&self) -> &Array2<f32> {
        &self.vectors
    }

    /// The place of a word, or `None` for one that is not in the vocabulary.
    pub fn place(&self, word: &str) -> Option<usize> {
        self.places.get(word).copied()
    }

    /// The vector of a word.
    pub fn vector(&self, word: &str) -> Option<ArrayView1<'_, f32>> {
        self.place(word).map(|place| self.vectors.row(place))
    }
}
