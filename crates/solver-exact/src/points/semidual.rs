//! The entropic semi-dual on a graph of near pairs, with a temperature of its own for each source, and Newton steps up it.
//!
//! With ε_i and only the listed pairs, f_i(g) = −ε_i log Σ_j exp((g_j − c_ij)/ε_i), and
//! D(g) = Σ a_i f_i(g) + Σ b_j g_j is concave. P_ij = a_i exp((f_i + g_j − c_ij)/ε_i) has the right row sums;
//! ∇D = b − Pᵀ1 and −∇²D = Σ_i (diag(p_i) − p_i p_iᵀ/a_i)/ε_i, a Laplacian on the targets (Cuturi and Peyré, *Semidual
//! regularized optimal transport*, 2018; one ε for all there).
//!
//! Newton steps converge only near the maximum: a target that gets far too much or too little has almost no curvature,
//! and its step goes beyond where its senders have other choices. So each target's move *against its group* is held back by a
//! diagonal; groups move as the Hessian says. (Held back for themselves, targets keep whole regions where they are: the
//! error then falls, and the dual stays half a percent below its maximum, which costs the simplex a hundred thousand
//! pivots.)

use std::ops::Range;

use ot_kernels::exp::exp_in_place;

use super::graph::Graph;
use super::levels::Levels;
use super::shares::Shares;

/// Sources whose exponentials are computed in one call.
const BLOCK: usize = 64;
/// Targets of a group, as a shift: aligned runs in kd-order. Measured on 100 000 points: with 16 and 64 of them the
/// coldest problems are not solved, with 256 each takes two steps.
pub(super) const HELD: u32 = 8;
/// How many temperatures of its senders a target may be moved against its group, by the diagonal; and at most.
const REACH: f64 = 3.0;
const FARTHEST: f64 = 9.0;
/// How many widths of its senders' lists a group may be moved against all others: lists say nothing beyond.
const WIDE: f64 = 2.0;
/// Products of conjugate gradients at most, and the part of the residual that is left.
const PRODUCTS: usize = 60;
const LEFT: f64 = 0.1;
/// Shorter steps that are tried where a whole one leads down.
const TRIALS: usize = 6;

/// Masses of both sides in kd-order, and the graph between them.
#[derive(Clone, Copy)]
pub(super) struct Posed<'a> {
    pub(super) a: &'a [f64],
    pub(super) b: &'a [f64],
    pub(super) graph: &'a Graph,
}

/// Where the ascent stands, and its memory: 8 bytes a pair and some vectors.
#[derive(Debug, Default)]
pub(super) struct Semidual {
    /// 1/ε_i, and the mean ε.
    cold: Vec<f64>,
    mean: f64,
    /// Temperatures as a part of the widths.
    part: f64,
    /// The Hessian is that of (1 − mix)·p plus as much of an even plan on each list: what exchanges next to nothing with what is
    /// around it has no curvature, and would be sent as far as steps may go. 0 where nothing goes wrong, as it takes more steps
    /// for long waves.
    pub(super) mix: f64,
    /// The plan on the graph.
    plan: Vec<f64>,
    /// b − Pᵀ1.
    residual: Vec<f64>,
    value: f64,
    /// Σ|b − Pᵀ1|.
    error: f64,
    /// Of each target: the mean ε of its senders, the Hessian's diagonal, what is added to it, and what it gets.
    reach: Vec<f64>,
    diagonal: Vec<f64>,
    held: Vec<f64>,
    got: Vec<f64>,
    step: Vec<f64>,
    trial: Vec<f64>,
    /// Reach, diagonal and what it gets, one after the other, while they are added up.
    sums: Vec<f64>,
    inner: Inner,
    levels: Levels,
    shares: Shares,
}

/// Vectors of the conjugate gradients.
#[derive(Debug, Default)]
struct Inner {
    r: Vec<f64>,
    z: Vec<f64>,
    p: Vec<f64>,
    q: Vec<f64>,
}

impl Semidual {
    /// Temperatures of `part` of each source's width, and a look at g.
    pub(super) fn cool(&mut self, posed: Posed<'_>, g: &[f64], part: f64) {
        let widths = &posed.graph.width;
        self.part = part;
        self.cold.clear();
        self.cold.extend(widths.iter().map(|w| 1.0 / (part * w)));
        self.mean = part * widths.iter().sum::<f64>() / widths.len() as f64;
        self.shares.divide(posed.graph);
        self.look(posed, g);
    }

    /// Σ|b − Pᵀ1|.
    pub(super) fn error(&self) -> f64 {
        self.error
    }

    /// The semi-dual at the last look.
    pub(super) fn value(&self) -> f64 {
        self.value
    }

    /// Plan, residual, value and error at g.
    fn look(&mut self, posed: Posed<'_>, g: &[f64]) {
        let Posed { a, b, graph } = posed;
        self.plan.resize(graph.target.len(), 0.0);
        self.residual.clear();
        self.residual.extend_from_slice(b);
        let (mut value, cold) = (0.0, &self.cold);
        let look = |sources: Range<usize>, plan: &mut [f64], residual: &mut [f64]| {
            let first = graph.rows(sources.clone()).start;
            let place = |row: Range<usize>| row.start - first..row.end - first;
            let mut value = 0.0;
            let mut least = [0.0; BLOCK];
            for from in sources.clone().step_by(BLOCK) {
                let to = sources.end.min(from + BLOCK);
                for i in from..to {
                    let row = graph.row(i);
                    let plan = &mut plan[place(row.clone())];
                    let pairs = graph.target[row.clone()].iter().zip(&graph.cost[row]);
                    let mut low = f64::INFINITY;
                    for (p, (&j, c)) in plan.iter_mut().zip(pairs) {
                        *p = c - g[j as usize];
                        low = low.min(*p);
                    }
                    for p in plan {
                        *p = (low - *p) * cold[i];
                    }
                    least[i - from] = low;
                }
                exp_in_place(&mut plan[place(graph.rows(from..to))]);
                for i in from..to {
                    let row = graph.row(i);
                    let plan = &mut plan[place(row.clone())];
                    let sum: f64 = plan.iter().sum();
                    value += a[i] * (least[i - from] - sum.ln() / cold[i]);
                    let scale = a[i] / sum;
                    for (p, &j) in plan.iter_mut().zip(&graph.target[row]) {
                        *p *= scale;
                        residual[j as usize] -= *p;
                    }
                }
            }
            value
        };
        let (plan, residual) = (&mut self.plan[..], &mut self.residual[..]);
        self.shares.add(graph, plan, residual, look, |v| value += v);
        self.error = self.residual.iter().map(|r| r.abs()).sum();
        self.value = value + b.iter().zip(g).map(|(b, g)| b * g).sum::<f64>();
    }

    /// What holds each target back.
    fn hold(&mut self, posed: Posed<'_>) {
        let (m, mix) = (posed.b.len(), self.mix);
        self.sums.clear();
        self.sums.resize(3 * m, 0.0);
        let (plan, cold, graph) = (&self.plan, &self.cold, posed.graph);
        let hold = |sources: Range<usize>, _: &mut [f64], sums: &mut [f64]| {
            let (reach, rest) = sums.split_at_mut(m);
            let (diagonal, got) = rest.split_at_mut(m);
            for i in sources {
                let (row, cold) = (graph.row(i), cold[i]);
                let share = 1.0 / posed.a[i];
                let base = mix * posed.a[i] / row.len() as f64;
                for (p, &j) in plan[row.clone()].iter().zip(&graph.target[row]) {
                    let j = j as usize;
                    reach[j] += cold * p;
                    let w = (1.0 - mix) * p + base;
                    diagonal[j] += cold * w * (1.0 - w * share);
                    got[j] += p;
                }
            }
        };
        self.shares
            .add(graph, &mut [], &mut self.sums, hold, |()| {});
        for (k, out) in [&mut self.reach, &mut self.diagonal, &mut self.got]
            .into_iter()
            .enumerate()
        {
            out.clear();
            out.extend_from_slice(&self.sums[k * m..(k + 1) * m]);
        }
        for (reach, got) in self.reach.iter_mut().zip(&self.got) {
            *reach = if *reach > 0.0 {
                got / *reach
            } else {
                self.mean
            };
        }
        self.held.clear();
        let residual = self.residual.iter().zip(&self.reach);
        self.held
            .extend(residual.map(|(r, reach)| r.abs() / (REACH * reach)));
    }

    /// q = (−∇²D + what holds back) p.
    fn product(&mut self, posed: Posed<'_>) {
        let graph = posed.graph;
        let mix = self.mix;
        let (x, out) = (&self.inner.p, &mut self.inner.q);
        out.clear();
        let groups = x.chunks(1 << HELD).zip(self.held.chunks(1 << HELD));
        for (x, held) in groups {
            let (mut sum, mut all) = (0.0, 0.0);
            for (x, h) in x.iter().zip(held) {
                sum += h * x;
                all += h;
            }
            let mean = if all > 0.0 { sum / all } else { 0.0 };
            out.extend(x.iter().zip(held).map(|(x, h)| h * (x - mean)));
        }
        let (plan, cold) = (&self.plan, &self.cold);
        let multiply = |sources: Range<usize>, _: &mut [f64], out: &mut [f64]| {
            for i in sources {
                let (row, cold) = (graph.row(i), cold[i]);
                let (plan, targets) = (&plan[row.clone()], &graph.target[row]);
                let base = mix * posed.a[i] / targets.len() as f64;
                let mut sum = 0.0;
                for (p, &j) in plan.iter().zip(targets) {
                    sum += ((1.0 - mix) * p + base) * x[j as usize];
                }
                let mean = sum / posed.a[i];
                for (p, &j) in plan.iter().zip(targets) {
                    out[j as usize] += cold * ((1.0 - mix) * p + base) * (x[j as usize] - mean);
                }
            }
        };
        self.shares.add(graph, &mut [], out, multiply, |()| {});
    }

    /// The Newton step, by preconditioned conjugate gradients.
    fn direction(&mut self, posed: Posed<'_>) {
        self.hold(posed);
        let levels = &mut self.levels;
        let (plan, cold, held) = (&self.plan, &self.cold, &self.held);
        levels.set(posed, plan, cold, held, self.mix, &mut self.shares);
        self.step.clear();
        self.step.resize(posed.b.len(), 0.0);
        self.inner.r.clear();
        self.inner.r.extend_from_slice(&self.residual);
        self.levels.apply(&self.inner.r, &mut self.inner.z);
        self.inner.p.clear();
        self.inner.p.extend_from_slice(&self.inner.z);
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let mut rz = dot(&self.inner.r, &self.inner.z);
        let goal = LEFT * LEFT * rz;
        for _ in 0..PRODUCTS {
            self.product(posed);
            let curvature = dot(&self.inner.p, &self.inner.q);
            let length = rz / curvature;
            if !(curvature > 0.0 && length.is_finite()) {
                return;
            }
            let Inner { r, z, p, q } = &mut self.inner;
            for ((s, p), (r, q)) in self.step.iter_mut().zip(&*p).zip(r.iter_mut().zip(&*q)) {
                *s += length * p;
                *r -= length * q;
            }
            self.levels.apply(r, z);
            let next = dot(r, z);
            if next <= goal || next.is_nan() {
                return;
            }
            let beta = next / rz;
            rz = next;
            for (p, z) in p.iter_mut().zip(&*z) {
                *p = z + beta * *p;
            }
        }
    }

    /// A Newton step from g, where the last look was; `false` where it led nowhere, and g is what it was.
    pub(super) fn ascend(&mut self, posed: Posed<'_>, g: &mut [f64]) -> bool {
        self.direction(posed);
        let overall = self.step.iter().sum::<f64>() / self.step.len() as f64;
        let groups = self.step.chunks_mut(1 << HELD);
        let wide = WIDE / self.part;
        for (steps, reach) in groups.zip(self.reach.chunks(1 << HELD)) {
            let len = steps.len() as f64;
            let mean = steps.iter().sum::<f64>() / len - overall;
            let width = wide * reach.iter().sum::<f64>() / len;
            let moved = mean.clamp(-width, width);
            for (s, reach) in steps.iter_mut().zip(reach) {
                let most = FARTHEST * reach;
                *s = moved + (*s - overall - mean).clamp(-most, most);
            }
        }
        let before = self.value;
        let mut length = 1.0;
        for _ in 0..TRIALS {
            let mut trial = std::mem::take(&mut self.trial);
            trial.clear();
            trial.extend(g.iter().zip(&self.step).map(|(g, s)| g + length * s));
            self.look(posed, &trial);
            let higher = self.value > before;
            if higher {
                g.copy_from_slice(&trial);
            }
            self.trial = trial;
            if higher {
                return true;
            }
            length *= 0.25;
        }
        self.look(posed, g);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::points::testing::{clouds, graph_of};

    #[test]
    fn the_residual_is_the_gradient_and_products_are_its_derivative() {
        let (x, y) = clouds(60, 50, 2, 3);
        let mut g: Vec<f64> = (0..y.len()).map(|j| 0.01 * (j as f64).sin()).collect();
        let graph = graph_of(&x, &y, &g);
        let posed = Posed {
            a: &x.weights,
            b: &y.weights,
            graph: &graph,
        };
        let mut semi = Semidual::default();
        semi.cool(posed, &g, 0.3);
        semi.hold(posed);
        semi.held.fill(0.0);
        let (gradient, h) = (semi.residual.clone(), 1e-6);
        for j in 0..y.len() {
            let mut probe = |by: f64| {
                let at = g[j];
                g[j] = at + by;
                semi.look(posed, &g);
                g[j] = at;
                (semi.value, semi.residual.clone())
            };
            let (up, down) = (probe(h), probe(-h));
            let slope = (up.0 - down.0) / (2.0 * h);
            assert!(
                (slope - gradient[j]).abs() < 1e-7,
                "{slope} {}",
                gradient[j]
            );
            semi.look(posed, &g);
            semi.inner.p = (0..y.len()).map(|k| f64::from(u8::from(k == j))).collect();
            semi.product(posed);
            for (k, q) in semi.inner.q.iter().enumerate() {
                let curvature = -(up.1[k] - down.1[k]) / (2.0 * h);
                assert!(
                    (q - curvature).abs() < 1e-4 * (1.0 + q.abs()),
                    "{q} {curvature}"
                );
            }
        }
    }

    #[test]
    fn steps_go_up_to_the_right_marginals() {
        let (x, y) = clouds(300, 300, 2, 5);
        let mut g = vec![0.0; y.len()];
        let graph = graph_of(&x, &y, &g);
        let mut semi = Semidual::default();
        // Marginals that a plan on these pairs has: those of other potentials.
        let goal: Vec<f64> = (0..y.len())
            .map(|j| 0.01 * (7.0 * j as f64).sin())
            .collect();
        let posed = |b| Posed {
            a: &x.weights,
            b,
            graph: &graph,
        };
        semi.cool(posed(&y.weights), &goal, 0.3);
        let b: Vec<f64> = y
            .weights
            .iter()
            .zip(&semi.residual)
            .map(|(b, r)| b - r)
            .collect();
        semi.cool(posed(&b), &g, 0.3);
        for _ in 0..30 {
            let before = semi.value;
            if !semi.ascend(posed(&b), &mut g) {
                break;
            }
            assert!(semi.value > before);
        }
        assert!(semi.error < 1e-6, "{}", semi.error);
    }
}
