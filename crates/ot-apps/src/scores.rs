//! How good predictions are.

use crate::Error;

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

#[cfg(test)]
mod tests {
    use super::*;

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
