//! Tags of news: the words of a headline that many headlines have, to be told from the text below it.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use ot_apps::learning::LabelCost;
use ot_data::embeddings::Embeddings;
use ot_data::text::{StopWords, tokens};

use super::clothing::Outcome;

/// Articles with at least one tag.
pub(crate) struct Headlines {
    pub(crate) tags: Vec<String>,
    pub(crate) metric: LabelCost,
    /// A row of features for each article, and its tags.
    pub(crate) x: Vec<f64>,
    pub(crate) sets: Vec<Vec<usize>>,
    pub(crate) titles: Vec<String>,
    pub(crate) dim: usize,
}

/// The BBC articles of a data folder with the `most` most frequent words of headlines as tags. Features are the mean word
/// vector of the text, words weighted by their rarity and by the logarithm of their count, and each feature at mean 0
/// and variance 1.
pub(crate) fn read(data: &Path, most: usize) -> Outcome<Headlines> {
    let words = data.join("glove100");
    let glove = Embeddings::read(words.join("vectors.npy"), words.join("vocab.txt"))?;
    let path = data.join("text_topics/bbc.tsv.gz");
    let mut text = String::new();
    let file = std::fs::File::open(&path).map_err(|e| {
        let rule = "--data wants a folder with text_topics/bbc.tsv.gz: label, title and text of an article on each line";
        format!("{}: {e}; {rule}", path.display())
    })?;
    GzDecoder::new(file).read_to_string(&mut text)?;
    let stop = StopWords::english();
    let known = |text: &str| -> Vec<String> {
        tokens(text)
            .filter(|t| !stop.contains(t) && t.len() > 2 && glove.place(t).is_some())
            .collect()
    };
    let articles: Vec<(String, Vec<String>, Vec<String>)> = text
        .lines()
        .filter_map(|line| {
            let mut parts = line.split('\t').skip(1);
            let title = parts.next()?;
            Some((title.to_owned(), known(title), known(parts.next()?)))
        })
        .collect();
    let mut counts = HashMap::<&str, usize>::new();
    for (_, title, _) in &articles {
        let once: HashSet<_> = title.iter().collect();
        once.into_iter()
            .for_each(|t| *counts.entry(t).or_default() += 1);
    }
    let mut tags: Vec<_> = counts.into_iter().collect();
    tags.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let tags: Vec<String> = tags
        .into_iter()
        .take(most)
        .map(|(t, _)| t.to_owned())
        .collect();
    let place: HashMap<&str, usize> = tags
        .iter()
        .enumerate()
        .map(|(k, t)| (t.as_str(), k))
        .collect();

    let mut rarity = HashMap::<&str, f64>::new();
    for (_, _, text) in &articles {
        let once: HashSet<_> = text.iter().collect();
        once.into_iter()
            .for_each(|t| *rarity.entry(t).or_default() += 1.0);
    }
    let vector = |word: &str| {
        glove
            .vector(word)
            .ok_or_else(|| format!("{word}: no vector"))
    };
    let mut vectors = Vec::new();
    for tag in &tags {
        vectors.extend(vector(tag)?.iter().map(|v| f64::from(*v)));
    }
    let dim = vectors.len() / tags.len();
    let (mut x, mut sets, mut titles) = (Vec::new(), Vec::new(), Vec::new());
    for (title, said, text) in &articles {
        let mut set: Vec<usize> = said
            .iter()
            .filter_map(|t| place.get(t.as_str()).copied())
            .collect();
        set.sort_unstable();
        set.dedup();
        if set.is_empty() || text.is_empty() {
            continue;
        }
        let mut own = HashMap::<&str, f64>::new();
        text.iter().for_each(|t| *own.entry(t).or_default() += 1.0);
        let mut own: Vec<_> = own.into_iter().collect();
        // In an order of its own, so that sums have the same bits every time.
        own.sort_by_key(|(word, _)| *word);
        let mut row = vec![0.0; dim];
        let mut sum = 0.0;
        for (word, count) in own {
            let weight = (1.0 + count.ln()) * (articles.len() as f64 / rarity[word]).ln();
            sum += weight;
            row.iter_mut()
                .zip(vector(word)?)
                .for_each(|(r, v)| *r += weight * f64::from(*v));
        }
        x.extend(row.iter().map(|r| r / sum));
        sets.push(set);
        titles.push(title.clone());
    }
    standardize(&mut x, dim);
    Ok(Headlines {
        metric: LabelCost::between_words(&vectors, dim)?,
        tags,
        x,
        sets,
        titles,
        dim,
    })
}

fn standardize(x: &mut [f64], dim: usize) {
    let rows = (x.len() / dim) as f64;
    for k in 0..dim {
        let column = || x.iter().skip(k).step_by(dim);
        let mean = column().sum::<f64>() / rows;
        let deviation = (column().map(|v| (v - mean) * (v - mean)).sum::<f64>() / rows).sqrt();
        x.iter_mut()
            .skip(k)
            .step_by(dim)
            .for_each(|v| *v = (*v - mean) / deviation.max(1e-12));
    }
}

impl Headlines {
    /// One tag of each cluster of similar ones for each article, as if a single reader had chosen: tags that are nearer
    /// than `near` to one that is kept are dropped; the rarest are kept first.
    pub(crate) fn without_redundancy(&self, near: f64) -> Vec<Vec<usize>> {
        let reduced = |set: &Vec<usize>| {
            let mut kept: Vec<usize> = Vec::new();
            // Tags are in order of their frequency.
            for &tag in set.iter().rev() {
                if kept.iter().all(|&k| self.metric.entry(k, tag) >= near) {
                    kept.push(tag);
                }
            }
            kept.sort_unstable();
            kept
        };
        self.sets.iter().map(reduced).collect()
    }
}
