//! Retrieval after alignment: a query is moved towards each model, and belongs to the one that it is then nearest to.

use solver_api::{Capability, Certify, Context, Ground, Solver};

use super::register::{Asked, Cloud};
use super::{AffineMap, Alignment, Registered};
use crate::class_models::ModelSet;
use crate::error::require;
use crate::retrieval::Score;
use crate::steps::{self, SoFar};
use crate::{Error, Images, scores};

/// Rounding of an ε, as a part of it.
const SAME_REG: f64 = 1e-9;

/// The classifier argmin over models of the transport cost after the alignment of the query to the model.
///
/// Needs [`Capability::Balanced`]. Every model is asked, in one batch for each round of the alignment: a lower bound for
/// the unmoved query says nothing of the moved one. Queries go side by side on the threads of the context. Memory for one
/// query: models × pixels with weight of both × 8 bytes, twice.
///
/// Source: 000, sections 3.3 and 4.3.
pub struct AlignedRetrieval<'a> {
    solver: &'a dyn Solver,
    ground: Ground,
    models: ModelSet,
    score: Score,
    alignment: Alignment<'a>,
    targets: Vec<Cloud>,
}

impl<'a> AlignedRetrieval<'a> {
    /// Queries to `models` by `solver` at the cost `ground` between pixels, a unit apart.
    ///
    /// # Errors
    /// A solver without the capability.
    pub fn new(
        solver: &'a dyn Solver,
        ground: Ground,
        models: ModelSet,
        score: Score,
        alignment: Alignment<'a>,
    ) -> Result<Self, Error> {
        require(solver, Capability::Balanced)?;
        let places = places(models.size());
        let cloud = |model| Cloud::new("models", model, &places);
        let targets = models.measures().iter().map(cloud);
        Ok(Self {
            solver,
            ground,
            score,
            alignment,
            targets: targets.collect::<Result<_, _>>()?,
            models,
        })
    }

    /// The models.
    #[must_use]
    pub fn models(&self) -> &ModelSet {
        &self.models
    }

    /// The class of each of `queries`, its scores and its maps. The observer of `context` hears of each query that is done.
    ///
    /// # Errors
    /// Images of another size than the models, an ε that differs from model to model, what the ground cost and the solver
    /// refuse, a solve whose numbers failed, and [`Error::Stopped`] by the context.
    pub fn predict(&self, queries: &Images, context: &Context) -> Result<AlignedRetrieved, Error> {
        self.predict_so_far(queries, context)?.complete()
    }

    /// The same of as many of `queries` as were answered before a stop by the context.
    ///
    /// # Errors
    /// As [`AlignedRetrieval::predict`], but for the stop.
    pub fn predict_so_far(
        &self,
        queries: &Images,
        context: &Context,
    ) -> Result<SoFar<AlignedRetrieved>, Error> {
        queries.same_size("queries", "models", self.models.size())?;
        let places = places(queries.size());
        let asked = Asked {
            solver: self.solver,
            ground: &self.ground,
            score: self.score,
        };
        let answers = steps::run_so_far(context, "queries", queries.len(), |i, own| {
            own.certify = Certify::Off;
            let query = Cloud::new("queries", &queries.measure(i)?, &places)?;
            let found = self
                .alignment
                .register_all(&asked, &query, &self.targets, own)?;
            one_reg(&found)?;
            Ok(found)
        })?;
        Ok(answers.map(|answers| self.retrieved(answers)))
    }

    fn retrieved(&self, answers: Vec<Vec<Registered>>) -> AlignedRetrieved {
        let mut retrieved = AlignedRetrieved {
            predictions: Vec::with_capacity(answers.len()),
            nearest: Vec::with_capacity(answers.len()),
            scores: Vec::with_capacity(answers.len() * self.models.len()),
            maps: Vec::with_capacity(answers.len() * self.models.len()),
            models: self.models.len(),
            solved: 0,
            unconverged: 0,
        };
        for answer in answers {
            let mut nearest = (0, f64::INFINITY);
            for (k, found) in answer.iter().enumerate() {
                if found.score < nearest.1 {
                    nearest = (k, found.score);
                }
                retrieved.scores.push(found.score);
                retrieved.maps.push(found.map);
                retrieved.solved += found.solves;
                retrieved.unconverged += found.unconverged;
            }
            retrieved.nearest.push(nearest.0);
            retrieved.predictions.push(self.models.labels()[nearest.0]);
        }
        retrieved
    }
}

/// An error unless all scores were found with one ε.
fn one_reg(found: &[Registered]) -> Result<(), Error> {
    let regs = || found.iter().map(|f| f.reg);
    let (least, most) = (
        regs().fold(f64::INFINITY, f64::min),
        regs().fold(0.0, f64::max),
    );
    if most - least <= SAME_REG * most {
        return Ok(());
    }
    let rule = "must be the same for all models, or their scores can't be compared: give the solver an absolute one";
    Err(Error::setting(
        "reg",
        format!("{least:.3e} to {most:.3e}"),
        rule,
    ))
}

/// (row, column) of each pixel.
fn places((height, width): (usize, usize)) -> Vec<[f64; 2]> {
    let place = |p: usize| [(p / width) as f64, (p % width) as f64];
    (0..height * width).map(place).collect()
}

/// What [`AlignedRetrieval::predict`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct AlignedRetrieved {
    predictions: Vec<i64>,
    nearest: Vec<usize>,
    scores: Vec<f64>,
    maps: Vec<AffineMap>,
    models: usize,
    solved: usize,
    unconverged: usize,
}

impl AlignedRetrieved {
    /// The class of each query.
    #[must_use]
    pub fn predictions(&self) -> &[i64] {
        &self.predictions
    }

    /// The nearest model of each query.
    #[must_use]
    pub fn nearest(&self) -> &[usize] {
        &self.nearest
    }

    /// The scores of query `i` against all models, each after its alignment.
    ///
    /// # Panics
    /// If there is no such query.
    #[must_use]
    pub fn scores(&self, i: usize) -> &[f64] {
        &self.scores[i * self.models..(i + 1) * self.models]
    }

    /// The maps of query `i` towards all models, in (row, column).
    ///
    /// # Panics
    /// If there is no such query.
    #[must_use]
    pub fn maps(&self, i: usize) -> &[AffineMap] {
        &self.maps[i * self.models..(i + 1) * self.models]
    }

    /// How many solves it took, of plans and of scores.
    #[must_use]
    pub fn solved(&self) -> usize {
        self.solved
    }

    /// How many of them ended short of the solver's tolerance; they counted all the same.
    #[must_use]
    pub fn unconverged(&self) -> usize {
        self.unconverged
    }

    /// The part of the queries whose class is that of `labels`.
    ///
    /// # Errors
    /// Another number of labels than of queries.
    pub fn accuracy(&self, labels: &[i64]) -> Result<f64, Error> {
        scores::accuracy(&self.predictions, labels)
    }
}
