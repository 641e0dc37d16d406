//! A document as a weighted cloud of word vectors: the input of the word mover's distance.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use ndarray::{Array1, Array2, Axis};

use crate::DataError;
use crate::embeddings::Embeddings;
use crate::input::read_text;

/// Function words of English, separated by blanks: articles, pronouns, auxiliaries, prepositions,
/// conjunctions and the commonest adverbs.
pub const ENGLISH_STOP_WORDS: &str = include_str!("english_stop_words.txt");

/// The words that [`Document`] leaves out.
#[derive(Debug, Clone, Default)]
pub struct StopWords(HashSet<String>);

impl StopWords {
    /// [`ENGLISH_STOP_WORDS`].
    pub fn english() -> Self {
        Self::from_text(ENGLISH_STOP_WORDS)
    }

    /// The words of a text, separated by blanks or line ends.
    pub fn from_text(text: &str) -> Self {
        Self(text.split_whitespace().map(str::to_lowercase).collect())
    }

    /// Whether a word is left out.
    pub fn contains(&self, word: &str) -> bool {
        self.0.contains(word)
    }
}

/// The words of a text, lower-cased: its longest runs of the letters a to z.
pub fn tokens(text: &str) -> impl Iterator<Item = String> {
    let lower = text.to_lowercase();
    let words: Vec<String> = lower
        .split(|c: char| !c.is_ascii_lowercase())
        .filter(|word| !word.is_empty())
        .map(String::from)
        .collect();
    words.into_iter()
}

/// How often each word of a vocabulary occurs in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Document {
    /// Places of the words in the vocabulary, rising.
    pub words: Vec<usize>,
    /// How often each occurs.
    pub counts: Vec<u32>,
    /// Tokens that were neither stop words nor in the vocabulary.
    pub unknown: usize,
}

impl Document {
    /// Counts the words of a text that are in the vocabulary and are no stop words.
    pub fn count(text: &str, vocabulary: &Embeddings, stop_words: &StopWords) -> Self {
        let mut bag = BTreeMap::new();
        let mut unknown = 0;
        for token in tokens(text).filter(|token| !stop_words.contains(token)) {
            match vocabulary.place(&token) {
                Some(place) => *bag.entry(place).or_insert(0_u32) += 1,
                None => unknown += 1,
            }
        }
        let (words, counts) = bag.into_iter().unzip();
        Self {
            words,
            counts,
            unknown,
        }
    }

    /// Reads and counts a text file.
    ///
    /// # Errors
    /// A missing file, one that is not UTF-8, or
    /// [`NoKnownWord`](DataError::NoKnownWord).
    pub fn read(
        path: impl AsRef<Path>,
        vocabulary: &Embeddings,
        stop_words: &StopWords,
    ) -> Result<Self, DataError> {
        let path = path.as_ref();
        let document = Self::count(&read_text(path)?, vocabulary, stop_words);
        if document.words.is_empty() {
            return Err(DataError::NoKnownWord {
                path: path.to_owned(),
            });
        }
        Ok(document)
    }

    /// The share of each word; they sum to 1 unless there are none.
    pub fn weights(&self) -> Array1<f64> {
        let counts: Array1<f64> = self.counts.iter().map(|&c| f64::from(c)).collect();
        let total = counts.sum().max(1.0);
        counts / total
    }

    /// The vector of each word, words × d. The vocabulary must be the one the document was made with.
    pub fn vectors(&self, vocabulary: &Embeddings) -> Array2<f32> {
        vocabulary.vectors().select(Axis(0), &self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters() {
        let words: Vec<_> = tokens("It's 2024: the NAÏVE café—re-used, x86_64.").collect();
        assert_eq!(
            words,
            ["it", "s", "the", "na", "ve", "caf", "re", "used", "x"]
        );
    }

    #[test]
    fn stop_words_ignore_case() {
        assert!(StopWords::english().contains("the") && !StopWords::english().contains("licence"));
        assert!(StopWords::from_text("Die der\ndas").contains("die"));
    }
}
