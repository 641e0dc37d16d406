//! From a problem to a solution.

use std::sync::Arc;
use std::time::Instant;

use ot_entropic::choose::{Method, Task, solve};
use ot_entropic::dual::{Dual, Point};
use ot_entropic::lazy::Arithmetic;
use ot_entropic::path::{End, Followed};
use ot_entropic::scaling::{balance, fit_rows};
use ot_kernels::pricing::Entry;
use solver_api::{
    Capabilities, Capability, Certify, Check, Context, CostKind, Error, ImplicitPlan, Measured,
    Outcome, Plan, Potentials, Problem, Progress, Reference, Reg, Solution, Solver, Termination,
    certify, check_feasible,
};

use crate::dust;
use crate::grid::grid_of;
use crate::masses::Masses;
use crate::matrix::{Matrix, Support};
use crate::settings::Settings;
use crate::{NAME, lazy};

/// Entropic transport at any regularization. See the [crate](crate) for when to choose it.
///
/// Balanced and KL-relaxed problems. Memory 4·n·m bytes beyond the cost while many pairs carry mass, and 8·n·m more where
/// the cost is not a dense matrix of which all rows and columns take part; for points without a matrix
/// O(n + m) and 80 MB, and where clusters say little and lists of near pairs lead to the answer, up to 160 MB or 1.3 kB a
/// point more, whichever is more.
#[derive(Debug, Clone, Default)]
pub struct SinkhornStabilized {
    settings: Settings,
}

/// One solve: the problem, and its image of mass 1 on the pairs that take part.
pub(crate) struct Posed<'a> {
    pub(crate) problem: &'a Problem,
    pub(crate) support: Support,
    pub(crate) masses: Masses,
    pub(crate) a: Vec<f64>,
    pub(crate) b: Vec<f64>,
    pub(crate) reg: f64,
}

impl SinkhornStabilized {
    /// A solver with checked settings.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        Ok(Self { settings })
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Solves with the reference of the settings: by a solver with reference a⊗b and with reg in units of the caller's
    /// cost, which is what it is relative to.
    fn solve_with_reference(
        &self,
        problem: &Problem,
        context: &Context,
    ) -> Result<Solution, Error> {
        let reference = &self.settings.reference;
        if reference.is_marginals() {
            return self.solve_here(problem, context);
        }
        let reg = self.settings.reg.resolve_in_range(problem)?;
        let inner = Self::new(Settings {
            reg: Reg::Absolute(reg),
            reference: Reference::marginals(),
            ..self.settings.clone()
        })?;
        reference.solve(problem, reg, context, |problem, context| {
            inner.solve_here(problem, context)
        })
    }

    fn solve_here(&self, problem: &Problem, context: &Context) -> Result<Solution, Error> {
        let started = Instant::now();
        let found = self.solve_as_it_is(problem, context)?;
        if found.convergence.termination != Termination::Stalled {
            return Ok(found);
        }
        let noise = f64::EPSILON * problem.cost().range().max_abs() / found.reg;
        let tol = self.settings.tol_beside(4.0 * noise);
        let Some(heavy) = dust::without(problem, tol) else {
            return Ok(found);
        };
        let heavy = self.solve_as_it_is(&heavy, context)?;
        if !heavy.convergence.converged() {
            return Ok(found);
        }
        let all = dust::with_all(problem, heavy, context, started)?;
        let error = |s: &Solution| s.convergence.source_error.max(s.convergence.target_error);
        Ok(if error(&all) <= tol { all } else { found })
    }

    fn solve_as_it_is(&self, problem: &Problem, context: &Context) -> Result<Solution, Error> {
        let started = Instant::now();
        self.capabilities().require(NAME, problem)?;
        check_feasible(problem)?;
        let reg = self.settings.reg.resolve_in_range(problem)?;
        if let (Method::Auto, Some(grid)) = (self.settings.method, grid_of(problem, reg)) {
            return self.solve_on_grid(problem, grid, reg, context, started);
        }
        let posed = Posed::of(problem, reg);
        if posed.a.is_empty() {
            return posed.nothing(context, started);
        }
        let cost = problem.cost();
        if let CostKind::Points(points) = cost.kind()
            && self.settings.method == Method::Auto
            && self.settings.is_lazy_for(posed.a.len(), posed.b.len())
        {
            return lazy::solve(&self.settings, &posed, points, context, started);
        }
        if self.settings.arithmetic == Arithmetic::F32 {
            let rule = "is for points without a matrix (`cost` = lazy): plans in memory are made in both, and end in f64";
            return Err(Error::setting("precision", "f32", rule));
        }
        match Matrix::of(cost, &posed.support)? {
            Matrix::F64(data) => self.run(&posed, data, context, started),
            Matrix::F32(data) => self.run(&posed, data, context, started),
            Matrix::Copied(data) => self.run(&posed, &data, context, started),
        }
    }

    fn run<T: Entry>(
        &self,
        posed: &Posed<'_>,
        cost: &[T],
        context: &Context,
        started: Instant,
    ) -> Result<Solution, Error> {
        let problem = posed.problem;
        let dual = Dual {
            cost,
            a: &posed.a,
            b: &posed.b,
            gamma_a: posed.masses.gamma_a,
            gamma_b: posed.masses.gamma_b,
        };
        let range = problem.cost().range();
        // Errors of the image are relative to its own mass, 1.
        let unit = posed.masses.plan / problem.mass();
        let noise = f64::EPSILON * range.max_abs() / posed.reg;
        let tol = self.settings.tol_beside(4.0 * noise);
        let warm = match &context.warm_start {
            Some(warm) => Some(posed.take_in(warm)?),
            None => None,
        };
        let task = Task {
            reg: posed.reg,
            tol: 0.9 * tol / unit,
            spread: range.spread(),
            max_iter: self.settings.max_iter,
            threads: context.threads(),
        };
        let mut history = Vec::new();
        let mut stop = context.interrupted();
        let watched = context.certify == Certify::EveryCheck && context.is_observed();
        let mut last = 0;
        let max_iter = self.settings.max_iter;
        let followed = solve(
            dual,
            task,
            self.settings.method,
            warm.as_deref(),
            &mut |stage, point| {
                last = stage.steps;
                let error = stage.error * unit;
                // On the way down the error of a larger ε says nothing of this one.
                let error = if stage.eps > posed.reg {
                    f64::INFINITY
                } else {
                    error
                };
                let mut progress = Progress {
                    problem: context.problem_index,
                    iteration: stage.steps,
                    part: None,
                    error,
                    tol,
                    certificate: None,
                    elapsed: started.elapsed(),
                };
                if context.keep_history {
                    history.push(Check {
                        iteration: stage.steps,
                        error,
                        elapsed: progress.elapsed,
                    });
                }
                if watched {
                    let parts = posed.implied(point);
                    progress.certificate = parts
                        .ok()
                        .map(|(plan, potentials)| certify(problem, &plan, &potentials));
                }
                if stop.is_none() {
                    stop = context.check(&progress);
                }
                if stop.is_none() && stage.steps >= max_iter {
                    stop = Some(Termination::IterationLimit);
                }
                stop.is_none()
            },
        );
        let Followed {
            mut point,
            end,
            work,
            paid,
            ..
        } = followed;
        let termination = match end {
            End::Converged => Termination::Converged,
            End::Stalled if work.steps >= max_iter => Termination::IterationLimit,
            End::Stalled => Termination::Stalled,
            End::Stopped => stop.unwrap_or(Termination::Stalled),
        };
        // A path that was stopped above `reg` has a plan of its own ε. That of the one asked for follows from its target
        // potentials alone: with both, entries would leave the range of numbers. And so it is where an iteration failed.
        // What a list leaves out may be anything where its potentials are far off.
        let has_ended = end == End::Stalled && paid.is_some() && point.error() < 1e-3;
        let measured = if end == End::Converged || has_ended {
            // Potentials far beyond the cost, where pairs are forbidden or forced, round their sums: the plan is summed then.
            let top = (point.f.iter().chain(&point.g)).fold(0.0_f64, |t, p| t.max(p.abs()));
            if 4.0 * f64::EPSILON * top / posed.reg <= tol {
                posed.measured(&point, paid)
            } else {
                None
            }
        } else {
            point.eps = posed.reg;
            for g in &mut point.g {
                if !g.is_finite() {
                    *g = 0.0;
                }
            }
            fit_rows(&dual, &mut point);
            if !is_in_range(posed, &point) {
                point.g.fill(0.0);
                balance(&dual, &mut point);
                fit_rows(&dual, &mut point);
            }
            None
        };
        let (plan, potentials) = posed.implied(&point)?;
        let outcome = Outcome {
            plan,
            potentials,
            reg: posed.reg,
            termination,
            iterations: Some(work.steps),
            history,
            certificate: None,
        };
        let mut solution = match measured {
            Some(measured) => {
                Solution::assemble_measured(NAME, problem, outcome, measured, started, context)
            }
            None => Solution::assemble(NAME, problem, outcome, started, context),
        };
        let seen = &mut solution.convergence;
        let error = seen.source_error.max(seen.target_error);
        if seen.converged() && error > tol {
            seen.termination = Termination::Stalled;
        }
        if seen.termination == Termination::Stalled && error <= tol {
            seen.termination = Termination::Converged;
        }
        Ok(solution)
    }
}

/// Whether the plan of these potentials has no entry beyond the range of numbers, each row being what f makes it.
fn is_in_range(posed: &Posed<'_>, point: &Point) -> bool {
    let gamma = posed.masses.gamma_a;
    let sent = point.f.iter().map(|f| (-f / gamma).exp());
    point.f.iter().all(|f| f.is_finite()) && sent.sum::<f64>() < 1e150
}

impl<'a> Posed<'a> {
    fn of(problem: &'a Problem, reg: f64) -> Self {
        let support = Support::of(problem);
        let part = |w: &[f64], at: &[u32]| -> (Vec<f64>, f64) {
            let mut part: Vec<f64> = at.iter().map(|&k| w[k as usize]).collect();
            let mass: f64 = ot_kernels::reduce::sum(&part);
            part.iter_mut().for_each(|w| *w /= mass);
            (part, mass)
        };
        let (a, mass_a) = part(problem.a().weights(), &support.rows);
        let (b, mass_b) = part(problem.b().weights(), &support.cols);
        let masses = Masses::of(problem, mass_a, mass_b, reg);
        Self {
            problem,
            support,
            masses,
            a,
            b,
            reg,
        }
    }

    /// Relaxed problems may have no pair at all that could carry mass: the plan is 0.
    fn nothing(&self, context: &Context, started: Instant) -> Result<Solution, Error> {
        let (plan, potentials) = self.implied(&Point::new(0, Vec::new(), self.reg))?;
        let outcome = Outcome {
            plan,
            potentials,
            reg: self.reg,
            termination: Termination::Converged,
            iterations: Some(0),
            history: Vec::new(),
            certificate: None,
        };
        Ok(Solution::assemble(
            NAME,
            self.problem,
            outcome,
            started,
            context,
        ))
    }

    /// Target potentials of a warm start, in the image.
    pub(crate) fn take_in(&self, warm: &Potentials) -> Result<Vec<f64>, Error> {
        let (n, m) = self.problem.shape();
        warm.check(n, m)?;
        let shift = self.masses.shift_b;
        let g = self.support.cols.iter().map(|&j| {
            let g = warm.g[j as usize] + shift;
            if g.is_finite() { g } else { 0.0 }
        });
        Ok(g.collect())
    }

    /// Plan and potentials at `point`, in the caller's units.
    pub(crate) fn implied(&self, point: &Point) -> Result<(Plan, Potentials), Error> {
        let (n, m) = self.problem.shape();
        let (mut f, mut g) = (vec![f64::INFINITY; n], vec![f64::INFINITY; m]);
        let (a, b) = (self.problem.a(), self.problem.b());
        for (potential, weights) in [(&mut f, a.weights()), (&mut g, b.weights())] {
            for (p, w) in potential.iter_mut().zip(weights) {
                if *w == 0.0 {
                    *p = 0.0;
                }
            }
        }
        for (k, &i) in self.support.rows.iter().enumerate() {
            f[i as usize] = point.f[k];
        }
        for (k, &j) in self.support.cols.iter().enumerate() {
            g[j as usize] = point.g[k];
        }
        // The image's potentials: the caller's, shifted by multiples of γ, would cost the plan its digits.
        let Masses {
            a: mass_a,
            b: mass_b,
            plan: mass,
            shift_a,
            shift_b,
            ..
        } = self.masses;
        let unit = mass / mass_a;
        let s: Arc<[f64]> = b.weights().iter().map(|b| b / mass_b * unit).collect();
        let plan = ImplicitPlan::new(
            self.problem.shared_cost(),
            f.as_slice().into(),
            g.as_slice().into(),
            a.shared_weights(),
            s,
            self.reg,
        )?;
        for &i in &self.support.rows {
            f[i as usize] -= shift_a;
        }
        for &j in &self.support.cols {
            g[j as usize] -= shift_b;
        }
        Ok((plan.into(), Potentials::new(f, g)))
    }

    /// Marginals and cost in the caller's units, where the cost is known.
    pub(crate) fn measured(&self, point: &Point, paid: Option<f64>) -> Option<Measured> {
        let transport_cost = paid? * self.masses.plan;
        let (n, m) = self.problem.shape();
        let (mut sent, mut received) = (vec![0.0; n], vec![0.0; m]);
        for (k, &i) in self.support.rows.iter().enumerate() {
            sent[i as usize] = self.masses.plan * point.sent[k];
        }
        for (k, &j) in self.support.cols.iter().enumerate() {
            received[j as usize] = self.masses.plan * point.received[k];
        }
        Some(Measured {
            sent,
            received,
            transport_cost,
        })
    }
}

impl Solver for SinkhornStabilized {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::of(&[
            Capability::Balanced,
            Capability::Relaxed,
            Capability::Entropic,
            Capability::ForbiddenPairs,
            Capability::GridCost,
            Capability::LazyCost,
            Capability::WarmStart,
            Capability::Interruptible,
            Capability::Deterministic,
        ])
    }

    fn solve_with(&self, problem: &Problem, context: &mut Context) -> Result<Solution, Error> {
        let context = &*context;
        context.install(|| self.solve_with_reference(problem, context))
    }
}
