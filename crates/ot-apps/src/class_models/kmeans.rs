//! Wasserstein k-means: samples go to the centre of the least transport cost, centres are barycenters.

use std::sync::Arc;

use solver_api::{Barycenters, Batch, Capability, Certify, Context, Cost, Measure, Solver};

use super::{ClassFit, ClassModels, average, clusters, draw, measures};
use crate::error::require;
use crate::transport::costs_of;
use crate::{Error, Images};

/// What can be set of [`WassersteinKMeans`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KMeansSettings {
    /// Samples of a class, drawn at random, that are clustered. Default: 200; a round takes samples × models solves.
    pub samples: usize,
    /// Rounds of assignment and average at most. Default: 10; it ends before where no sample changes its cluster.
    pub rounds: usize,
}

impl Default for KMeansSettings {
    fn default() -> Self {
        Self {
            samples: 200,
            rounds: 10,
        }
    }
}

/// k-means with the transport cost of any solver for a distance and any barycenter for a mean. Seeds are drawn by
/// k-means++.
///
/// Needs [`Capability::Balanced`]. The barycenter should be of the same ground cost, or a round may raise the cost.
///
/// Source: Ye, Wu, Wang and Li, *Fast discrete distribution clustering using Wasserstein barycenter with sparse support*
/// (2017).
#[derive(Clone)]
pub struct WassersteinKMeans<'a> {
    solver: &'a dyn Solver,
    barycenters: &'a dyn Barycenters,
    cost: Arc<dyn Cost>,
    settings: KMeansSettings,
}

impl<'a> WassersteinKMeans<'a> {
    /// With checked settings, on pixels with `cost` (see [`pixel_cost`](crate::pixel_cost)).
    ///
    /// # Errors
    /// A solver without the capability, and settings outside of their range.
    pub fn new(
        solver: &'a dyn Solver,
        barycenters: &'a dyn Barycenters,
        cost: Arc<dyn Cost>,
        settings: KMeansSettings,
    ) -> Result<Self, Error> {
        require(solver, Capability::Balanced)?;
        if settings.samples == 0 {
            return Err(Error::setting("samples", 0, "must be at least 1"));
        }
        if settings.rounds == 0 {
            return Err(Error::setting("rounds", 0, "must be at least 1"));
        }
        Ok(Self {
            solver,
            barycenters,
            cost,
            settings,
        })
    }

    /// The costs from each of `measures` to one.
    fn from(
        &self,
        one: &Measure,
        measures: &[Measure],
        context: &mut Context,
        unconverged: &mut usize,
    ) -> Result<Vec<f64>, Error> {
        let pairs = measures.iter().map(|p| (p.clone(), one.clone())).collect();
        let cost = Arc::clone(&self.cost);
        let batch = Batch::SharedCost { cost, pairs };
        costs_of(self.solver, &batch, context, unconverged)
    }
}

impl ClassModels for WassersteinKMeans<'_> {
    fn name(&self) -> &str {
        "kmeans"
    }

    fn fit_class(
        &self,
        images: &Images,
        models: usize,
        seed: u64,
        context: &mut Context,
    ) -> Result<ClassFit, Error> {
        let images = images.select(&draw(images.len(), self.settings.samples.max(models), seed));
        let measures = measures(&images)?;
        let n = measures.len();
        context.certify = Certify::Off;
        let mut unconverged = 0;
        let mut failure = None;
        let seeds = clusters::seeds(n, models, seed, |i| {
            let costs = self.from(&measures[i], &measures, context, &mut unconverged);
            costs.unwrap_or_else(|error| {
                failure.get_or_insert(error);
                vec![1.0; n]
            })
        });
        if let Some(error) = failure {
            return Err(error);
        }
        let mut centres: Vec<Measure> = seeds.iter().map(|&i| measures[i].clone()).collect();
        let mut members = Vec::new();
        for _ in 0..self.settings.rounds {
            let mut distances = vec![0.0; n * models];
            for (k, centre) in centres.iter().enumerate() {
                for (i, d) in self
                    .from(centre, &measures, context, &mut unconverged)?
                    .into_iter()
                    .enumerate()
                {
                    distances[i * models + k] = d;
                }
            }
            let next = clusters::assign(&distances, models);
            if next == members {
                break;
            }
            for (k, cluster) in next.iter().enumerate() {
                // A cluster that kept its members keeps its centre.
                if members.get(k) != Some(cluster) {
                    let own: Vec<_> = cluster.iter().map(|&i| measures[i].clone()).collect();
                    centres[k] = average(
                        self.barycenters,
                        &self.cost,
                        &own,
                        context,
                        &mut unconverged,
                    )?;
                }
            }
            members = next;
        }
        Ok(ClassFit {
            measures: centres,
            unconverged,
        })
    }
}
