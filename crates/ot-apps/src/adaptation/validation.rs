//! The choice of settings without labels of the target: there and back again.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use solver_api::{Context, Solver};

use super::estimator::{Adaptation, AdaptationSettings};
use super::{Domain, nearest_labels};
use crate::{Error, scores, steps};

/// Settings that are compared, and who solves: ε belongs to the solver.
#[derive(Clone)]
pub struct Candidate<'a> {
    /// For reports.
    pub name: String,
    /// The solver.
    pub solver: &'a dyn Solver,
    /// The settings.
    pub settings: AdaptationSettings,
}

/// What can be set of [`reverse_validation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidationSettings {
    /// The source is dealt into so many parts, class by class. Default: 5.
    pub parts: usize,
    /// So many of them are held out, one after another. Default: 2.
    pub folds: usize,
    /// Of the deal. Default: 0.
    pub seed: u64,
}

impl Default for ValidationSettings {
    fn default() -> Self {
        Self {
            parts: 5,
            folds: 2,
            seed: 0,
        }
    }
}

impl ValidationSettings {
    fn check(&self) -> Result<(), Error> {
        if self.parts < 2 {
            return Err(Error::setting("parts", self.parts, "must be at least 2"));
        }
        if !(1..=self.parts).contains(&self.folds) {
            let rule = format!("must be from 1 to the number of parts, {}", self.parts);
            return Err(Error::setting("folds", self.folds, &rule));
        }
        Ok(())
    }
}

/// What [`reverse_validation`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Validated {
    /// The accuracy of each candidate on the source after the way back, mean over folds; or why there is none: settings that
    /// a solver refuses, predictions of one class only.
    pub scores: Vec<Result<f64, Error>>,
    /// The candidate with the highest, the first of equals.
    pub best: usize,
}

/// Chooses among settings by how well labels survive the way to the target and back: a part of the source is held out; the
/// rest is adapted to the target and labels it by 1-nearest neighbour; with these labels the target is adapted to the rest
/// of the source, and labels what was held out. Two fits a candidate and fold, side by side on the context's threads; the
/// same seed gives the same choice for any number of them.
///
/// Sources: Bruzzone and Marconcini, *Domain adaptation problems: a DASVM classification technique and a circular validation
/// strategy* (2010); Zhong et al., *Cross validation framework to choose amongst models and datasets for transfer learning*
/// (2010).
///
/// # Errors
/// No candidate, settings outside of their ranges, labels missing in the source, a stop, and the first candidate's error
/// where all have failed.
pub fn reverse_validation(
    candidates: &[Candidate<'_>],
    source: &Domain,
    target: &Domain,
    settings: ValidationSettings,
    context: &Context,
) -> Result<Validated, Error> {
    settings.check()?;
    source.check_beside(target)?;
    if candidates.is_empty() {
        let rule = "there must be one to choose from";
        return Err(Error::setting("candidates", 0, rule));
    }
    let labels = source.full_labels()?;
    let parts = deal(&labels, settings);
    let folds = settings.folds;
    let tried = steps::run(
        context,
        "candidates and folds",
        candidates.len() * folds,
        |step, own| {
            let candidate = &candidates[step / folds];
            let score = there_and_back(candidate, source, target, &parts, step % folds, own);
            match own.interrupted() {
                Some(termination) => Err(Error::Stopped {
                    what: "candidates and folds",
                    termination,
                    done: step,
                    count: candidates.len() * folds,
                }),
                None => Ok(score),
            }
        },
    )?;
    let scores: Vec<Result<f64, Error>> = tried
        .chunks_exact(folds)
        .map(|scores| {
            let all: Result<Vec<f64>, Error> = scores.iter().cloned().collect();
            all.map(|all| all.iter().sum::<f64>() / folds as f64)
        })
        .collect();
    let mut best: Option<(usize, f64)> = None;
    for (k, score) in scores.iter().enumerate() {
        if let Ok(score) = score
            && best.is_none_or(|(_, most)| *score > most)
        {
            best = Some((k, *score));
        }
    }
    match (best, scores.first()) {
        (Some((best, _)), _) => Ok(Validated { scores, best }),
        (None, Some(Err(error))) => Err(error.clone()),
        _ => Err(Error::setting("candidates", 0, "none has a score")),
    }
}

/// The part of each sample: classes are shuffled and dealt in turns.
fn deal(labels: &[i64], settings: ValidationSettings) -> Vec<usize> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.shuffle(&mut Pcg64::seed_from_u64(settings.seed));
    order.sort_by_key(|&i| labels[i]);
    let mut parts = vec![0; labels.len()];
    for (k, i) in order.into_iter().enumerate() {
        parts[i] = k % settings.parts;
    }
    parts
}

/// The accuracy on the part that is held out.
fn there_and_back(
    candidate: &Candidate<'_>,
    source: &Domain,
    target: &Domain,
    parts: &[usize],
    held: usize,
    context: &mut Context,
) -> Result<f64, Error> {
    let kept: Vec<usize> = (0..parts.len()).filter(|&i| parts[i] != held).collect();
    let left: Vec<usize> = (0..parts.len()).filter(|&i| parts[i] == held).collect();
    let (kept, left) = (source.select(&kept)?, source.select(&left)?);
    let adaptation = Adaptation::new(candidate.solver, candidate.settings.clone())?;
    let there = adaptation.fit(&kept, target, context)?;
    let found = there.predict(target.points())?;
    let labelled = target.clone().labelled(&found)?;
    // Its labels are guesses, and the source's are not to be looked at on the way back.
    let unknown = vec![None; kept.len()];
    let back = adaptation.fit(&labelled, &kept.partly_labelled(&unknown)?, context)?;
    let again = nearest_labels(back.adapted(), &found, left.points(), source.dim())?;
    scores::accuracy(&again, &left.full_labels()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_dealt_evenly_and_by_seed() {
        let labels: Vec<i64> = (0..60).map(|k| k % 3).collect();
        let settings = ValidationSettings::default();
        let parts = deal(&labels, settings);
        for part in 0..5 {
            for class in 0..3 {
                let both = parts.iter().zip(&labels);
                let count = both.filter(|(p, l)| **p == part && **l == class).count();
                assert_eq!(count, 4);
            }
        }
        assert_eq!(parts, deal(&labels, settings));
        let other = ValidationSettings {
            seed: 1,
            ..settings
        };
        assert_ne!(parts, deal(&labels, other));
    }
}
