//! Distributions that can only be drawn from: a training of push-forward networks against exact plans between samples.
//!
//! Of each pair of distributions the value is known, from a closed form or, where both are a finite cloud after all, from all of
//! it. A training says more and more of it as time goes by; an exact backend says as much as its samples do, and more of them
//! take more time. The table has the time until either is within 5 % and within 1 %, and stays there; of exact plans the largest
//! error of some draws counts, of a training there is one. What a training makes has marginals that are not quite those asked
//! for: how far their variances are off stands beside.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use kantorovich::closed::gaussian;
use kantorovich::spot::{
    ContinuousSolver, Empirical, Error as SpotError, Euclidean, Gaussian, JointCost, Sampler, Spot,
    SpotSettings, SqEuclidean,
};
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;
use solver_api::{Capability, Context, Ground, Measure, PointCost, Problem, Solver};

use crate::Error;
use crate::report::{ApplicationFigure, ApplicationReport, ApplicationRow};
use crate::run::Variant;

/// The name that `--problems` takes for all of them.
pub const GROUP: &str = "continuous";
/// Samples of each side that exact backends are given.
pub const SAMPLES: [usize; 4] = [250, 500, 1000, 2000];
/// How often they are drawn: the largest error counts.
pub const DRAWS: u64 = 3;
/// What a training's and a solve's errors are held against.
pub const WITHIN: [f64; 2] = [0.05, 0.01];

/// Looks at a training.
const LOOKS: u64 = 40;
/// Samples of a look.
const LOOKED_AT: usize = 20_000;
/// Dimensions of the Gaussians with a closed form, and how far apart their means are.
const DIMENSIONS: [usize; 2] = [8, 32];
const APART: f64 = 5.0;

/// A pair of distributions whose distance is known.
struct Task {
    name: String,
    title: String,
    description: String,
    sides: [Arc<dyn Sampler>; 2],
    /// Where both are clouds: exact backends may have all of it.
    clouds: Option<[Vec<f64>; 2]>,
    ground: Ground,
    exact: f64,
    hidden: usize,
    steps: u64,
    rate: f64,
    critic_rate: f64,
    /// Of the cost where the plan is.
    slope: f64,
}

/// All tasks.
pub(crate) struct Bench {
    tasks: Vec<Task>,
}

impl Bench {
    /// # Errors
    /// Fixtures that can't be read.
    pub(crate) fn read(root: &Path) -> Result<Self, Error> {
        let mut tasks = vec![shifted()?];
        for dim in DIMENSIONS {
            tasks.push(gaussians(dim)?);
        }
        tasks.push(cells(root)?);
        Ok(Self { tasks })
    }

    /// Rows that [`Bench::run`] makes.
    pub(crate) fn rows(&self, variants: &[Variant<'_>]) -> usize {
        let of = |task: &Task| 1 + task.judges(variants).count() * task.sizes().len();
        self.tasks.iter().map(of).sum()
    }

    /// A training of each task, which takes its steps, and every exact backend among `variants`. `context` gives a fresh one for
    /// each solve, with its limits.
    pub(crate) fn run(
        &self,
        variants: &[Variant<'_>],
        context: &dyn Fn() -> Context,
        tell: &mut dyn FnMut(&str, &str),
    ) -> Vec<ApplicationReport> {
        let one = |task: &Task| {
            tell(&task.name, Spot::<f32>::NAME);
            let setting = format!("{} units, {} steps", task.hidden, task.steps);
            let mut rows = vec![row(Spot::<f32>::NAME, setting, task.trained())];
            for (backend, solver) in task.judges(variants) {
                for size in task.sizes() {
                    let mut solved = row(backend, name(size), Ok(Answer::default()));
                    tell(&task.name, &solved.label());
                    solved = row(backend, name(size), task.solved(solver, size, context));
                    rows.push(solved);
                }
            }
            ApplicationReport {
                name: task.name.clone(),
                title: task.title.clone(),
                description: task.description.clone(),
                figures: figures(),
                rows,
                inputs: Vec::new(),
            }
        };
        self.tasks.iter().map(one).collect()
    }
}

/// What an estimate comes to.
#[derive(Default)]
struct Answer {
    value: f64,
    /// Relative, the largest.
    error: f64,
    /// How far the sum of variances of a generated marginal is off, relative, the larger of both; none where nothing is made.
    spread: Option<f64>,
    /// Until it stays within each of [`WITHIN`].
    times: [Option<f64>; 2],
    seconds: f64,
    unconverged: usize,
}

fn figures() -> Vec<ApplicationFigure> {
    let of = |(name, part): (&str, bool)| ApplicationFigure {
        name: name.to_owned(),
        part,
    };
    let all = [
        ("value", false),
        ("error", true),
        ("variances off", true),
        ("s to 5 %", false),
        ("s to 1 %", false),
    ];
    all.map(of).to_vec()
}

fn row(backend: &str, setting: String, answer: Result<Answer, String>) -> ApplicationRow {
    let mut row = ApplicationRow {
        backend: backend.to_owned(),
        setting,
        figures: Vec::new(),
        seconds: None,
        queries: 1,
        unconverged: 0,
        note: String::new(),
        picture: None,
    };
    match answer {
        Ok(answer) => {
            let [coarse, fine] = answer.times;
            row.figures = vec![
                Some(answer.value),
                Some(answer.error),
                answer.spread,
                coarse,
                fine,
            ];
            row.seconds = Some(answer.seconds);
            row.unconverged = answer.unconverged;
        }
        Err(why) => row.note = why,
    }
    row
}

fn name(size: Option<usize>) -> String {
    size.map_or("all points".to_owned(), |n| format!("{n} samples"))
}

impl Task {
    /// Exact backends for this task. One that can't be interrupted would not come to an end.
    fn judges<'a>(
        &self,
        variants: &'a [Variant<'a>],
    ) -> impl Iterator<Item = (&'a str, &'a dyn Solver)> {
        let dim = self.sides[0].dim();
        let one = problem(vec![0.0; dim], vec![1.0; dim], dim, &self.ground);
        variants.iter().filter_map(move |variant| {
            let solver = variant.solver.as_ref().ok()?.as_ref();
            let exact = solver.capabilities().has(Capability::Exact) && !variant.uninterruptible;
            let takes = one
                .as_ref()
                .is_ok_and(|problem| solver.accepts(problem).is_ok());
            (exact && takes).then_some((variant.backend, solver))
        })
    }

    fn sizes(&self) -> Vec<Option<usize>> {
        let least = self.clouds.as_ref().map_or(usize::MAX, |clouds| {
            let of = |side: usize| clouds[side].len() / self.sides[side].dim();
            of(0).min(of(1))
        });
        let samples = SAMPLES.into_iter().filter(|n| *n < least).map(Some);
        samples.chain(self.clouds.as_ref().map(|_| None)).collect()
    }

    fn error(&self, value: f64) -> f64 {
        value / self.exact - 1.0
    }

    /// A training, looked at on the way with the clock stopped.
    fn trained(&self) -> Result<Answer, String> {
        let said = |error: SpotError| error.to_string();
        let cost: Arc<dyn JointCost<f32>> = match self.ground {
            Ground::Euclidean => Arc::new(Euclidean),
            _ => Arc::new(SqEuclidean),
        };
        let settings = SpotSettings {
            first_eta: 0.5 * self.slope,
            eta: 20.0 * self.slope,
            rate: self.rate,
            critic_rate: self.critic_rate,
            steps: self.steps,
            ..SpotSettings::default()
        };
        let begun = Instant::now();
        let samplers = self.sides.to_vec();
        let shape = (self.hidden, 2);
        let mut spot = Spot::with_perceptrons(samplers, cost, shape, settings).map_err(said)?;
        let mut answer = Answer {
            seconds: begun.elapsed().as_secs_f64(),
            ..Answer::default()
        };
        let mut since = [None; 2];
        for _ in 0..LOOKS {
            let begun = Instant::now();
            for _ in 0..self.steps / LOOKS {
                spot.step().map_err(said)?;
            }
            answer.seconds += begun.elapsed().as_secs_f64();
            answer.value = spot.estimate(LOOKED_AT, 1).map_err(said)?.cost;
            answer.error = self.error(answer.value);
            for (since, within) in since.iter_mut().zip(WITHIN) {
                *since = match *since {
                    None if answer.error.abs() <= within => Some(answer.seconds),
                    earlier if answer.error.abs() <= within => earlier,
                    // A NaN is within nothing.
                    _ => None,
                };
            }
        }
        answer.times = since;
        let made = spot.sample(LOOKED_AT, 2).map_err(said)?;
        let mut rng = Pcg64::seed_from_u64(3);
        let off = self.sides.iter().enumerate().map(|(k, side)| {
            let mut rows = vec![0.0; LOOKED_AT * side.dim()];
            side.draw(&mut rng, &mut rows);
            variance(made.marginal(k), side.dim()) / variance(&rows, side.dim()) - 1.0
        });
        answer.spread = off.max_by(|a, b| a.abs().total_cmp(&b.abs()));
        Ok(answer)
    }

    /// Exact plans between samples, drawn [`DRAWS`] times, or between all points.
    fn solved(
        &self,
        solver: &dyn Solver,
        size: Option<usize>,
        context: &dyn Fn() -> Context,
    ) -> Result<Answer, String> {
        let dim = self.sides[0].dim();
        let draws = size.map_or(1, |_| DRAWS);
        let mut answer = Answer::default();
        for draw in 0..draws {
            let begun = Instant::now();
            let mut rng = Pcg64::seed_from_u64(draw);
            let rows = |k: usize, rng: &mut Pcg64| match (size, &self.clouds) {
                (Some(count), _) => {
                    let mut rows = vec![0.0; count * dim];
                    self.sides[k].draw(rng, &mut rows);
                    rows
                }
                (None, Some(clouds)) => clouds[k].clone(),
                (None, None) => Vec::new(),
            };
            let (x, y) = (rows(0, &mut rng), rows(1, &mut rng));
            let solution = problem(x, y, dim, &self.ground)
                .and_then(|problem| solver.solve_with(&problem, &mut context()))
                .map_err(|error| error.to_string())?;
            answer.seconds += begun.elapsed().as_secs_f64() / draws as f64;
            answer.unconverged += usize::from(!solution.convergence.converged());
            answer.value += solution.transport_cost / draws as f64;
            let error = self.error(solution.transport_cost);
            if error.abs() > answer.error.abs() {
                answer.error = error;
            }
        }
        answer.times = WITHIN.map(|part| (answer.error.abs() <= part).then_some(answer.seconds));
        Ok(answer)
    }
}

/// The sum of the variances of all coordinates.
fn variance(rows: &[f64], dim: usize) -> f64 {
    let count = (rows.len() / dim) as f64;
    let of = |c: usize| {
        let all = || rows.iter().skip(c).step_by(dim);
        let mean = all().sum::<f64>() / count;
        all().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count
    };
    (0..dim).map(of).sum()
}

fn problem(
    x: Vec<f64>,
    y: Vec<f64>,
    dim: usize,
    ground: &Ground,
) -> Result<Problem, solver_api::Error> {
    let of = |rows: &[f64]| Measure::uniform(rows.len() / dim);
    let (a, b) = (of(&x)?, of(&y)?);
    Problem::new(a, b, Arc::new(PointCost::new(x, y, dim, ground.clone())?))
}

/// Figure 3.2's pair.
fn shifted() -> Result<Task, Error> {
    let side = |at: f64| -> Result<Arc<dyn Sampler>, Error> {
        Ok(Arc::new(Gaussian::new(vec![at, 0.0])?))
    };
    Ok(Task {
        name: "shifted-gaussians".to_owned(),
        title: "Two Gaussians in the plane".to_owned(),
        description: "W₁ of N(∓2.5, I), 5".to_owned(),
        sides: [side(-2.5)?, side(2.5)?],
        clouds: None,
        ground: Ground::Euclidean,
        exact: 5.0,
        hidden: 8,
        steps: 20_000,
        rate: 1e-3,
        critic_rate: 1.0,
        slope: 1.0,
    })
}

/// Gaussians with covariances L Lᵀ of random triangles.
fn gaussians(dim: usize) -> Result<Task, Error> {
    let mut rng = Pcg64::seed_from_u64(dim as u64);
    let mut side = |far: f64| -> Result<(gaussian::Gaussian, Arc<dyn Sampler>), Error> {
        let mean = vec![far / (dim as f64).sqrt(); dim];
        let mut factor = vec![0.0; dim * dim];
        for i in 0..dim {
            for j in 0..i {
                let v: f64 = rng.sample(StandardNormal);
                factor[i * dim + j] = 0.5 * v / (dim as f64).sqrt();
            }
            factor[i * dim + i] = rng.random_range(0.6..1.6);
        }
        let sampler = Gaussian::with_factor(mean, factor)?;
        let exact = gaussian::Gaussian::new(sampler.mean(), &sampler.covariance())?;
        Ok((exact, Arc::new(sampler)))
    };
    let ((x, of_x), (y, of_y)) = (side(0.0)?, side(APART)?);
    let exact = x.distance_squared(&y)?;
    Ok(Task {
        name: format!("gaussians-{dim}d"),
        title: format!("Two Gaussians in {dim} dimensions"),
        description: format!(
            "W₂² with covariances of their own, means {APART} apart: {exact:.3} by the closed form of Bures"
        ),
        sides: [of_x, of_y],
        clouds: None,
        ground: Ground::SqEuclidean,
        exact,
        hidden: 64,
        steps: 6000,
        rate: 2e-4,
        critic_rate: 3.0,
        slope: 2.0 * exact.sqrt(),
    })
}

/// Two wells of a cytometer, each as what its cells are drawn from.
fn cells(root: &Path) -> Result<Task, Error> {
    let read = |name: &str| -> Result<(Vec<f64>, usize), Error> {
        let path = root.join(format!("fixtures/cytometry/{name}.npy"));
        let points = ot_data::read(path)?.into_matrix()?;
        let dim = points.ncols();
        Ok((points.into_iter().collect(), dim))
    };
    let ((x, dim), (y, _)) = (read("cfp")?, read("mixed")?);
    let side = |rows: &[f64]| -> Result<Arc<dyn Sampler>, Error> {
        Ok(Arc::new(Empirical::new(rows.to_vec(), dim)?))
    };
    let sides = [side(&x)?, side(&y)?];
    let judge = kantorovich::solve(&problem(x.clone(), y.clone(), dim, &Ground::Euclidean)?)?;
    Ok(Task {
        name: "wells".to_owned(),
        title: "Cells of two wells".to_owned(),
        description: format!(
            "W₁ between {} and {} cells in {dim} channels: {:.4} by the exact plan of all",
            x.len() / dim,
            y.len() / dim,
            judge.transport_cost
        ),
        sides,
        clouds: Some([x, y]),
        ground: Ground::Euclidean,
        exact: judge.transport_cost,
        hidden: 64,
        steps: 6000,
        rate: 2e-4,
        critic_rate: 3.0,
        slope: 1.0,
    })
}
