//! Applications by backend: what a classifier gains and costs with each of them, on digits of the fixtures.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ot_apps::{
    Adaptation, AdaptationSettings, Bernoulli, Coupling, CouplingRule, Domain, Images, ModelSet,
    Neighbours, Retrieval, Score, pixel_cost, scores,
};
use solver_api::{Capability, Context, Cost, Ground, Problem};

use crate::Error;
use crate::report::{ApplicationReport, ApplicationRow};
use crate::run::Variant;

/// The name that `--problems` takes for all of them.
pub const GROUP: &str = "applications";
/// ε of entropic backends, relative to the largest cost.
pub const REG: f64 = 0.05;

/// Digits to tell, by application: enough for differences of some points, few enough for seconds.
const ASKED: usize = 100;
/// Digits that neighbours are chosen from, and that couplings end at.
const KNOWN: usize = 200;
const NEIGHBOURS: usize = 3;
/// Mixtures of Bernoullis a class.
const MODELS: usize = 2;
/// Pixels of a digit whose writers change.
const WRITTEN: usize = 64;
/// Pixels below this part of the largest of a model are left out.
const CUTOFF: f64 = 0.1;

/// The digits, and everything that does not depend on the backend.
pub(crate) struct Bench {
    known: Images,
    labels: Vec<i64>,
    asked: Images,
    expected: Vec<i64>,
    models: ModelSet,
    cost: Arc<dyn Cost>,
    /// Digits of two groups of writers, rows of unit norm.
    writers: [(Vec<f64>, Vec<i64>); 2],
}

/// An application's name, title and description.
struct About {
    name: &'static str,
    title: &'static str,
    description: String,
}

type Found = (Vec<i64>, usize);

impl Bench {
    /// # Errors
    /// Fixtures that can't be read.
    pub(crate) fn read(root: &Path) -> Result<Self, Error> {
        let (train, labels) = digits(root, "train", usize::MAX)?;
        let (known, known_labels) = digits(root, "train", KNOWN)?;
        let (asked, expected) = digits(root, "t10k", ASKED)?;
        let context = Context::default();
        let models = ModelSet::fit(&Bernoulli::default(), &train, &labels, MODELS, 0, &context)?;
        let cost = pixel_cost(asked.size(), &Ground::Log1p)?;
        Ok(Self {
            known,
            labels: known_labels,
            asked,
            expected,
            models: models.sparsified(CUTOFF)?,
            cost,
            writers: [writers(root, "mnist")?, writers(root, "optdigits")?],
        })
    }

    fn applications(&self) -> [About; 4] {
        let asked = self.asked.len();
        [
            About {
                name: "retrieval",
                title: "Image retrieval",
                description: format!(
                    "{asked} MNIST digits against {} mixtures of Bernoullis, {MODELS} a class; log(1 + d) between pixels",
                    self.models.len()
                ),
            },
            About {
                name: "neighbours",
                title: "Nearest neighbours",
                description: format!(
                    "{asked} MNIST digits, {NEIGHBOURS} neighbours among {}; log(1 + d) between pixels",
                    self.known.len()
                ),
            },
            About {
                name: "coupling",
                title: "Coupling",
                description: format!(
                    "one plan between {asked} MNIST digits and {} labelled ones, Euclidean; mass summed by class",
                    self.known.len()
                ),
            },
            About {
                name: "adaptation",
                title: "Domain adaptation",
                description: format!(
                    "{} MNIST digits carried to {} of other writers, 8×8; nearest neighbour on the adapted",
                    self.writers[0].1.len(),
                    self.writers[1].1.len()
                ),
            },
        ]
    }

    /// Rows that [`Bench::run`] makes of as many backends.
    pub(crate) fn rows(&self, variants: &[Variant<'_>]) -> usize {
        variants.iter().filter(|v| self.is_for(v)).count() * self.applications().len()
    }

    /// Closed forms are for other costs than those between pixels.
    fn is_for(&self, variant: &Variant<'_>) -> bool {
        let (Ok(a), Ok(b)) = (self.asked.measure(0), self.asked.measure(1)) else {
            return true;
        };
        Problem::new(a, b, Arc::clone(&self.cost)).is_ok_and(|problem| variant.is_for(&problem))
    }

    /// All applications by all backends. `context` gives a fresh one for each row, with its limits.
    pub(crate) fn run(
        &self,
        variants: &[Variant<'_>],
        context: &dyn Fn() -> Context,
        tell: &mut dyn FnMut(&str, &str),
    ) -> Vec<ApplicationReport> {
        let one = |about: &About| {
            let mut rows = Vec::new();
            for variant in variants.iter().filter(|v| self.is_for(v)) {
                tell(about.name, &variant.label());
                rows.push(self.row(about.name, variant, context()));
            }
            ApplicationReport {
                name: about.name.to_owned(),
                title: about.title.to_owned(),
                description: about.description.clone(),
                rows,
            }
        };
        self.applications().iter().map(one).collect()
    }

    fn row(&self, name: &str, variant: &Variant<'_>, context: Context) -> ApplicationRow {
        let mut row = ApplicationRow {
            backend: variant.backend.to_owned(),
            setting: variant.setting.clone(),
            accuracy: None,
            seconds: None,
            queries: self.expected(name).len(),
            unconverged: 0,
            note: String::new(),
        };
        if variant.uninterruptible {
            row.note =
                "not tried: it can't be interrupted, and these are thousands of solves".to_owned();
            return row;
        }
        let begun = Instant::now();
        let found = catch_unwind(AssertUnwindSafe(|| self.ask(name, variant, context)));
        let Ok(found) = found else {
            row.note = "the solver panicked; what it said is on standard error".to_owned();
            return row;
        };
        let seconds = begun.elapsed().as_secs_f64();
        match found.and_then(|(classes, unconverged)| {
            Ok((
                scores::accuracy(&classes, self.expected(name))?,
                unconverged,
            ))
        }) {
            Ok((accuracy, unconverged)) => {
                row.accuracy = Some(accuracy);
                row.seconds = Some(seconds);
                row.unconverged = unconverged;
            }
            Err(error) => row.note = error.to_string(),
        }
        row
    }

    /// What is to be told in an application.
    fn expected(&self, name: &str) -> &[i64] {
        match name {
            "adaptation" => &self.writers[1].1,
            _ => &self.expected,
        }
    }

    fn ask(
        &self,
        name: &str,
        variant: &Variant<'_>,
        mut context: Context,
    ) -> Result<Found, ot_apps::Error> {
        let solver = match &variant.solver {
            Ok(solver) => solver.as_ref(),
            Err(error) => return Err(error.clone().into()),
        };
        let cost = Arc::clone(&self.cost);
        // The same number for an exact backend; of an entropic one the one that bounds hold for.
        let score = if solver.capabilities().has(Capability::Exact) {
            Score::TransportCost
        } else {
            Score::Objective
        };
        match name {
            "retrieval" => {
                let retrieval = Retrieval::new(solver, cost, self.models.clone(), score)?;
                let found = retrieval.predict(&self.asked, &context)?;
                Ok((found.predictions().to_vec(), found.unconverged()))
            }
            "neighbours" => {
                let neighbours = Neighbours::new(solver, cost, NEIGHBOURS, score)?;
                let fitted = neighbours.fit(&self.known, &self.labels, &context)?;
                let found = fitted.predict(&self.asked, &context)?;
                Ok((found.predictions().to_vec(), found.unconverged()))
            }
            "adaptation" => {
                let [(x, labels), (y, _)] = &self.writers;
                let adaptation = Adaptation::new(solver, AdaptationSettings::default())?;
                let source = Domain::new("source", x.as_slice(), WRITTEN)?.labelled(labels)?;
                let target = Domain::new("target", y.as_slice(), WRITTEN)?;
                let adapted = adaptation.fit(&source, &target, &mut context)?;
                let short = !adapted.convergence().converged();
                Ok((adapted.predict(y)?, usize::from(short)))
            }
            _ => {
                let coupling = Coupling::new(solver, Ground::Euclidean)?;
                let fitted = coupling.fit(self.known.pixels(), self.known.cells(), &self.labels)?;
                let coupled = fitted.predict(self.asked.pixels(), &mut context)?;
                let short = !coupled.solution().convergence.converged();
                Ok((
                    coupled.predictions(CouplingRule::ClassSum),
                    usize::from(short),
                ))
            }
        }
    }
}

/// Digits of one group of writers, 8×8, rows of unit norm.
fn writers(root: &Path, name: &str) -> Result<(Vec<f64>, Vec<i64>), Error> {
    let folder = root.join("fixtures/digits8");
    let points = ot_data::read(folder.join(format!("{name}.npy")))?.into_matrix()?;
    let labels = ot_data::read(folder.join(format!("{name}.labels.npy")))?.into_labels()?;
    let mut points: Vec<f64> = points.into_iter().collect();
    for row in points.chunks_exact_mut(WRITTEN) {
        let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        row.iter_mut()
            .for_each(|v| *v /= norm.max(f64::MIN_POSITIVE));
    }
    Ok((points, labels.to_vec()))
}

fn digits(root: &Path, part: &str, most: usize) -> Result<(Images, Vec<i64>), Error> {
    let folder = root.join("fixtures/mnist");
    let images = ot_data::read(folder.join(format!("{part}-images-idx3-ubyte.gz")))?;
    let images = images.into_images()?;
    let labels = ot_data::read(folder.join(format!("{part}-labels-idx1-ubyte.gz")))?;
    let labels = labels.into_labels()?;
    let (count, height, width) = images.dim();
    let count = count.min(most);
    let pixels: Vec<f64> = images.into_iter().take(count * height * width).collect();
    let images = Images::new("digits", (height, width), pixels)?;
    Ok((images, labels.into_iter().take(count).collect()))
}
