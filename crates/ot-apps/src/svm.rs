//! Support vector machines on kernels of distances, exp(−d/t).
//!
//! Sources: 004; Cuturi, *Sinkhorn distances: lightspeed computation of optimal transport* (2013), section 5.1, whose way of
//! choosing t and C by cross-validation this follows. The kernel of a transport distance need not be positive definite: what
//! is missing is added to its diagonal, as is done there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use faer::{MatRef, Side};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use smartcore::error::Failed;
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::svm::Kernel;
use smartcore::svm::svc::{SVC, SVCParameters};
use solver_api::Context;

use crate::distances::DistanceTable;
use crate::images::by_class;
use crate::{Error, scores, steps};

/// Settings of [`KernelClassifier`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SvmSettings {
    /// C, the price of a sample on the wrong side of its margin; above 0.
    pub penalty: f64,
    /// Violation of the optimality conditions at which a machine is done; above 0.
    pub tol: f64,
}

impl Default for SvmSettings {
    fn default() -> Self {
        Self {
            penalty: 10.0,
            tol: 1e-3,
        }
    }
}

impl SvmSettings {
    fn checked(self) -> Result<Self, Error> {
        for (name, value) in [("penalty", self.penalty), ("tol", self.tol)] {
            if !(value.is_finite() && value > 0.0) {
                return Err(Error::setting(name, value, "must be finite and above 0"));
            }
        }
        Ok(self)
    }
}

/// exp(−d/t) for each distance of a complete table, row by row.
///
/// # Errors
/// A t that is not finite and above 0, a table with missing entries, and distances below 0 whose kernel is no number.
pub fn exponential_kernel(distances: &DistanceTable, t: f64) -> Result<Vec<f64>, Error> {
    if !(t.is_finite() && t > 0.0) {
        return Err(Error::setting("t", t, "must be finite and above 0"));
    }
    let missing = distances.missing();
    if missing > 0 {
        let rule = "entries are missing: fill the table first";
        return Err(Error::setting("distances", missing, rule));
    }
    let kernel: Vec<f64> = distances.values().iter().map(|d| (-d / t).exp()).collect();
    match kernel
        .iter()
        .zip(distances.values())
        .find(|(k, _)| !k.is_finite())
    {
        Some((_, d)) => {
            let rule =
                format!("exp(−d/t) leaves the range of numbers where d = {d}: choose a larger one");
            Err(Error::setting("t", t, &rule))
        }
        None => Ok(kernel),
    }
}

/// One machine for each pair of classes, which vote.
///
/// Fitting takes O(n³) for the least eigenvalue of the kernel and about O(n²) for each pair of classes; memory two kernels.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelClassifier {
    machines: Vec<Machine>,
    classes: Vec<i64>,
    samples: usize,
    ridge: f64,
}

/// A decision b + Σ w_i K(x, x_i): positive for the second class.
#[derive(Debug, Clone, PartialEq)]
struct Machine {
    classes: (usize, usize),
    support: Vec<(usize, f64)>,
    bias: f64,
}

impl KernelClassifier {
    /// Fits to the n×n `kernel` between training samples and their `labels`.
    ///
    /// # Errors
    /// Settings out of range, a kernel that is not n×n, not finite or not symmetric, not a label for each sample, and one
    /// class only.
    pub fn fit(kernel: &[f64], labels: &[i64], settings: SvmSettings) -> Result<Self, Error> {
        let settings = settings.checked()?;
        let n = labels.len();
        let classes = by_class(labels, n)?;
        let kernel = checked(kernel, n)?;
        let ridge = missing_on_diagonal(&kernel, n)?;
        Self::on(&Arc::new(kernel), ridge, &classes, n, settings)
    }

    fn on(
        kernel: &Arc<Vec<f64>>,
        ridge: f64,
        classes: &BTreeMap<i64, Vec<usize>>,
        samples: usize,
        settings: SvmSettings,
    ) -> Result<Self, Error> {
        let members: Vec<&Vec<usize>> = classes.values().collect();
        let mut machines = Vec::new();
        for second in 1..members.len() {
            for first in 0..second {
                let pair = (members[first].as_slice(), members[second].as_slice());
                let (support, bias) = machine(kernel, samples, ridge, pair, settings)?;
                machines.push(Machine {
                    classes: (first, second),
                    support,
                    bias,
                });
            }
        }
        Ok(Self {
            machines,
            classes: classes.keys().copied().collect(),
            samples,
            ridge,
        })
    }

    /// What was added to the diagonal of the kernel, 0 where it is positive semidefinite.
    #[must_use]
    pub fn ridge(&self) -> f64 {
        self.ridge
    }

    /// How many samples support a machine, each counted once.
    #[must_use]
    pub fn support_len(&self) -> usize {
        let all = self.machines.iter().flat_map(|m| &m.support);
        let places: std::collections::BTreeSet<usize> = all.map(|s| s.0).collect();
        places.len()
    }

    /// The class of each row of the m×n `kernel` from queries to the training samples: the one with most votes, of equals
    /// the one of the larger decisions.
    ///
    /// # Errors
    /// A kernel that has not a column for each training sample, and entries that are not finite.
    pub fn predict(&self, kernel: &[f64]) -> Result<Vec<i64>, Error> {
        if !kernel.len().is_multiple_of(self.samples) {
            return Err(Error::Shape {
                argument: "kernel",
                found: kernel.len(),
                expected: format!("each query needs {} of them", self.samples),
            });
        }
        finite(kernel, self.samples)?;
        Ok(kernel
            .chunks_exact(self.samples)
            .map(|row| self.vote(row))
            .collect())
    }

    fn vote(&self, row: &[f64]) -> i64 {
        let mut votes = vec![(0_usize, 0.0_f64); self.classes.len()];
        for machine in &self.machines {
            let terms = machine.support.iter().map(|(i, w)| w * row[*i]);
            let decision = machine.bias + terms.sum::<f64>();
            let (first, second) = machine.classes;
            votes[if decision > 0.0 { second } else { first }].0 += 1;
            votes[first].1 -= decision;
            votes[second].1 += decision;
        }
        let mut winner = 0;
        for class in 1..votes.len() {
            let (count, sum) = votes[class];
            let (most, best) = votes[winner];
            if count > most || (count == most && sum > best) {
                winner = class;
            }
        }
        self.classes[winner]
    }
}

/// t and C with the least error by cross-validation, and that error, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Selected {
    /// The width of the kernel.
    pub t: f64,
    /// The price of a sample on the wrong side of its margin.
    pub penalty: f64,
    /// Mean error over the folds.
    pub error: f64,
}

/// Tries each of `widths` with each of `penalties` on `folds` folds of the training samples, drawn class by class from
/// `seed`. The first of equals wins. The steps go side by side on the threads of `context`.
///
/// # Errors
/// As [`KernelClassifier::fit`]; no candidate; fewer than 2 folds, or a class with fewer samples than folds.
pub fn select(
    distances: &DistanceTable,
    labels: &[i64],
    widths: &[f64],
    penalties: &[f64],
    folds: usize,
    seed: u64,
    context: &Context,
) -> Result<Selected, Error> {
    let n = labels.len();
    let classes = by_class(labels, n)?;
    if folds < 2 {
        return Err(Error::setting("folds", folds, "must be 2 or more"));
    }
    if let Some((class, members)) = classes.iter().find(|(_, m)| m.len() < folds) {
        let rule = format!(
            "class {class} has {} samples, fewer than folds",
            members.len()
        );
        return Err(Error::setting("folds", folds, &rule));
    }
    if widths.is_empty() || penalties.is_empty() {
        return Err(Error::setting(
            "candidates",
            0,
            "there must be a width and a penalty",
        ));
    }
    for &penalty in penalties {
        SvmSettings {
            penalty,
            ..SvmSettings::default()
        }
        .checked()?;
    }
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut fold_of = vec![0; n];
    for members in classes.values() {
        let mut members = members.clone();
        members.shuffle(&mut rng);
        for (place, i) in members.into_iter().enumerate() {
            fold_of[i] = place % folds;
        }
    }
    let mut kernels = Vec::with_capacity(widths.len());
    for &t in widths {
        let kernel = checked(&exponential_kernel(distances, t)?, n)?;
        // The least eigenvalue of a part is no less than that of the whole.
        let ridge = missing_on_diagonal(&kernel, n)?;
        kernels.push((Arc::new(kernel), ridge));
    }
    let tries = widths.len() * penalties.len();
    let errors = steps::run(context, "folds", tries * folds, |step, _| {
        let (candidate, fold) = (step / folds, step % folds);
        let (kernel, ridge) = &kernels[candidate / penalties.len()];
        let settings = SvmSettings {
            penalty: penalties[candidate % penalties.len()],
            ..SvmSettings::default()
        };
        let kept = |list: &Vec<usize>| -> Vec<usize> {
            list.iter()
                .copied()
                .filter(|&i| fold_of[i] != fold)
                .collect()
        };
        let seen = classes
            .iter()
            .map(|(class, list)| (*class, kept(list)))
            .collect();
        let classifier = KernelClassifier::on(kernel, *ridge, &seen, n, settings)?;
        let held: Vec<usize> = (0..n).filter(|&i| fold_of[i] == fold).collect();
        let rows = held
            .iter()
            .map(|&i| classifier.vote(&kernel[i * n..(i + 1) * n]));
        let found: Vec<i64> = rows.collect();
        let want: Vec<i64> = held.iter().map(|&i| labels[i]).collect();
        Ok(1.0 - scores::accuracy(&found, &want)?)
    })?;
    let mut best: Option<Selected> = None;
    for (candidate, errors) in errors.chunks_exact(folds).enumerate() {
        let error = errors.iter().sum::<f64>() / folds as f64;
        if best.is_none_or(|best| error < best.error) {
            best = Some(Selected {
                t: widths[candidate / penalties.len()],
                penalty: penalties[candidate % penalties.len()],
                error,
            });
        }
    }
    best.ok_or_else(|| Error::setting("candidates", 0, "there must be a width and a penalty"))
}

fn finite(kernel: &[f64], cols: usize) -> Result<(), Error> {
    let bad = kernel.iter().position(|k| !k.is_finite());
    let Some(at) = bad else { return Ok(()) };
    let rule = format!("at ({}, {}): must be finite", at / cols, at % cols);
    Err(Error::setting("kernel", kernel[at], &rule))
}

/// The kernel made symmetric to the last bit, where it is so up to what a solver's tolerance leaves.
fn checked(kernel: &[f64], n: usize) -> Result<Vec<f64>, Error> {
    if kernel.len() != n * n {
        return Err(Error::Shape {
            argument: "kernel",
            found: kernel.len(),
            expected: format!("{n} labels need the square of their number"),
        });
    }
    finite(kernel, n)?;
    let size = kernel.iter().fold(0.0, |most: f64, k| most.max(k.abs()));
    let mut even = kernel.to_vec();
    for i in 0..n {
        for j in 0..i {
            let (k, mirror) = (kernel[i * n + j], kernel[j * n + i]);
            if (k - mirror).abs() > 1e-3 * size {
                let rule = format!("at ({i}, {j}), but {mirror} at ({j}, {i}): must be symmetric");
                return Err(Error::setting("kernel", k, &rule));
            }
            even[i * n + j] = 0.5 * (k + mirror);
            even[j * n + i] = even[i * n + j];
        }
    }
    Ok(even)
}

/// What the diagonal lacks for no eigenvalue to be negative.
fn missing_on_diagonal(kernel: &[f64], n: usize) -> Result<f64, Error> {
    let matrix = MatRef::from_row_major_slice(kernel, n, n);
    let values = matrix
        .self_adjoint_eigenvalues(Side::Lower)
        .map_err(|_| Error::setting("kernel", n, "has no eigenvalues that could be found"))?;
    let least = values.into_iter().fold(f64::INFINITY, f64::min);
    Ok((-least).max(0.0))
}

/// Kernels by the indices of samples, which the machine takes for their only feature.
#[derive(Debug, Clone)]
struct Gram {
    kernel: Arc<Vec<f64>>,
    samples: usize,
    ridge: f64,
    /// The identity in place of the kernel.
    probing: Arc<AtomicBool>,
}

impl Kernel for Gram {
    fn apply(&self, x: &Vec<f64>, y: &Vec<f64>) -> Result<f64, Failed> {
        let (i, j) = (x[0] as usize, y[0] as usize);
        let same = f64::from(u8::from(i == j));
        if self.probing.load(Ordering::Relaxed) {
            return Ok(same);
        }
        Ok(self.kernel[i * self.samples + j] + self.ridge * same)
    }
}

/// Support and bias of the machine between two classes.
fn machine(
    kernel: &Arc<Vec<f64>>,
    samples: usize,
    ridge: f64,
    (first, second): (&[usize], &[usize]),
    settings: SvmSettings,
) -> Result<(Vec<(usize, f64)>, f64), Error> {
    let failed = |e: Failed| Error::setting("kernel", samples, &format!("has no machine: {e}"));
    let gram = Gram {
        kernel: Arc::clone(kernel),
        samples,
        ridge,
        probing: Arc::default(),
    };
    let probing = Arc::clone(&gram.probing);
    let members: Vec<usize> = first.iter().chain(second).copied().collect();
    let column = |list: &[usize]| {
        DenseMatrix::new(
            list.len(),
            1,
            list.iter().map(|&i| i as f64).collect(),
            false,
        )
    };
    let x = column(&members).map_err(failed)?;
    let signs = members.iter().enumerate();
    let y: Vec<i32> = signs
        .map(|(k, _)| if k < first.len() { -1 } else { 1 })
        .collect();
    let parameters = SVCParameters::default()
        .with_c(settings.penalty)
        .with_tol(settings.tol)
        .with_kernel(gram)
        .with_seed(Some(0));
    let fitted = SVC::fit(&x, &y, &parameters).map_err(failed)?;
    // Its coefficients are not public. With the identity for a kernel its decisions are them.
    probing.store(true, Ordering::Relaxed);
    let mut asked = members.clone();
    asked.push(samples);
    let asked = column(&asked).map_err(failed)?;
    let decisions = fitted.decision_function(&asked).map_err(failed)?;
    let bias = decisions[members.len()];
    let weights = members
        .into_iter()
        .zip(decisions)
        .map(|(i, d)| (i, d - bias));
    Ok((weights.filter(|(_, w)| *w != 0.0).collect(), bias))
}
