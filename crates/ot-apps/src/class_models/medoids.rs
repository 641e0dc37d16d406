//! The samples in the middle of their class: those with the least transport cost to all others.

use std::sync::Arc;

use solver_api::{Capability, Context, Cost, Solver};

use super::{ClassFit, ClassModels, draw, measures};
use crate::distances::Distances;
use crate::error::require;
use crate::retrieval::Score;
use crate::{Error, Images};

/// Samples that are in the middle of their class or of a part of it: of `samples` drawn at random, those few to which the
/// others come at the least sum of transport costs. As sharp as samples, and not by chance at the edge of their class.
///
/// Needs [`Capability::Balanced`]. Time: samples²/2 solves, then O(samples²) for each exchange.
///
/// Source: Kaufman and Rousseeuw, *Finding groups in data* (1990), chapter 2: the phases build and swap of partitioning
/// around medoids.
#[derive(Clone)]
pub struct Medoids<'a> {
    solver: &'a dyn Solver,
    cost: Arc<dyn Cost>,
    samples: usize,
}

impl<'a> Medoids<'a> {
    /// By the costs of `solver` on pixels with `cost` (see [`pixel_cost`](crate::pixel_cost)), of at most `samples`
    /// samples of a class.
    ///
    /// # Errors
    /// A solver without the capability, and no samples.
    pub fn new(solver: &'a dyn Solver, cost: Arc<dyn Cost>, samples: usize) -> Result<Self, Error> {
        require(solver, Capability::Balanced)?;
        if samples == 0 {
            return Err(Error::setting("samples", 0, "must be at least 1"));
        }
        Ok(Self {
            solver,
            cost,
            samples,
        })
    }
}

impl ClassModels for Medoids<'_> {
    fn name(&self) -> &str {
        "medoids"
    }

    fn fit_class(
        &self,
        images: &Images,
        models: usize,
        seed: u64,
        context: &mut Context,
    ) -> Result<ClassFit, Error> {
        let images = images.select(&draw(images.len(), self.samples.max(models), seed));
        let measures = measures(&images)?;
        let distances = Distances::new(self.solver, Arc::clone(&self.cost), Score::TransportCost)?;
        let table = distances.table(&measures, None, context)?;
        let medoids = of_table(table.values(), measures.len(), models);
        Ok(ClassFit {
            measures: medoids.into_iter().map(|i| measures[i].clone()).collect(),
            unconverged: table.unconverged().len(),
        })
    }
}

/// `count` places of `n`, so that the sum over all places of the least distance to one of them is small: none can be
/// exchanged for another one to make it smaller. In the order in which they were found.
fn of_table(distances: &[f64], n: usize, count: usize) -> Vec<usize> {
    let to = |x: usize| (0..n).map(move |i| distances[i * n + x]);
    let mut medoids: Vec<usize> = Vec::with_capacity(count);
    // Build: whichever brings the sum down most.
    let mut least = vec![f64::INFINITY; n];
    while medoids.len() < count.min(n) {
        let sum = |x: &usize| -> f64 { to(*x).zip(&least).map(|(d, l)| d.min(*l)).sum() };
        let others = (0..n).filter(|x| !medoids.contains(x));
        let Some((best, _)) = (others.map(|x| (x, sum(&x)))).min_by(|a, b| a.1.total_cmp(&b.1))
        else {
            break;
        };
        least
            .iter_mut()
            .zip(to(best))
            .for_each(|(l, d)| *l = l.min(d));
        medoids.push(best);
    }
    // Swap: the best of all exchanges, as long as one is worth it.
    let mut total: f64 = least.iter().sum();
    loop {
        let near: Vec<Nearest> = (0..n)
            .map(|i| Nearest::of(distances, n, i, &medoids))
            .collect();
        let mut best: Option<(f64, usize, usize)> = None;
        for x in (0..n).filter(|x| !medoids.contains(x)) {
            // What the sum becomes with x for a further one, and what each of the others is worth then.
            let mut with = 0.0;
            let mut lost = vec![0.0; medoids.len()];
            for (near, d) in near.iter().zip(to(x)) {
                with += near.first.min(d);
                lost[near.medoid] += near.second.min(d) - near.first.min(d);
            }
            for (k, lost) in lost.into_iter().enumerate() {
                if best.is_none_or(|(least, ..)| with + lost < least) {
                    best = Some((with + lost, k, x));
                }
            }
        }
        match best {
            // Less by more than rounding: what is given and taken in circles would never end.
            Some((sum, k, x)) if sum < total * (1.0 - 1e-12) => {
                total = sum;
                medoids[k] = x;
            }
            _ => return medoids,
        }
    }
}

/// The distances of a place from the nearest medoid and from the one after it.
struct Nearest {
    medoid: usize,
    first: f64,
    second: f64,
}

impl Nearest {
    fn of(distances: &[f64], n: usize, i: usize, medoids: &[usize]) -> Self {
        let mut nearest = Self {
            medoid: 0,
            first: f64::INFINITY,
            second: f64::INFINITY,
        };
        for (k, &x) in medoids.iter().enumerate() {
            let d = distances[i * n + x];
            if d < nearest.first {
                nearest.second = nearest.first;
                (nearest.medoid, nearest.first) = (k, d);
            } else if d < nearest.second {
                nearest.second = d;
            }
        }
        nearest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(distances: &[f64], n: usize, medoids: &[usize]) -> f64 {
        let least = |i: usize| {
            let all = medoids.iter().map(|&x| distances[i * n + x]);
            all.fold(f64::INFINITY, f64::min)
        };
        (0..n).map(least).sum()
    }

    proptest! {
        #[test]
        fn no_exchange_is_worth_it(
            points in prop::collection::vec((-5_i32..5, -5_i32..5), 3..25),
            count in 1_usize..6,
        ) {
            let n = points.len();
            let count = count.min(n);
            let apart = |(a, b): (i32, i32), (c, d): (i32, i32)| f64::from((a - c).pow(2) + (b - d).pow(2)).sqrt();
            let distances: Vec<f64> = (points.iter())
                .flat_map(|p| points.iter().map(|q| apart(*p, *q)))
                .collect();
            let medoids = of_table(&distances, n, count);
            prop_assert_eq!(medoids.len(), count);
            let own = sum(&distances, n, &medoids);
            for k in 0..count {
                for x in 0..n {
                    let mut other = medoids.clone();
                    other[k] = x;
                    prop_assert!(own <= sum(&distances, n, &other) + 1e-9);
                }
            }
            // With one, that is the best there is.
            if count == 1 {
                let best = (0..n).map(|x| sum(&distances, n, &[x])).fold(f64::INFINITY, f64::min);
                prop_assert!((own - best).abs() <= 1e-9);
            }
        }
    }

    #[test]
    fn every_group_has_one() {
        let points = [0.0, 0.1, 0.2, 9.0, 9.1, 9.2, 50.0, 50.1, 50.2_f64];
        let n = points.len();
        let distances: Vec<f64> = (points.iter())
            .flat_map(|p| points.iter().map(move |q| (p - q).abs()))
            .collect();
        let mut medoids = of_table(&distances, n, 3);
        medoids.sort_unstable();
        assert_eq!(medoids, [1, 4, 7]);
        assert_eq!(of_table(&distances, n, 20).len(), n);
    }
}
