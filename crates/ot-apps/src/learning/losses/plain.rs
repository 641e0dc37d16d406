//! Losses that know no ground metric: the baselines.

use solver_api::Context;

use super::{Loss, Rows, Sums};
use crate::Error;

/// KL(y ‖ h) = Σ y log(y/h) of rows of any mass, in nats: the cross-entropy, or multiclass logistic loss, less the entropy
/// of the target. Gradient −y/h.
#[derive(Debug, Clone, Copy, Default)]
pub struct KullbackLeibler;

impl Loss for KullbackLeibler {
    fn name(&self) -> String {
        "kl".to_owned()
    }

    fn evaluate(
        &self,
        rows: Rows<'_>,
        _memory: &mut [f64],
        sums: &mut Sums<'_>,
        _context: &mut Context,
    ) -> Result<(), Error> {
        rows.check(rows.labels(), false)?;
        for (row, (h, y)) in rows.pairs().enumerate() {
            let unsaid = h.iter().zip(y).position(|(h, y)| *h == 0.0 && *y > 0.0);
            if let Some(col) = unsaid {
                return Err(Error::Entry {
                    argument: "prediction",
                    row,
                    col,
                    value: 0.0,
                    rule: "predictions must be above 0 where the target is: the loss is infinite there",
                });
            }
            let terms = h.iter().zip(y).filter(|(_, y)| **y > 0.0);
            let value: f64 = terms.map(|(h, y)| y * (y / h).ln()).sum();
            let gradient = h.iter().zip(y);
            sums.add(
                row,
                value,
                gradient.map(|(h, y)| if *y > 0.0 { -y / h } else { 0.0 }),
            );
        }
        Ok(())
    }
}

/// Σ (h − y)²/K, the mean over labels. Gradient 2(h − y)/K.
#[derive(Debug, Clone, Copy, Default)]
pub struct SquaredError;

impl Loss for SquaredError {
    fn name(&self) -> String {
        "mse".to_owned()
    }

    fn evaluate(
        &self,
        rows: Rows<'_>,
        _memory: &mut [f64],
        sums: &mut Sums<'_>,
        _context: &mut Context,
    ) -> Result<(), Error> {
        rows.entries(
            "prediction",
            rows.prediction(),
            |h| h.is_finite(),
            "must be finite",
        )?;
        rows.entries("target", rows.target(), |y| y.is_finite(), "must be finite")?;
        let each = 1.0 / rows.labels() as f64;
        for (row, (h, y)) in rows.pairs().enumerate() {
            let gaps = || h.iter().zip(y).map(|(h, y)| h - y);
            let value = each * gaps().map(|d| d * d).sum::<f64>();
            sums.add(row, value, gaps().map(|d| 2.0 * each * d));
        }
        Ok(())
    }
}
