//! Applications by backend: what they gain and cost with each of them, on digits and photographs of the fixtures.

mod made;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ot_apps::{
    Adaptation, AdaptationSettings, Bernoulli, Coupling, CouplingRule, Domain, Images, ModelSet,
    Neighbours, Retrieval, Score, pixel_cost, scores,
};
use solver_api::{Capability, Context, Cost, Ground, Problem, Solver};

pub(crate) use self::made::photo;
use self::made::{BARYCENTER, COLOUR_TRANSFER, Made};
use crate::Error;
use crate::picture::Pixels;
use crate::report::{ApplicationFigure, ApplicationReport, ApplicationRow};
use crate::run::Variant;

/// The name that `--problems` takes for all of them.
pub const GROUP: &str = "applications";
/// ε of entropic backends where classes are told, relative to the largest cost.
pub const REG: f64 = 0.05;
/// The same where something is made, which a large ε blurs.
pub const FINE_REG: f64 = 4e-3;

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
    made: Made,
}

/// An application's name, title and description.
struct About {
    name: &'static str,
    title: &'static str,
    description: String,
}

/// Classes, and how many solves fell short.
type Found = (Vec<i64>, usize);

/// What an application answers with one backend.
struct Answer {
    /// In the order of the application's figures.
    figures: Vec<Option<f64>>,
    unconverged: usize,
    picture: Option<Pixels>,
}

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
            made: Made::read(root)?,
        })
    }

    fn applications(&self) -> [About; 6] {
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
            About {
                name: BARYCENTER,
                title: "Barycenters",
                description: self.made.describe(BARYCENTER),
            },
            About {
                name: COLOUR_TRANSFER,
                title: "Colour transfer",
                description: self.made.describe(COLOUR_TRANSFER),
            },
        ]
    }

    /// What is measured of the answers of an application.
    fn figures(name: &str) -> Vec<ApplicationFigure> {
        let of = |(name, part): (&str, bool)| ApplicationFigure {
            name: name.to_owned(),
            part,
        };
        let figures: &[(&str, bool)] = match name {
            BARYCENTER => &[("entropy, nats", false), ("mean cost, cells²", false)],
            COLOUR_TRANSFER => &[("W₁, levels", false)],
            _ => &[("accuracy", true)],
        };
        figures.iter().copied().map(of).collect()
    }

    /// Rows that [`Bench::run`] makes of as many backends.
    pub(crate) fn rows(&self, [variants, _]: [&[Variant<'_>]; 2]) -> usize {
        let solvers = variants.iter().filter(|v| self.is_for(v)).count();
        solvers * self.applications().len() + made::METHODS
    }

    /// Closed forms are for other costs than those between pixels.
    fn is_for(&self, variant: &Variant<'_>) -> bool {
        let (Ok(a), Ok(b)) = (self.asked.measure(0), self.asked.measure(1)) else {
            return true;
        };
        Problem::new(a, b, Arc::clone(&self.cost)).is_ok_and(|problem| variant.is_for(&problem))
    }

    /// All applications by all backends, entropic ones with [`REG`] and with [`FINE_REG`]. `context` gives a fresh one for each row, with its limits.
    pub(crate) fn run(
        &self,
        [coarse, fine]: [&[Variant<'_>]; 2],
        context: &dyn Fn() -> Context,
        tell: &mut dyn FnMut(&str, &str),
    ) -> Vec<ApplicationReport> {
        let one = |about: &About| {
            let mut rows = Vec::new();
            let variants = match self.expected(about.name) {
                Some(_) => coarse,
                None => fine,
            };
            for variant in variants.iter().filter(|v| self.is_for(v)) {
                tell(about.name, &variant.label());
                rows.push(self.row(about.name, variant, context()));
            }
            if about.name == BARYCENTER {
                for (name, setting, method) in Made::methods() {
                    tell(about.name, name);
                    let mut row = self.blank(about.name, name, setting);
                    measure(&mut row, || self.made.mean(method?.as_ref(), context()));
                    rows.push(row);
                }
            }
            ApplicationReport {
                name: about.name.to_owned(),
                title: about.title.to_owned(),
                description: about.description.clone(),
                figures: Self::figures(about.name),
                rows,
                inputs: self.made.inputs(about.name),
            }
        };
        self.applications().iter().map(one).collect()
    }

    fn blank(&self, name: &str, backend: &str, setting: &str) -> ApplicationRow {
        ApplicationRow {
            backend: backend.to_owned(),
            setting: setting.to_owned(),
            figures: Vec::new(),
            seconds: None,
            queries: self.expected(name).map_or(1, <[i64]>::len),
            unconverged: 0,
            note: String::new(),
            picture: None,
        }
    }

    fn row(&self, name: &str, variant: &Variant<'_>, context: Context) -> ApplicationRow {
        let mut row = self.blank(name, variant.backend, &variant.setting);
        if variant.uninterruptible {
            row.note =
                "not tried: it can't be interrupted, and these are thousands of solves".to_owned();
            return row;
        }
        measure(&mut row, || {
            let solver = match &variant.solver {
                Ok(solver) => solver.as_ref(),
                Err(error) => return Err(error.clone().into()),
            };
            match (name, self.expected(name)) {
                (BARYCENTER, _) => self.made.descent(solver, context),
                (_, None) => self.made.colours(solver, context),
                (_, Some(expected)) => {
                    let (classes, unconverged) = self.ask(name, solver, context)?;
                    Ok(Answer {
                        figures: vec![Some(scores::accuracy(&classes, expected)?)],
                        unconverged,
                        picture: None,
                    })
                }
            }
        });
        row
    }

    /// What is to be told in an application, if it tells classes.
    fn expected(&self, name: &str) -> Option<&[i64]> {
        match name {
            BARYCENTER | COLOUR_TRANSFER => None,
            "adaptation" => Some(&self.writers[1].1),
            _ => Some(&self.expected),
        }
    }

    fn ask(
        &self,
        name: &str,
        solver: &dyn Solver,
        mut context: Context,
    ) -> Result<Found, ot_apps::Error> {
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

/// Asks, and writes the answer with its time, or why there is none, into `row`.
fn measure(row: &mut ApplicationRow, ask: impl FnOnce() -> Result<Answer, ot_apps::Error>) {
    let begun = Instant::now();
    let answer = catch_unwind(AssertUnwindSafe(ask));
    let seconds = begun.elapsed().as_secs_f64();
    match answer {
        Ok(Ok(answer)) => {
            row.figures = answer.figures;
            row.seconds = Some(seconds);
            row.unconverged = answer.unconverged;
            row.picture = answer.picture;
        }
        Ok(Err(error)) => row.note = error.to_string(),
        Err(_) => {
            row.note = "the solver panicked; what it said is on standard error".to_owned();
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
