//! Barycenters beside POT's: images by convolution, and points whose support moves.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use kantorovich::apps::barycenters::Start;
use kantorovich::apps::{Bregman, BregmanSettings, Cloud, FreeSupport, FreeSupportSettings};
use kantorovich::{
    Barycenters, Certify, Context, Cost, GridCost, GridGround, Measure, Options, Problem, Reg,
    Solver,
};
use serde_json::json;

use super::super::duel::Duel;
use super::super::worker::Timed;
use super::tools::{clouds, threads};
use super::{EXACT, Failure, Ring};

/// Regularization on the unit square, as in POT's own example of images.
const REG: f64 = 0.004;
/// Clouds, their points, and atoms.
const CLOUDS: usize = 8;
const POINTS: usize = 500;
const ATOMS: usize = 200;

impl Ring<'_> {
    /// Eight images of the fixtures at once; what is compared is the entropic mean cost of both answers, solved for by
    /// `sinkhorn-stabilized` to the same tolerance.
    pub(super) fn convolutional(&mut self, root: &Path, quick: bool) -> Result<(), Failure> {
        let options = Options {
            reg: Some(Reg::Absolute(REG)),
            tol: Some(1e-7),
            ..Options::default()
        };
        let Some(judge) = self.solver("sinkhorn-stabilized", &options)? else {
            return Ok(());
        };
        self.worker.forget()?;
        for side in if quick { vec![64] } else { vec![64, 256] } {
            let measures = images(root, side)?;
            let spacing = [1.0 / (side as f64 - 1.0); 2];
            let grid = GridCost::with_spacing(&[side, side], &spacing, GridGround::SqEuclidean)?;
            let cost: Arc<dyn Cost> = Arc::new(grid);
            let stacked: Vec<f64> = measures.iter().flat_map(|m| m.weights().to_vec()).collect();
            let count = measures.len();
            let out = self.arrays.join(format!("mean{side}.npy"));
            let job = json!({
                "op": "convolutional", "reg": REG, "tol": 1e-4, "out": out.display().to_string(),
                "a": self.put(&format!("images{side}"), &[count, side, side], &stacked)?,
            });
            let bregman = Bregman::new(BregmanSettings {
                reg: Reg::Absolute(REG),
                tol: 1e-4,
                ..BregmanSettings::default()
            })?;
            let case = format!("{count} images of {side}×{side}, reg {REG} on the unit square");
            let peer = "POT convolutional_barycenter2d";
            (self.tell)(&format!("{case} · {peer}"));
            let mut context = threads(2)?.certified(Certify::Off);
            let duel = Duel {
                goal: "barycenter, convolutional",
                case,
                ours: "bregman, two threads".to_owned(),
                peer: peer.to_owned(),
                must: Some(8.0),
                aim: Some(20.0),
            };
            let worth = |q: &Measure| mean_objective(judge.as_ref(), &cost, &measures, q);
            let worker = &mut *self.worker;
            let row = duel.fight(
                &mut || {
                    let begun = Instant::now();
                    let answer =
                        bregman.barycenter(&cost, &measures, &vec![1.0; count], &mut context);
                    let seconds = begun.elapsed().as_secs_f64();
                    let answer = answer.map_err(|e| e.to_string())?;
                    Ok(timed(seconds, worth(&answer.weights)?))
                },
                &mut || {
                    let found = worker.call(&job)?;
                    let q = ot_data::read(&out).map_err(|e| e.to_string())?;
                    let q = q.into_matrix().map_err(|e| e.to_string())?;
                    let q = Measure::new(q.into_iter().collect::<Vec<_>>());
                    let q = q.map_err(|e| e.to_string())?.normalized();
                    Ok(timed(found.seconds, worth(&q)?))
                },
            );
            self.finish(row);
        }
        Ok(())
    }

    /// Eight clouds of 500 points, 200 atoms, from the same start: the mean cost of both answers.
    pub(super) fn free_support(&mut self) -> Result<(), Failure> {
        let Some(solver) = self.solver(EXACT, &Options::default())? else {
            return Ok(());
        };
        self.worker.forget()?;
        let mut given = Vec::new();
        let mut all = Vec::new();
        for k in 0..CLOUDS {
            let (mut x, _) = clouds(POINTS, 2, 20 + k as u64);
            x.iter_mut()
                .enumerate()
                .for_each(|(e, x)| *x = *x * (1.0 + 0.2 * k as f64) + (k * (1 - e % 2)) as f64);
            all.extend_from_slice(&x);
            given.push(Cloud::uniform("cloud", x, 2)?);
        }
        let (start, _) = clouds(ATOMS, 2, 40);
        let job = json!({
            "op": "free_support",
            "x": self.put("clouds", &[CLOUDS, POINTS, 2], &all)?,
            "start": self.put("atoms", &[ATOMS, 2], &start)?,
        });
        let start = Start {
            points: start,
            weights: None,
        };
        let method = FreeSupport::new(solver.as_ref(), FreeSupportSettings::new(ATOMS))?;
        let case = format!("{CLOUDS} clouds of {POINTS} points, {ATOMS} atoms");
        let peer = "POT free_support_barycenter";
        (self.tell)(&format!("{case} · {peer}"));
        let context = threads(2)?;
        let duel = Duel {
            goal: "barycenter, free support",
            case,
            ours: "free support, two threads".to_owned(),
            peer: peer.to_owned(),
            must: Some(5.0),
            aim: None,
        };
        let worker = &mut *self.worker;
        let row = duel.fight(
            &mut || {
                let begun = Instant::now();
                let found = method.fit_from(&given, &[1.0; CLOUDS], &start, &context);
                let seconds = begun.elapsed().as_secs_f64();
                Ok(timed(seconds, found.map_err(|e| e.to_string())?.mean_cost))
            },
            &mut || worker.call(&job),
        );
        self.finish(row);
        Ok(())
    }
}

fn timed(seconds: f64, value: f64) -> Timed {
    Timed {
        seconds,
        value: Some(value),
        said: Vec::new(),
    }
}

fn mean_objective(
    judge: &dyn Solver,
    cost: &Arc<dyn Cost>,
    measures: &[Measure],
    q: &Measure,
) -> Result<f64, String> {
    let mut context = Context::default().certified(Certify::Off);
    let mut mean = 0.0;
    for p in measures {
        let problem = Problem::new(p.clone(), q.clone(), Arc::clone(cost));
        let problem = problem.map_err(|e| e.to_string())?;
        let solution = judge.solve_with(&problem, &mut context);
        mean += solution.map_err(|e| e.to_string())?.objective / measures.len() as f64;
    }
    Ok(mean)
}

/// Eight digits of the fixtures between whose pixels there are others: side×side cells, and a little mass everywhere, since
/// POT's scalings want it.
fn images(root: &Path, side: usize) -> Result<Vec<Measure>, Failure> {
    let path = root.join("fixtures/mnist/train-images-idx3-ubyte.gz");
    let images = ot_data::read(path)?.into_images()?;
    let (_, height, width) = images.dim();
    let pixels: Vec<f64> = images.into_iter().take(8 * height * width).collect();
    let one = |image: &[f64]| -> Result<Measure, Failure> {
        let at = |t: usize, cells: usize| {
            let place = t as f64 * (cells - 1) as f64 / (side - 1) as f64;
            let low = (place as usize).min(cells - 2);
            (low, place - low as f64)
        };
        let value = |e: usize| {
            let ((y, fy), (x, fx)) = (at(e / side, height), at(e % side, width));
            let pixel = |y: usize, x: usize| image[y * width + x] / 255.0;
            let row = |y: usize| (1.0 - fx) * pixel(y, x) + fx * pixel(y, x + 1);
            1e-6 + (1.0 - fy) * row(y) + fy * row(y + 1)
        };
        let weights: Vec<f64> = (0..side * side).map(value).collect();
        Ok(Measure::new(weights)?.normalized())
    };
    pixels.chunks_exact(height * width).map(one).collect()
}
