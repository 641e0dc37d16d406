//! Digits: all pairs of many, and queries against class models, beside POT in a loop.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use kantorovich::apps::{Bernoulli, Distances, Images, ModelSet, Retrieval, Score, pixel_cost};
use kantorovich::{Context, Cost, Ground, Measure, Options};
use serde_json::json;

use super::super::duel::Duel;
use super::super::worker::Timed;
use super::tools::threads;
use super::{EXACT, Failure, Ring};

/// Pairs that the peer solves a turn; its time a pair does not depend on how many there are.
const SAMPLE: usize = 100;
/// Queries that it solves a turn.
const ASKED: usize = 4;
/// Models of a class: 60 in all.
const MODELS: usize = 6;

impl Ring<'_> {
    /// The time of a pair: ours over all pairs of the digits with both threads, the peer's over a sample of them; and of a
    /// query against 60 models, all of whose costs the peer's loop needs.
    pub(super) fn digits(&mut self, root: &Path, quick: bool) -> Result<(), Failure> {
        let Some(solver) = self.solver(EXACT, &Options::default())? else {
            return Ok(());
        };
        self.worker.forget()?;
        let (train, labels) = read(root, "train")?;
        let (test, _) = read(root, "t10k")?;
        let count = if quick { 40 } else { 120 };
        let cost = pixel_cost(train.size(), &Ground::Euclidean)?;
        let context = threads(2)?;

        let measures: Result<Vec<Measure>, _> = (0..count).map(|i| train.measure(i)).collect();
        let measures = measures?;
        let pairs: Vec<(usize, usize)> = (0..SAMPLE)
            .map(|k| (k * 7 % count, (k * 13 + 5) % count))
            .collect();
        let solves = count * (count + 1) / 2;
        let distances = Distances::new(solver.as_ref(), Arc::clone(&cost), Score::TransportCost)?;
        let job = self.loop_over("emd2_pairs", &cost, &measures, &measures, &pairs)?;
        let case = format!("{count} × {count} MNIST digits, Euclidean, a pair");
        let duel = self.against_a_loop("digits, all pairs", case);
        let worker = &mut *self.worker;
        let row = duel.fight(
            &mut || {
                let begun = Instant::now();
                let table = distances.table(&measures, None, &context);
                let seconds = begun.elapsed().as_secs_f64() / solves as f64;
                let table = table.map_err(|e| e.to_string())?;
                let values = pairs.iter().filter_map(|&(i, j)| table.get(i, j));
                Ok(timed(seconds, values.sum()))
            },
            &mut || per_pair(worker.call(&job)?),
        );
        self.finish(row);

        let models = models(&train, &labels)?;
        let queries = test.select(&(0..count.min(test.len())).collect::<Vec<_>>());
        let asked: Result<Vec<Measure>, _> = (0..ASKED).map(|i| queries.measure(i)).collect();
        let targets = models.measures().to_vec();
        let job = self.loop_over("emd2_nearest", &cost, &asked?, &targets, &[])?;
        let retrieval = Retrieval::new(solver.as_ref(), cost, models, Score::TransportCost)?;
        let case = format!("MNIST digits against {} models, a query", targets.len());
        let duel = self.against_a_loop("digits, retrieval", case);
        let worker = &mut *self.worker;
        let row = duel.fight(
            &mut || {
                let begun = Instant::now();
                let found = retrieval.predict(&queries, &context);
                let seconds = begun.elapsed().as_secs_f64() / queries.len() as f64;
                let found = found.map_err(|e| e.to_string())?;
                let nearest = (0..ASKED).map(|i| found.costs(i)[found.nearest()[i]].value());
                Ok(timed(seconds, nearest.sum()))
            },
            &mut || {
                let mut query = worker.call(&job)?;
                query.seconds /= ASKED as f64;
                Ok(query)
            },
        );
        self.finish(row);
        Ok(())
    }

    fn against_a_loop(&mut self, goal: &'static str, case: String) -> Duel {
        let peer = "POT emd2 in a loop".to_owned();
        (self.tell)(&format!("{case} · {peer}"));
        Duel {
            goal,
            case,
            ours: "network-simplex, two threads".to_owned(),
            peer,
            must: Some(8.0),
            aim: None,
        }
    }

    fn loop_over(
        &self,
        op: &str,
        cost: &Arc<dyn Cost>,
        rows: &[Measure],
        cols: &[Measure],
        pairs: &[(usize, usize)],
    ) -> Result<serde_json::Value, Failure> {
        let (n, m) = cost.shape();
        let entries: Vec<f64> = (0..n * m).map(|k| cost.entry(k / m, k % m)).collect();
        let stacked = |list: &[Measure]| -> Vec<f64> {
            list.iter().flat_map(|w| w.weights().to_vec()).collect()
        };
        let pairs: Vec<[usize; 2]> = pairs.iter().map(|&(i, j)| [i, j]).collect();
        let name = rows.len();
        Ok(json!({
            "op": op,
            "cost": self.put(&format!("pixels{name}"), &[n, m], &entries)?,
            "a": self.put(&format!("rows{name}"), &[rows.len(), n], &stacked(rows))?,
            "b": self.put(&format!("cols{name}"), &[cols.len(), m], &stacked(cols))?,
            "pairs": pairs,
        }))
    }
}

fn timed(seconds: f64, value: f64) -> Timed {
    Timed {
        seconds,
        value: Some(value),
        said: Vec::new(),
    }
}

fn per_pair(mut timed: Timed) -> Result<Timed, String> {
    timed.seconds /= SAMPLE as f64;
    Ok(timed)
}

fn models(train: &Images, labels: &[i64]) -> Result<ModelSet, Failure> {
    let context = Context::default();
    let set = ModelSet::fit(&Bernoulli::default(), train, labels, MODELS, 0, &context)?;
    Ok(set.sparsified(0.1)?)
}

fn read(root: &Path, part: &str) -> Result<(Images, Vec<i64>), Failure> {
    let folder = root.join("fixtures/mnist");
    let images = ot_data::read(folder.join(format!("{part}-images-idx3-ubyte.gz")))?;
    let images = images.into_images()?;
    let labels = ot_data::read(folder.join(format!("{part}-labels-idx1-ubyte.gz")))?;
    let (_, height, width) = images.dim();
    let pixels: Vec<f64> = images.into_iter().collect();
    let labels = labels.into_labels()?.to_vec();
    Ok((Images::new("digits", (height, width), pixels)?, labels))
}
