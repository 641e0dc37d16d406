//! Sums of losses, such as W + α·KL.

use std::sync::Arc;

use solver_api::Context;

use super::{KullbackLeibler, Loss, Rows, Sums};
use crate::Error;

/// Σ_k w_k ℓ_k with weights w_k > 0.
#[derive(Clone)]
pub struct WeightedSum<'a> {
    terms: Vec<(f64, Arc<dyn Loss + 'a>)>,
}

impl<'a> WeightedSum<'a> {
    /// A sum of `terms`. A weight of 0 leaves its term out.
    ///
    /// # Errors
    /// Weights that are negative, infinite or NaN, none above 0, and terms for different numbers of labels.
    pub fn new(terms: Vec<(f64, Arc<dyn Loss + 'a>)>) -> Result<Self, Error> {
        if let Some(k) = terms
            .iter()
            .position(|(w, _)| !(w.is_finite() && *w >= 0.0))
        {
            let rule = "weights of losses must be finite and not negative";
            return Err(Error::setting(&format!("terms[{k}]"), terms[k].0, rule));
        }
        let terms: Vec<_> = terms.into_iter().filter(|(w, _)| *w > 0.0).collect();
        if terms.is_empty() {
            let rule = "at least one weight must be above 0";
            return Err(Error::setting("terms", "none", rule));
        }
        let mut made = terms.iter().filter_map(|(_, loss)| loss.labels());
        if let Some(first) = made.next()
            && let Some(other) = made.find(|labels| *labels != first)
        {
            let rule = format!("another term is made for {first} labels: they must agree");
            return Err(Error::setting("labels", other, &rule));
        }
        Ok(Self { terms })
    }

    /// `loss` + α·KL: what 003 trains with in section 6.2.
    ///
    /// # Errors
    /// α that is negative, infinite or NaN.
    pub fn with_kl(loss: Arc<dyn Loss + 'a>, alpha: f64) -> Result<Self, Error> {
        if !(alpha.is_finite() && alpha >= 0.0) {
            return Err(Error::setting(
                "alpha",
                alpha,
                "must be finite and not negative",
            ));
        }
        Self::new(vec![(1.0, loss), (alpha, Arc::new(KullbackLeibler))])
    }
}

impl Loss for WeightedSum<'_> {
    fn name(&self) -> String {
        let term = |(weight, loss): &(f64, Arc<dyn Loss + '_>)| match weight {
            1.0 => loss.name(),
            _ => format!("{weight}·{}", loss.name()),
        };
        self.terms.iter().map(term).collect::<Vec<_>>().join(" + ")
    }

    fn labels(&self) -> Option<usize> {
        self.terms.iter().find_map(|(_, loss)| loss.labels())
    }

    fn memory(&self, labels: usize) -> usize {
        self.terms.iter().map(|(_, loss)| loss.memory(labels)).sum()
    }

    fn evaluate(
        &self,
        rows: Rows<'_>,
        memory: &mut [f64],
        sums: &mut Sums<'_>,
        context: &mut Context,
    ) -> Result<(), Error> {
        let (all, scale) = (self.memory(rows.labels()), sums.scale);
        let mut first = 0;
        for (weight, loss) in &self.terms {
            let own = loss.memory(rows.labels());
            let mut part = Sums {
                scale: scale * weight,
                values: sums.values,
                gradient: sums.gradient,
            };
            if own == 0 || own == all {
                let memory = if own == 0 { &mut [][..] } else { &mut *memory };
                loss.evaluate(rows, memory, &mut part, context)?;
                continue;
            }
            // Several terms remember: each gets its columns.
            let columns = |row: usize| row * all + first..row * all + first + own;
            let mut held: Vec<f64> = (0..rows.len())
                .flat_map(|row| &memory[columns(row)])
                .copied()
                .collect();
            loss.evaluate(rows, &mut held, &mut part, context)?;
            for (row, held) in held.chunks_exact(own).enumerate() {
                memory[columns(row)].copy_from_slice(held);
            }
            first += own;
        }
        Ok(())
    }
}
