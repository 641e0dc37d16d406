//! Points on a circle, arc length: the sorted coupling from the best cut.
//!
//! Let F and G be the masses of sources and targets from some cut up to a point. What flows past the point is F − G − θ for
//! one number θ, and the cost is ∫ |F − G − θ|: least for a median of F − G over the circle. Where it is the median itself
//! nothing flows; cut there, the circle is a line. Werman, Peleg, Melter and Kong, *Bipartite graph matching for points on a
//! line or a circle* (1986); Cabrelli and Molter (1995); Delon, Salomon and Sobolevskii (2010).

use std::time::Instant;

use solver_api::{
    Capabilities, Context, CostKind, Error, Factory, Ground, LineCost, Options, PointCost,
    Potentials, Problem, SettingSpec, Solution, Solver,
};

use super::Settings;
use super::line::{assembled, capabilities, look};
use super::sorted::{Coupling, Side};

const NAME: &str = "circle";
/// What it lacks for other costs.
const NEEDS: &str = "costs other than arc length";

/// Exact transport on a circle of circumference 1. Accepts balanced problems of points with the ground cost
/// [`Ground::Arc`], positions in turns.
///
/// Time and memory as [`Line`](super::Line).
#[derive(Debug, Clone, Default)]
pub struct Circle {
    settings: Settings,
}

impl Circle {
    /// A solver with these settings, checked.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let settings = settings.checked()?;
        Ok(Self { settings })
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

fn on_circle(problem: &Problem) -> Option<&PointCost> {
    match problem.cost().kind() {
        CostKind::Points(points) if matches!(points.ground(), Ground::Arc) => Some(points),
        _ => None,
    }
}

/// Where the circle is cut: the first place of each side behind the cut, and a potential with slopes within ±1 all around.
struct Cut {
    x_from: usize,
    y_from: usize,
    /// By place, before the cut moves them.
    f: Vec<f64>,
    g: Vec<f64>,
}

/// A place on the circle, where mass comes or goes.
struct Event {
    at: f64,
    is_source: bool,
    place: usize,
}

/// Both sides in one order around the circle.
fn events(x: &Side, y: &Side) -> Vec<Event> {
    let (n, m) = (x.at.len(), y.at.len());
    let mut out = Vec::with_capacity(n + m);
    let (mut i, mut j) = (0, 0);
    while i < n || j < m {
        let is_source = j == m || (i < n && x.at[i] <= y.at[j]);
        let (at, place) = if is_source {
            (x.at[i], i)
        } else {
            (y.at[j], j)
        };
        out.push(Event {
            at,
            is_source,
            place,
        });
        if is_source {
            i += 1;
        } else {
            j += 1;
        }
    }
    out
}

/// The level that half of the circle lies below and half above.
fn median(levels: &[f64], lengths: &[f64]) -> f64 {
    let by_level = ot_kernels::order::ascending(levels);
    let half = 0.5 * lengths.iter().sum::<f64>();
    let mut passed = 0.0;
    for &k in &by_level {
        passed += lengths[k as usize];
        if passed >= half && lengths[k as usize] > 0.0 {
            return levels[k as usize];
        }
    }
    // A circle whose points all meet has one stretch of length 1, which is passed above.
    by_level.last().map_or(0.0, |&k| levels[k as usize])
}

fn cut(x: &Side, y: &Side) -> Cut {
    let events = events(x, y);
    let count = events.len();
    let mut levels = Vec::with_capacity(count);
    let mut lengths = Vec::with_capacity(count);
    let (mut level, mut low) = (0.0_f64, 0.0_f64);
    for (k, event) in events.iter().enumerate() {
        let step = if event.is_source {
            x.weight[event.place]
        } else {
            -y.weight[event.place]
        };
        // A million weights would cost the level seven digits: the sum keeps what it rounds away.
        let sum = level + step;
        let part = sum - level;
        low += (level - (sum - part)) + (step - part);
        level = sum;
        levels.push(level + low);
        let next = events.get(k + 1).map_or(events[0].at + 1.0, |e| e.at);
        lengths.push(next - event.at);
    }
    let middle = median(&levels, &lengths);
    let (mut below, mut at, mut above) = (0.0, 0.0, 0.0);
    for (level, length) in levels.iter().zip(&lengths) {
        if *level < middle {
            below += length;
        } else if *level > middle {
            above += length;
        } else {
            at += length;
        }
    }
    // Where nothing flows any slope within ±1 will do: the one that closes the circle.
    let closing = if at > 0.0 {
        ((above - below) / at).clamp(-1.0, 1.0)
    } else {
        0.0
    };
    let (mut f, mut g) = (vec![0.0; x.at.len()], vec![0.0; y.at.len()]);
    let (mut value, mut kept) = (0.0_f64, 0.0_f64);
    let (mut x_from, mut y_from, mut found) = (0, 0, false);
    let (mut sources, mut targets) = (0, 0);
    for ((event, level), length) in events.iter().zip(&levels).zip(&lengths) {
        if event.is_source {
            f[event.place] = value + kept;
            sources += 1;
        } else {
            g[event.place] = -(value + kept);
            targets += 1;
        }
        let slope = if level < &middle {
            1.0
        } else if level > &middle {
            -1.0
        } else {
            closing
        };
        if *level == middle && *length > 0.0 && !found {
            (x_from, y_from, found) = (sources, targets, true);
        }
        let step = slope * length;
        let sum = value + step;
        let part = sum - value;
        kept += (value - (sum - part)) + (step - part);
        value = sum;
    }
    Cut {
        x_from,
        y_from,
        f,
        g,
    }
}

impl Solver for Circle {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }

    fn accepts(&self, problem: &Problem) -> Result<(), Error> {
        self.capabilities().require(NAME, problem)?;
        match on_circle(problem) {
            Some(_) => Ok(()),
            None => Err(Error::unsupported(NAME, NEEDS)),
        }
    }

    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        let started = Instant::now();
        self.accepts(problem)?;
        self.settings.check_reach(NAME)?;
        let Some(points) = on_circle(problem) else {
            return Err(Error::unsupported(NAME, NEEDS));
        };
        let (a, b) = (problem.a().weights(), problem.b().weights());
        // Whole turns lead nowhere. (−1e-20 of a turn rounds to 1, which is 0.)
        let wrapped = |p: &[f64]| -> Vec<f64> {
            let turn = |p: &f64| p.rem_euclid(1.0);
            p.iter()
                .map(turn)
                .map(|p| if p < 1.0 { p } else { 0.0 })
                .collect()
        };
        let (x, y) = context.install(|| {
            rayon::join(
                || Side::of(&wrapped(points.x()), a),
                || Side::of(&wrapped(points.y()), b),
            )
        });
        let look = look(context, self.settings.tol, started);
        let Cut {
            x_from,
            y_from,
            f,
            g,
        } = cut(&x, &y);
        let (n, m) = problem.shape();
        let potentials = Potentials::new(x.spread(&f, n), y.spread(&g, m));
        let (x, y) = (x.turned(x_from), y.turned(y_from));
        let line = PointCost::new(x.at.clone(), y.at.clone(), 1, Ground::Cityblock)?;
        let Some(cost) = LineCost::of(&line) else {
            return Err(Error::unsupported(NAME, NEEDS));
        };
        let coupling = Coupling::of(&x, &y, &cost);
        let mut solution = context.install(|| {
            let parts = (&coupling, &x, &y);
            assembled(NAME, problem, parts, potentials, look, (started, context))
        })?;
        self.settings.judge(problem, &mut solution, || 0.0);
        Ok(solution)
    }
}

/// Makes [`Circle`] from options.
#[derive(Debug, Clone, Copy, Default)]
pub struct CircleFactory;

impl Factory for CircleFactory {
    fn name(&self) -> &str {
        NAME
    }

    fn summary(&self) -> &str {
        "points on a circle, arc length: exact by sorting from the best cut"
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }

    fn settings(&self) -> Vec<SettingSpec> {
        Settings::specs()
    }

    fn build(&self, options: &Options) -> Result<Box<dyn Solver>, Error> {
        Ok(Box::new(Circle::new(Settings::read(NAME, options)?)?))
    }
}
