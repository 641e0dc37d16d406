//! Source 004's hierarchical labels, on clothing: a tree of the classes of Fashion-MNIST, learned with EMD^ρ on it, with KL and
//! with the mean squared error, from few samples to many. What counts beside accuracy is how far up the tree mistakes go.
//!
//! The tree has clothes, shoes and bags at the top; clothes are for the upper body (T-shirt, pullover, coat, shirt), for
//! the legs, or dresses. Edges are 1 to a class, 1/2 above.
//!
//! ```text
//! cargo run --release -p ot-apps --example hierarchical_labels [-- --full --data DIR]
//! ```

#[path = "shared/chart.rs"]
mod chart;
#[path = "shared/clothing.rs"]
mod clothing;
#[path = "shared/picture.rs"]
mod picture;

use std::sync::Arc;

use chart::{Line, Panel};
use clothing::{Args, Outcome};
use ot_apps::learning::losses::{
    HierarchicalEmd, KullbackLeibler, Loss, SquaredError, WeightedSum,
};
use ot_apps::learning::{LabelCost, Targets, Training, WassersteinClassifier};
use ot_apps::scores::mean_and_error;
use plotters::prelude::*;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use rayon::prelude::*;
use solver_api::Context;
use solver_exact::closed::tree::LabelTree;

/// In the order of the set's labels.
const PATHS: [&str; 10] = [
    "clothes/upper/T-shirt",
    "clothes/legs/trouser",
    "clothes/upper/pullover",
    "clothes/dresses/dress",
    "clothes/upper/coat",
    "shoes/open/sandal",
    "clothes/upper/shirt",
    "shoes/closed/sneaker",
    "bags/bags/bag",
    "shoes/closed/ankle boot",
];

const NAMES: [&str; 5] = ["mean squared error", "KL", "EMD", "EMD²", "EMD + 0.1·KL"];

struct Data {
    tree: LabelTree,
    metric: LabelCost,
    train: (Vec<f64>, Vec<usize>),
    test: (Vec<f64>, Vec<usize>),
    pixels: usize,
}

/// Parts of the test samples: right class, right group of the middle level, right group of the top; and the mean way.
type Found = [f64; 4];

impl Data {
    fn loss(&self, k: usize) -> Outcome<Arc<dyn Loss>> {
        let emd = |rho| HierarchicalEmd::new(Arc::clone(self.tree.tree()), self.tree.labels(), rho);
        Ok(match k {
            0 => Arc::new(SquaredError),
            1 => Arc::new(KullbackLeibler),
            2 => Arc::new(emd(1.0)?),
            3 => Arc::new(emd(2.0)?),
            _ => Arc::new(WeightedSum::with_kl(Arc::new(emd(1.0)?), 0.1)?),
        })
    }

    fn trial(&self, loss: usize, each: usize, epochs: usize, seed: u64) -> Outcome<Found> {
        let mut order: Vec<usize> = (0..self.train.1.len()).collect();
        order.shuffle(&mut Pcg64::seed_from_u64(seed));
        // As many of each class.
        let mut left = [each; 10];
        order.retain(|&i| {
            let left = &mut left[self.train.1[i]];
            let kept = *left > 0;
            *left = left.saturating_sub(1);
            kept
        });
        let x = order
            .iter()
            .flat_map(|&i| &self.train.0[i * self.pixels..(i + 1) * self.pixels]);
        let x: Vec<f64> = x.copied().collect();
        let targets = Targets::from_classes(10, &self.train.1)?.select(&order);
        let training = Training {
            epochs,
            rate: 0.003,
            decay: 0.05_f64.powf(1.0 / epochs as f64),
            batch: 50,
            seed,
            ..Training::default()
        };
        let learner = WassersteinClassifier::new(self.loss(loss)?, training)?;
        let context = Context::default().with_threads(1)?;
        let said = learner
            .fit_targets(&x, self.pixels, &targets, &context)?
            .predict_labels(&self.test.0)?;
        let group = |label: usize, depth: usize| PATHS[label].split('/').nth(depth);
        let mut found = [0.0; 4];
        for (&said, &truth) in said.iter().zip(&self.test.1) {
            found[0] += f64::from(u8::from(said == truth));
            for (at, depth) in [(1, 1), (2, 0)] {
                found[at] += f64::from(u8::from(group(said, depth) == group(truth, depth)));
            }
            found[3] += self.metric.entry(said, truth);
        }
        Ok(found.map(|sum| sum / said.len() as f64))
    }
}

fn main() -> Outcome {
    let args = Args::read()?;
    let tree = LabelTree::from_paths(&PATHS, '/', |depth| if depth == 3 { 1.0 } else { 0.5 })?;
    let (train, test) = (args.clothing("train")?, args.clothing("t10k")?);
    let data = Data {
        metric: LabelCost::tree(Arc::clone(tree.tree()), tree.labels())?,
        tree,
        pixels: train.0.len() / train.1.len(),
        train,
        test,
    };
    let (sizes, seeds, epochs): (&[usize], u64, usize) = match (args.full, &args.data) {
        (true, Some(_)) => (&[10, 30, 100, 300, 1000], 5, 60),
        _ => (&[5, 10, 20, 40], 3, 60),
    };
    let mut cases = Vec::new();
    for loss in 0..NAMES.len() {
        for &size in sizes {
            cases.extend((0..seeds).map(|seed| (loss, size, seed)));
        }
    }
    let run = |&(loss, size, seed): &(usize, usize, u64)| data.trial(loss, size, epochs, seed);
    let found = cases.par_iter().map(run).collect::<Outcome<Vec<_>>>()?;
    let over = |loss: usize, size: usize, what: usize| {
        let own = cases
            .iter()
            .zip(&found)
            .filter(|((l, s, _), _)| (*l, *s) == (loss, size));
        mean_and_error(&own.map(|(_, f)| f[what]).collect::<Vec<_>>())
    };
    println!(
        "{} to tell, {seeds} seeds, {epochs} epochs; percent right, and mean way through the tree\n",
        data.test.1.len()
    );
    println!(
        "{:>20}{:>8}{:>16}{:>16}{:>16}{:>18}",
        "loss", "each", "class", "middle", "top", "way"
    );
    for (loss, name) in NAMES.iter().enumerate() {
        for &size in sizes {
            print!("{name:>20}{size:>8}");
            for what in 0..3 {
                let (mean, error) = over(loss, size, what);
                print!(
                    "{:>16}",
                    format!("{:.1} ± {:.1}", 100.0 * mean, 100.0 * error)
                );
            }
            let (mean, error) = over(loss, size, 3);
            println!("{:>18}", format!("{mean:.4} ± {error:.4}"));
        }
    }
    let lines = |what: usize, factor: f64| -> Vec<Line> {
        let line = |(loss, name): (usize, &&str)| {
            let point = |&size: &usize| {
                let (mean, error) = over(loss, size, what);
                (size as f64, factor * mean, factor * error)
            };
            Line {
                name: (*name).to_owned(),
                points: sizes.iter().map(point).collect(),
            }
        };
        NAMES.iter().enumerate().map(line).collect()
    };
    let path = picture::path("hierarchical_labels.svg")?;
    let root = SVGBackend::new(&path, (1150, 440)).into_drawing_area();
    root.fill(&WHITE)?;
    let areas = root.split_evenly((1, 2));
    let panels = [
        (
            "mean way to the true class",
            "length of the path",
            lines(3, 1.0),
            SeriesLabelPosition::UpperRight,
        ),
        (
            "right class",
            "%",
            lines(0, 100.0),
            SeriesLabelPosition::LowerRight,
        ),
    ];
    for (area, (title, y, lines, legend)) in areas.iter().zip(panels) {
        let panel = Panel {
            title,
            x: "training samples of a class",
            y,
            log: true,
            from: None,
            lines: &lines,
            legend,
        };
        panel.draw(area).map_err(|e| e.to_string())?;
    }
    root.present()?;
    println!("\n{}", path.display());
    Ok(())
}
