//! The adjoint of the iterations, from the last to the first.

use ot_kernels::exp::gibbs_row;
use ot_kernels::linear::{add_scaled, product_sum};
use solver_api::{Error, PlanRow, Problem};

use super::pass::{Forward, NEAR, Room, Sink, left_range};
use super::{UnrolledGradient, Wanted};
use crate::input::points_of;
use crate::objective::WeightGradient;
use crate::points::{ChainRule, CostGradient};
use crate::rows::sum_into;

/// The potentials of one iteration: g, the f made of it, and the next g made of that.
struct Stage {
    f: Vec<f64>,
    g: Vec<f64>,
    next: Vec<f64>,
}

/// ∂W_L/∂C as its factors: Σ over iterations of ḡ⁺_j σ_ij − a_i q_i π_ij, and the plan's own part.
#[derive(Debug, Clone)]
pub struct FactoredCostGradient {
    problem: Problem,
    reg: f64,
    /// Of the last iteration: f, g, and the mean cost of each row.
    end: [Vec<f64>; 3],
    /// f, g, g⁺, ḡ⁺, q of each iteration, the last first; β is v_0 in the first one and b elsewhere.
    steps: Vec<[Vec<f64>; 5]>,
}

pub(super) fn run(
    mut forward: Forward<'_>,
    steps: usize,
    wanted: Wanted,
) -> Result<UnrolledGradient, Error> {
    let problem = forward.problem;
    let (n, m) = problem.shape();
    let every = (steps as f64).sqrt().ceil() as usize;
    let mut kept = Vec::with_capacity(steps.div_ceil(every));
    for l in 0..steps {
        if l % every == 0 {
            kept.push(forward.g.clone());
        }
        forward.step()?;
    }
    let chain = if wanted == Wanted::Points {
        Some(ChainRule::of(points_of(problem)?)?)
    } else {
        None
    };
    let sink = match &chain {
        Some(chain) => Sink::Points(chain),
        None if wanted == Wanted::Cost => Sink::Dense,
        None => Sink::None,
    };
    forward.prepare(&sink);
    let end = forward.finish(&sink)?;
    let mut factored = (wanted == Wanted::FactoredCost).then(|| FactoredCostGradient {
        problem: problem.clone(),
        reg: forward.reg,
        end: [forward.f.clone(), forward.g.clone(), end.means.clone()],
        steps: Vec::with_capacity(steps),
    });
    let mut weights = WeightGradient {
        a: end.means,
        b: end.columns,
    };
    let b = problem.b().weights();
    let inv_eps = 1.0 / forward.reg;
    let mut g_bar: Vec<f64> = (weights.b.iter().zip(b))
        .map(|(c, b)| b * c * inv_eps)
        .collect();
    let vectors = || vec![0.0; m];
    let (mut h, mut columns) = (vectors(), vectors());
    let mut stages: Vec<Stage> = (0..every)
        .map(|_| Stage {
            f: vec![0.0; n],
            g: vectors(),
            next: vectors(),
        })
        .collect();
    for (segment, start) in kept.iter().enumerate().rev() {
        let first = segment * every;
        let count = every.min(steps - first);
        forward.rewind(first, start);
        for stage in &mut stages[..count] {
            stage.g.copy_from_slice(&forward.g);
            forward.step()?;
            stage.f.copy_from_slice(&forward.f);
            stage.next.copy_from_slice(&forward.g);
        }
        for (k, stage) in stages[..count].iter().enumerate().rev() {
            let is_first = first + k == 0;
            forward.back(stage, is_first, &g_bar, &mut h, &mut columns, &sink);
            // a: each column update takes ε q_i.
            let mut at = 0;
            for room in forward.chunks.rooms() {
                for q in &room.own {
                    weights.a[at] -= forward.reg * q;
                    at += 1;
                }
            }
            if let Some(factored) = &mut factored {
                let q = forward
                    .chunks
                    .rooms()
                    .iter()
                    .flat_map(|room| room.own.iter().copied());
                let (f, g, next) = (stage.f.clone(), stage.g.clone(), stage.next.clone());
                factored
                    .steps
                    .push([f, g, next, g_bar.clone(), q.collect()]);
            }
            if is_first {
                break;
            }
            for j in 0..m {
                weights.b[j] -= forward.reg * columns[j];
                g_bar[j] = -b[j] * columns[j];
            }
        }
    }
    let infinite = |w: &[f64]| {
        w.iter()
            .zip(&weights.a)
            .all(|(w, d)| *w == 0.0 || d.is_finite())
    };
    let nan = weights.a.iter().chain(&weights.b).any(|d| d.is_nan());
    if nan || !infinite(problem.a().weights()) {
        return Err(left_range(forward.reg));
    }
    let rooms = forward.chunks.into_rooms();
    let (mut cost, mut points) = (None, None);
    match &sink {
        Sink::None => {}
        Sink::Dense => cost = Some(rooms.iter().flat_map(|r| r.dense.iter().copied()).collect()),
        Sink::Points(chain) => {
            points = Some(chain.total(rooms.into_iter().filter_map(|room| room.pulls)));
        }
    }
    Ok(UnrolledGradient {
        transport_cost: end.transport_cost,
        weights,
        cost,
        factored,
        points,
    })
}

/// h_j = ḡ⁺_j e^{(g⁺_j − g_j)/ε}, and whether all these factors are near enough to 1 to be used.
fn column_factors(stage: &Stage, g_bar: &[f64], inv_eps: f64, h: &mut [f64]) -> bool {
    let mut near = true;
    for (((h, bar), next), g) in h.iter_mut().zip(g_bar).zip(&stage.next).zip(&stage.g) {
        // A silent column has no adjoint.
        if *bar == 0.0 {
            *h = 0.0;
            continue;
        }
        let moved = (next - g) * inv_eps;
        near &= moved.abs() < NEAR;
        *h = bar * moved.exp();
    }
    near
}

impl Forward<'_> {
    /// Makes room for the gradient in C, as wanted.
    fn prepare(&mut self, sink: &Sink<'_>) {
        let m = self.g.len();
        self.chunks.pass(|room, rows| match sink {
            Sink::None => {}
            Sink::Dense => {
                room.row = vec![0.0; m];
                room.dense = vec![0.0; rows.len() * m];
            }
            Sink::Points(chain) => {
                room.row = vec![0.0; m];
                room.pulls = Some(chain.pulls(rows));
            }
        });
    }

    /// One iteration backwards: from ḡ⁺ to q_i = Σ_j ḡ⁺_j σ_ij/a_i in the rooms' `own`, and Σ_i f̄_i π_ij/β_j in `columns`,
    /// with f̄_i = −a_i q_i.
    fn back(
        &mut self,
        stage: &Stage,
        is_first: bool,
        g_bar: &[f64],
        h: &mut [f64],
        columns: &mut [f64],
        sink: &Sink<'_>,
    ) {
        let (cost, a) = (self.problem.cost(), self.problem.a().weights());
        let inv_eps = 1.0 / self.reg;
        let near = column_factors(stage, g_bar, inv_eps, h);
        let ones;
        let beta = if is_first {
            ones = vec![1.0; h.len()];
            &ones
        } else {
            self.problem.b().weights()
        };
        let h = &*h;
        let wanted = !matches!(sink, Sink::None);
        self.chunks.pass(|room, rows| {
            room.columns.fill(0.0);
            let first = rows.start;
            for i in rows {
                let at = i - first;
                room.own[at] = 0.0;
                if !stage.f[i].is_finite() {
                    continue;
                }
                let Room {
                    columns,
                    own,
                    e,
                    c,
                    row,
                    ..
                } = &mut *room;
                cost.row(i, c);
                if near {
                    gibbs_row(c, stage.f[i], &stage.g, inv_eps, e);
                    own[at] = product_sum(h, e);
                    if wanted {
                        row.iter_mut()
                            .zip(h)
                            .zip(&*e)
                            .for_each(|((r, h), e)| *r = h * e);
                    }
                } else {
                    // Two exponentials: σ beside the next g, π beside this one.
                    gibbs_row(c, stage.f[i], &stage.next, inv_eps, e);
                    own[at] = product_sum(g_bar, e);
                    if wanted {
                        row.iter_mut()
                            .zip(g_bar)
                            .zip(&*e)
                            .for_each(|((r, h), e)| *r = h * e);
                    }
                    gibbs_row(c, stage.f[i], &stage.g, inv_eps, e);
                }
                let q = own[at];
                add_scaled(-a[i] * q, e, columns);
                if wanted {
                    for ((r, e), beta) in row.iter_mut().zip(&*e).zip(beta) {
                        *r = a[i] * (*r - q * beta * e);
                    }
                    room.give(i, first, sink);
                }
            }
        });
        sum_into(
            columns,
            self.chunks.rooms().iter().map(|room| &room.columns[..]),
        );
    }
}

impl CostGradient for FactoredCostGradient {
    fn shape(&self) -> (usize, usize) {
        self.problem.shape()
    }

    fn scratch(&self) -> Vec<f64> {
        vec![0.0; 3 * self.problem.shape().1]
    }

    fn row<'a>(&'a self, i: usize, scratch: &'a mut [f64]) -> PlanRow<'a> {
        let m = self.problem.shape().1;
        let (out, rest) = scratch.split_at_mut(m);
        let (c, e) = rest.split_at_mut(m);
        self.problem.cost().row(i, c);
        let (a, b) = (self.problem.a().weights()[i], self.problem.b().weights());
        let inv_eps = 1.0 / self.reg;
        let [f, g, means] = &self.end;
        out.fill(0.0);
        if a == 0.0 || !f[i].is_finite() {
            return PlanRow::Dense(out);
        }
        gibbs_row(c, f[i], g, inv_eps, e);
        for j in (0..m).filter(|&j| b[j] > 0.0 && c[j] < f64::INFINITY) {
            out[j] = a * b[j] * e[j] * (1.0 - (c[j] - means[i]) * inv_eps);
        }
        for (k, [f, g, next, g_bar, q]) in self.steps.iter().enumerate() {
            if !f[i].is_finite() {
                continue;
            }
            let is_first = k + 1 == self.steps.len();
            gibbs_row(c, f[i], next, inv_eps, e);
            for ((out, e), bar) in out.iter_mut().zip(&*e).zip(g_bar) {
                *out += a * bar * e;
            }
            gibbs_row(c, f[i], g, inv_eps, e);
            for ((out, e), b) in out.iter_mut().zip(&*e).zip(b) {
                *out -= a * q[i] * if is_first { *e } else { b * e };
            }
        }
        PlanRow::Dense(out)
    }
}
