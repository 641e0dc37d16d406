//! KL-relaxed marginals: from a problem to a solution.
//!
//! min ⟨P, C⟩ + ε·KL(P ‖ a⊗b) + γa·KL(P1 ‖ a) + γb·KL(Pᵀ1 ‖ b) in the caller's units of mass. One of the γ may be ∞.
//! The iteration is in `iterate.rs`; what a side brings to it is in `side.rs`.
//!
//! Source: Chizat, Peyré, Schmitzer, Vialard, *Scaling algorithms for unbalanced optimal transport* (2018); the shift
//! between the potentials: Séjourné, Vialard, Peyré, *Faster unbalanced optimal transport: translation invariant
//! Sinkhorn and 1-D Frank-Wolfe* (2022).

mod iterate;
mod side;

use std::sync::Arc;
use std::time::Instant;

use solver_api::{
    Capability, Certify, Context, Error, ImplicitPlan, Measured, Outcome, Plan, Potentials,
    Problem, Solution, Solver, Termination, certify, check_feasible,
};

pub(crate) use self::iterate::Pair;
use self::iterate::{Sides, iterate};
use self::side::Side;
use crate::iterate::Ended;
use crate::kernel::{Kernel, Rows, Stored, Support};
use crate::solve::{ENTRIES_TO_SHARE, Workspace, resolve_reg, warm_start};
use crate::{NAME, Sinkhorn};

impl Sinkhorn {
    /// Solves one relaxed problem on `threads` threads of the current pool.
    ///
    /// Time O(n·m) an iteration, memory O(n + m) and a kernel.
    pub(crate) fn solve_relaxed<T: Stored>(
        &self,
        problem: &Problem,
        (gamma_a, gamma_b): (f64, f64),
        context: &Context,
        threads: usize,
        work: &mut Workspace<T>,
    ) -> Result<Solution, Error> {
        let started = Instant::now();
        self.capabilities().require(NAME, problem)?;
        check_feasible(problem)?;
        let reg = resolve_reg(self.settings(), problem)?;
        check_product(problem, reg)?;
        let (a, b) = (problem.a().weights(), problem.b().weights());
        let Workspace {
            support,
            kernel,
            pair,
            ..
        } = work;
        support.select(problem.shape(), |i| a[i] > 0.0, |j| b[j] > 0.0);
        kernel.build(problem.cost(), support, reg, Rows::Aligned)?;
        let (n, m) = support.shape();
        let sides = Sides {
            a: Side::new("gamma_a", gamma_a, a, &support.rows, &kernel.r, reg, n)?,
            b: Side::new(
                "gamma_b",
                gamma_b,
                b,
                &support.cols,
                &kernel.c,
                reg,
                kernel.width,
            )?,
            mass: problem.mass(),
        };
        let share = n.saturating_mul(m) >= ENTRIES_TO_SHARE;
        pair.start(n, kernel.width, if share { threads } else { 1 });
        if let Some(warm) = &context.warm_start {
            let stretch = 1.0 + sides.b.ratio;
            warm_start(warm, problem, support, kernel, stretch, &mut pair.t)?;
        }
        let limits =
            self.limits_or_refusal(problem, support, kernel, kernel.noise() + sides.noise())?;
        let watched = context.certify == Certify::EveryCheck && context.is_observed();
        let ended = if n == 0 || m == 0 {
            // No pair is allowed, and no side is hard: nothing moves.
            Ok(Ended {
                termination: Termination::Converged,
                iterations: 0,
                history: Vec::new(),
            })
        } else {
            iterate(
                kernel,
                &sides,
                pair,
                limits,
                context,
                started,
                |pair, progress| {
                    if watched {
                        let parts = implied(problem, support, kernel, &sides, pair);
                        progress.certificate = parts
                            .ok()
                            .map(|(plan, potentials)| certify(problem, &plan, &potentials));
                    }
                },
            )
        };
        let (ended, measured) = match ended {
            Ok(ended) => (ended, measure(problem, support, kernel, &sides, pair)),
            Err(out) => {
                let refusal = kernel.refusal(problem.cost(), support, 1.0, out.reason);
                if !matches!(refusal, Error::KernelUnderflow { safe_reg, .. } if safe_reg <= reg) {
                    return Err(refusal);
                }
                // No larger reg would help: it is the masses or γ that leave the range.
                return Err(Error::Unsupported {
                    solver: NAME.to_owned(),
                    needs: "scalings beyond the range of numbers, which these masses and γ lead to"
                        .to_owned(),
                    instead: vec!["sinkhorn-stabilized".to_owned()],
                });
            }
        };
        sides.check_shift(pair.shift(&sides), problem, limits.tol)?;
        let (plan, potentials) = implied(problem, support, kernel, &sides, pair)?;
        let outcome = Outcome {
            plan,
            potentials,
            reg,
            termination: ended.termination,
            iterations: Some(ended.iterations),
            history: ended.history,
            certificate: None,
        };
        let solution = match measured {
            Some(measured) => {
                Solution::assemble_measured(NAME, problem, outcome, measured, started, context)
            }
            None => Solution::assemble(NAME, problem, outcome, started, context),
        };
        self.confirm(solution, problem, support, kernel)
    }
}

/// KL(P ‖ a⊗b) holds the product of the masses.
fn check_product(problem: &Problem, reg: f64) -> Result<(), Error> {
    let (a, b) = (problem.a().mass(), problem.b().mass());
    if reg * a.max(b) * a.min(b) <= Problem::LARGEST_VALUE {
        return Ok(());
    }
    let rule = format!(
        "times the product of the masses, {a:e} and {b:e}, must be at most {:e}: it is a part of the objective of \
         a problem with `{}` marginals",
        Problem::LARGEST_VALUE,
        Capability::Relaxed
    );
    Err(Error::setting("reg", reg, rule))
}

/// Marginals and cost of the plan from the last iteration and one pass over kernel and cost: no exponentials. Nothing
/// with an f32 kernel, nor where a number that the kernel lacks might count.
fn measure<T: Stored>(
    problem: &Problem,
    support: &Support,
    kernel: &Kernel<T>,
    sides: &Sides,
    pair: &Pair,
) -> Option<Measured> {
    let sum_u: f64 = pair.u.iter().sum();
    if kernel.may_miss(sum_u / pair.sent, pair.v.iter().sum()) {
        return None;
    }
    let unit = pair.mass(sides) / pair.sent;
    let paid = unit * kernel.price(problem.cost(), support, &pair.u, &pair.v)?;
    if !(paid.is_finite() && unit.is_finite()) {
        return None;
    }
    let (n, m) = problem.shape();
    let (mut sent, mut received) = (vec![0.0; n], vec![0.0; m]);
    for ((&i, u), s) in support.rows.iter().zip(&pair.u).zip(&pair.s) {
        sent[i as usize] = unit * (u * s);
    }
    for ((&j, v), t) in support.cols.iter().zip(&pair.v).zip(&pair.next_t) {
        received[j as usize] = unit * (v * t);
    }
    Some(Measured {
        sent,
        received,
        transport_cost: paid,
    })
}

/// Plan and potentials of the pair that was measured: f = τa (r − ε log s) and g = τb (c − ε log t) with the best shift
/// between them. Entries without an allowed partner have the potential +∞.
///
/// The plan has potentials of its own, whose exponents are of size 1 whatever the masses are, and which that shift is no
/// part of: for large γ it may be large beside ε.
fn implied<T: Stored>(
    problem: &Problem,
    support: &Support,
    kernel: &Kernel<T>,
    sides: &Sides,
    pair: &Pair,
) -> Result<(Plan, Potentials), Error> {
    let (n, m) = problem.shape();
    let (a, b, reg) = (problem.a(), problem.b(), kernel.reg);
    let alone = |w: &[f64]| -> Vec<f64> {
        let one = |w: &f64| if *w > 0.0 { f64::INFINITY } else { 0.0 };
        w.iter().map(one).collect()
    };
    let (mut f, mut g) = (alone(a.weights()), alone(b.weights()));
    let (mut own_f, mut own_g) = (f.clone(), g.clone());
    let shift = pair.shift(sides);
    for ((&i, r), s) in support.rows.iter().zip(&kernel.r).zip(&pair.s) {
        let power = sides.a.power;
        let soft = power * (r - reg * s.ln());
        f[i as usize] = soft - reg * power * shift;
        own_f[i as usize] = soft;
    }
    let top = sides.b.top;
    let own_shift = a.mass().ln() + b.mass().ln()
        - sides.a.top
        - sides.b.top
        - pair.sent.max(f64::MIN_POSITIVE).ln();
    for ((&j, c), t) in support.cols.iter().zip(&kernel.c).zip(&pair.t) {
        let soft = sides.b.power * (c - reg * t.ln());
        g[j as usize] = soft + reg * (shift - top);
        own_g[j as usize] = soft + reg * own_shift;
    }
    debug_assert_eq!((f.len(), g.len()), (n, m));
    let (moved, total) = (pair.mass(sides), b.mass());
    let part: Arc<[f64]> = a.weights().iter().map(|w| w / a.mass() * moved).collect();
    let plan = ImplicitPlan::new(
        problem.shared_cost(),
        own_f.into(),
        own_g.into(),
        part,
        b.weights().iter().map(|w| w / total).collect(),
        reg,
    )?;
    Ok((plan.into(), Potentials::new(f, g)))
}
