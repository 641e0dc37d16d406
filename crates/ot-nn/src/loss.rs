//! Losses of scores, with their gradients.

use crate::{Error, Number};

fn rows_of<T>(logits: &[T], classes: usize, by_logits: &[T]) -> Result<usize, Error> {
    if classes == 0 {
        return Err(Error::Setting {
            name: "classes",
            value: 0.0,
            rule: "must be at least 1",
        });
    }
    if logits.is_empty() || !logits.len().is_multiple_of(classes) {
        return Err(Error::Shape {
            argument: "logits",
            found: logits.len(),
            expected: format!("rows of {classes} take a positive multiple of that many"),
        });
    }
    fits("by_logits", by_logits.len(), logits.len())?;
    Ok(logits.len() / classes)
}

fn fits(argument: &'static str, found: usize, needed: usize) -> Result<(), Error> {
    if found == needed {
        return Ok(());
    }
    Err(Error::Shape {
        argument,
        found,
        expected: format!("the logits take {needed}"),
    })
}

/// ln Σ e^s of a row, and its softmax into `out`.
fn softmax_row<T: Number>(row: &[T], out: &mut [T]) -> f64 {
    // A NaN anywhere must come out as one: comparisons pass it over, sums do not.
    let most = row.iter().fold(row[0], |m, s| if *s > m { *s } else { m });
    let mut sum = 0.0;
    for (o, s) in out.iter_mut().zip(row) {
        *o = (*s - most).exp();
        sum += o.wide();
    }
    let scale = T::from_f64(1.0 / sum);
    out.iter_mut().for_each(|o| *o *= scale);
    most.wide() + sum.ln()
}

/// The mean over samples of −ln softmax(logits) at the label, in nats, and its gradient (softmax − one-hot)/samples into
/// `by_logits`. Through differences from the largest score: right for scores of any size, where −ln of a softmax layer's
/// output would be infinite.
///
/// Scores that are not finite give a loss that is not finite.
///
/// # Errors
/// Lengths that do not fit, no samples, a label that is not below `classes`.
pub fn cross_entropy<T: Number>(
    logits: &[T],
    classes: usize,
    labels: &[usize],
    by_logits: &mut [T],
) -> Result<f64, Error> {
    let rows = rows_of(logits, classes, by_logits)?;
    if labels.len() != rows {
        return Err(Error::Shape {
            argument: "labels",
            found: labels.len(),
            expected: format!("the logits are of {rows} samples"),
        });
    }
    if let Some(index) = labels.iter().position(|label| *label >= classes) {
        return Err(Error::Label {
            index,
            label: labels[index],
            classes,
        });
    }
    let (mut sum, part) = (0.0, T::from_f64(1.0 / rows as f64));
    let scores = logits.chunks_exact(classes);
    for ((row, by), label) in scores.zip(by_logits.chunks_exact_mut(classes)).zip(labels) {
        sum += softmax_row(row, by) - row[*label].wide();
        by[*label] -= T::from_f64(1.0);
        by.iter_mut().for_each(|g| *g *= part);
    }
    Ok(sum / rows as f64)
}

/// [`cross_entropy`] towards weights of all classes: the mean of −Σ t ln softmax(logits) over samples, t the rows of
/// `targets`, and its gradient ((Σ t) softmax − t)/samples. Weights need not sum to 1, so that samples can be weighted.
///
/// # Errors
/// Lengths that do not fit, no samples, and weights that are negative or not finite.
pub fn soft_cross_entropy<T: Number>(
    logits: &[T],
    classes: usize,
    targets: &[T],
    by_logits: &mut [T],
) -> Result<f64, Error> {
    let rows = rows_of(logits, classes, by_logits)?;
    fits("targets", targets.len(), logits.len())?;
    if let Some(at) = targets
        .iter()
        .position(|t| !(*t >= T::ZERO && t.is_finite()))
    {
        return Err(Error::Setting {
            name: "targets",
            value: targets[at].wide(),
            rule: "weights must be finite and not negative",
        });
    }
    let (mut sum, part) = (0.0, 1.0 / rows as f64);
    let scores = logits.chunks_exact(classes);
    let targets = targets.chunks_exact(classes);
    for ((row, by), t) in scores.zip(by_logits.chunks_exact_mut(classes)).zip(targets) {
        let log_sum = softmax_row(row, by);
        let mass: f64 = t.iter().map(|t| t.wide()).sum();
        for ((g, s), t) in by.iter_mut().zip(row).zip(t) {
            if *t > T::ZERO {
                sum += t.wide() * (log_sum - s.wide());
            }
            *g = T::from_f64(part * (mass * g.wide() - t.wide()));
        }
    }
    Ok(sum * part)
}
