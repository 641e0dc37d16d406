//! Losses between distributions over labels, and models that are trained with them.
#![allow(clippy::unwrap_used)]

mod gradients;
mod losses;
mod refusals;
mod solvers;
mod training;

use ot_apps::learning::losses::{Loss, evaluate};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use solver_api::Context;

/// Rows of `labels` weights of mass `mass`, from near 0 on.
fn rows(count: usize, labels: usize, mass: f64, seed: u64) -> Vec<f64> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut all: Vec<f64> = (0..count * labels)
        .map(|_| rng.random::<f64>() + 0.02)
        .collect();
    for row in all.chunks_exact_mut(labels) {
        let sum: f64 = row.iter().sum();
        row.iter_mut().for_each(|w| *w *= mass / sum);
    }
    all
}

/// [`rows`], of which each has zeros but for every `step`-th entry.
fn sparse(count: usize, labels: usize, step: usize, seed: u64) -> Vec<f64> {
    let mut all = rows(count, labels, 1.0, seed);
    for (row, weights) in all.chunks_exact_mut(labels).enumerate() {
        for (k, w) in weights.iter_mut().enumerate() {
            if k % step != row % step {
                *w = 0.0;
            }
        }
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= sum);
    }
    all
}

fn of(loss: &dyn Loss, labels: usize, h: &[f64], y: &[f64]) -> (Vec<f64>, Vec<f64>) {
    evaluate(loss, labels, h, y, &mut Context::default()).unwrap()
}

fn close(found: f64, wanted: f64, tol: f64, what: &str) {
    let off = (found - wanted).abs();
    assert!(
        off <= tol * wanted.abs().max(1.0),
        "{what}: {found} for {wanted}"
    );
}
