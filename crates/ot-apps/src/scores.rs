//! How good predictions are.

use std::collections::BTreeMap;

use crate::Error;
use crate::learning::{LabelCost, Targets};

/// The part of `predictions` that equals `labels`, from 0 to 1.
///
/// # Errors
/// Another number of labels than of predictions, or none.
pub fn accuracy(predictions: &[i64], labels: &[i64]) -> Result<f64, Error> {
    if predictions.len() != labels.len() || labels.is_empty() {
        return Err(Error::LabelCount {
            argument: "labels",
            found: labels.len(),
            expected: predictions.len(),
            of: "predictions",
        });
    }
    let right = predictions
        .iter()
        .zip(labels)
        .filter(|(p, l)| p == l)
        .count();
    Ok(right as f64 / labels.len() as f64)
}

/// The class that most of several predictions of the same samples agree on, for each of them; the smallest of equals.
/// Settings need no choosing where all of them vote. O(predictions·samples).
///
/// # Errors
/// No predictions, and one of another length than the first.
pub fn majority<P: AsRef<[i64]>>(predictions: &[P]) -> Result<Vec<i64>, Error> {
    let Some(first) = predictions.first() else {
        return Err(Error::setting(
            "predictions",
            0,
            "there must be one at least",
        ));
    };
    let samples = first.as_ref().len();
    if let Some(other) = predictions.iter().find(|p| p.as_ref().len() != samples) {
        return Err(Error::LabelCount {
            argument: "predictions",
            found: other.as_ref().len(),
            expected: samples,
            of: "samples",
        });
    }
    let vote = |i: usize| {
        let mut votes = BTreeMap::<i64, usize>::new();
        for prediction in predictions {
            *votes.entry(prediction.as_ref()[i]).or_default() += 1;
        }
        // The last of equal maxima is the smallest class of a reversed order.
        let most = votes.into_iter().rev().max_by_key(|(_, count)| *count);
        most.map_or(0, |(class, _)| class)
    };
    Ok((0..samples).map(vote).collect())
}

/// Mean and standard error of the mean; the error of a single value is 0.
#[must_use]
pub fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n.max(1.0);
    if values.len() < 2 {
        return (mean, 0.0);
    }
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (mean, (squares / (n - 1.0) / n).sqrt())
}

/// The labels of `weights` in descending order, the first of equals first.
#[must_use]
pub fn ranking(weights: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|&i, &j| weights[j].total_cmp(&weights[i]));
    order
}

/// The top-K cost of 003, section 6.2, for K = 1 … `most`, each a mean over samples:
/// C_K = 1/K Σ_{k ≤ K} min_j d(κ̂_k, κ_j), with κ̂ the K labels that are predicted with the largest weights, and κ_j those
/// that `targets` has any weight on. `predictions` holds a row of weights for each sample. O(N·K_labels·(targets + log)).
///
/// # Errors
/// Another number of predictions than of targets, of labels than of costs; `most` that is 0 or more than the labels; NaN.
pub fn top_k_costs(
    predictions: &[f64],
    targets: &Targets,
    cost: &LabelCost,
    most: usize,
) -> Result<Vec<f64>, Error> {
    let labels = check_table(predictions, targets)?;
    if cost.labels() != labels {
        let rule = format!("the targets have {labels} labels: a cost for each pair of them");
        return Err(Error::setting("labels of the cost", cost.labels(), &rule));
    }
    if most == 0 || most > labels {
        let rule = format!("must be from 1 to the number of labels, {labels}");
        return Err(Error::setting("most", most, &rule));
    }
    let mut costs = vec![0.0; most];
    for (row, weights) in predictions.chunks_exact(labels).enumerate() {
        let truth = targets.row(row);
        let mut sum = 0.0;
        for (k, said) in ranking(weights).into_iter().take(most).enumerate() {
            let right = (0..labels).filter(|&j| truth[j] > 0.0);
            sum += right
                .map(|j| cost.entry(said, j))
                .fold(f64::INFINITY, f64::min);
            costs[k] += sum / (k + 1) as f64;
        }
    }
    let samples = targets.len() as f64;
    costs.iter_mut().for_each(|c| *c /= samples);
    Ok(costs)
}

/// The area under the receiver operating characteristic: the part of the pairs of a positive and a negative whose positive
/// has the larger score, ties by half (Mann and Whitney, 1947). `None` without a positive or without a negative.
/// O(N log N).
///
/// # Errors
/// Another number of scores than of `positive`; NaN.
pub fn auc(scores: &[f64], positive: &[bool]) -> Result<Option<f64>, Error> {
    if scores.len() != positive.len() {
        return Err(Error::LabelCount {
            argument: "positive",
            found: positive.len(),
            expected: scores.len(),
            of: "scores",
        });
    }
    if let Some(at) = scores.iter().position(|s| s.is_nan()) {
        return Err(Error::setting(
            &format!("scores[{at}]"),
            scores[at],
            "must be a number",
        ));
    }
    let (mut order, mut below) = (ranking(scores), 0.0);
    order.reverse();
    let total = positive.iter().filter(|p| **p).count() as f64;
    let others = positive.len() as f64 - total;
    if total == 0.0 || others == 0.0 {
        return Ok(None);
    }
    let mut area = 0.0;
    for tied in order.chunk_by(|&i, &j| scores[i] == scores[j]) {
        let own = tied.iter().filter(|&&i| positive[i]).count() as f64;
        let negative = tied.len() as f64 - own;
        area += own * (below + 0.5 * negative);
        below += negative;
    }
    Ok(Some(area / (total * others)))
}

/// The mean of [`auc`] over labels: how well the weight of a label tells the samples that have it from the others. Labels
/// that all samples have, or none, are left out; `None` where that is all of them.
///
/// # Errors
/// Another number of predictions than of targets; NaN.
pub fn mean_auc(predictions: &[f64], targets: &Targets) -> Result<Option<f64>, Error> {
    let labels = check_table(predictions, targets)?;
    let mut areas = Vec::new();
    for label in 0..labels {
        let column = |all: &[f64]| {
            all.iter()
                .skip(label)
                .step_by(labels)
                .copied()
                .collect::<Vec<_>>()
        };
        let positive: Vec<bool> = column(targets.weights()).iter().map(|w| *w > 0.0).collect();
        areas.extend(auc(&column(predictions), &positive)?);
    }
    Ok((!areas.is_empty()).then(|| mean_and_error(&areas).0))
}

/// The number of labels.
fn check_table(predictions: &[f64], targets: &Targets) -> Result<usize, Error> {
    let labels = targets.labels();
    if predictions.len() != targets.weights().len() {
        return Err(Error::Shape {
            argument: "predictions",
            found: predictions.len(),
            expected: format!(
                "{} samples of {labels} labels take {}",
                targets.len(),
                targets.weights().len()
            ),
        });
    }
    match predictions.iter().position(|p| p.is_nan()) {
        None => Ok(labels),
        Some(at) => Err(Error::Entry {
            argument: "predictions",
            row: at / labels,
            col: at % labels,
            value: predictions[at],
            rule: "must be a number",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_votes_win_and_the_smallest_class_of_equals() {
        let votes = [[3, 1, 9], [3, 2, 7], [5, 2, 7], [3, 1, 9]];
        assert_eq!(majority(&votes), Ok(vec![3, 1, 7]));
        assert_eq!(majority(&[[4, 4]]), Ok(vec![4, 4]));
        let none: [[i64; 2]; 0] = [];
        assert!(majority(&none).is_err());
        assert!(majority(&[vec![1], vec![1, 2]]).is_err());
    }

    #[test]
    fn top_k_costs_by_hand() {
        // Labels 0, 1, 2, 3 in a row; the first sample is 0 and 3, the second 1.
        let cost = LabelCost::ordered(4, 1.0).expect("a cost");
        let targets = Targets::from_sets(4, &[vec![0, 3], vec![1]]).expect("targets");
        let predictions = [0.1, 0.2, 0.3, 0.4, 0.4, 0.3, 0.2, 0.1];
        // Ranked 3, 2, 1, 0: ways 0, 1, 1, 0; and 0, 1, 2, 3: ways 1, 0, 1, 2.
        let found = top_k_costs(&predictions, &targets, &cost, 4).expect("costs");
        let wanted = [0.5, 0.5, (2.0 / 3.0 + 2.0 / 3.0) / 2.0, (0.5 + 1.0) / 2.0];
        for (f, w) in found.iter().zip(wanted) {
            assert!((f - w).abs() < 1e-15, "{found:?}");
        }
        let refused = [
            top_k_costs(&predictions[1..], &targets, &cost, 4),
            top_k_costs(&predictions, &targets, &cost, 5),
            top_k_costs(&[f64::NAN; 8], &targets, &cost, 2),
        ];
        let refused = refused.map(|r| r.expect_err("bad input").to_string());
        insta::assert_snapshot!(refused.join("\n"));
    }

    #[test]
    fn areas_by_hand() {
        let positive = [true, false, true, false];
        assert_eq!(auc(&[0.9, 0.1, 0.8, 0.2], &positive), Ok(Some(1.0)));
        assert_eq!(auc(&[0.1, 0.9, 0.2, 0.8], &positive), Ok(Some(0.0)));
        assert_eq!(auc(&[0.5; 4], &positive), Ok(Some(0.5)));
        // Pairs: (3, 2), (3, 1) right, (1, 2) wrong, (1, 1) tied.
        assert_eq!(auc(&[3.0, 2.0, 1.0, 1.0], &positive), Ok(Some(0.625)));
        assert_eq!(auc(&[1.0, 2.0], &[true, true]), Ok(None));
        assert!(auc(&[1.0], &positive).is_err() && auc(&[f64::NAN, 1.0], &positive[..2]).is_err());
        let targets = Targets::from_classes(3, &[0, 1, 0]).expect("targets");
        // Label 0: 1 of 2 pairs; label 1: both; label 2 is nobody's.
        let predictions = [0.5, 0.1, 0.4, 0.3, 0.6, 0.1, 0.2, 0.5, 0.3];
        assert_eq!(mean_auc(&predictions, &targets), Ok(Some(0.75)));
    }

    #[test]
    fn scores_by_hand() {
        assert_eq!(accuracy(&[1, 2, 3, 4], &[1, 2, 0, 4]), Ok(0.75));
        assert!(accuracy(&[1], &[1, 2]).is_err() && accuracy(&[], &[]).is_err());
        // Variance 1, over three.
        let (mean, error) = mean_and_error(&[1.0, 2.0, 3.0]);
        assert_eq!((mean, error), (2.0, (1.0_f64 / 3.0).sqrt()));
        assert_eq!(mean_and_error(&[5.0]), (5.0, 0.0));
    }
}
