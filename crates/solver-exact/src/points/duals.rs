//! Starting duals: exact on a few hundred groups, then level by level and temperature by temperature.
//!
//! What decides about the simplex that follows is that the *long waves* of the duals are right: they come from the coarse
//! levels, where they are short.

use std::time::Instant;

use ot_kernels::reduce::dot;

use super::graph::{Fields, Graph};
use super::hierarchy::Cloud;
use super::meter::{Meter, Part};
use super::semidual::{Posed, Semidual};
use super::sweep::transform;
use super::watch::Watch;
use crate::network_simplex::dense;

/// Temperatures as parts of the width of a source's list: the first, and how the next follows.
const FIRST: f64 = 0.3;
const COOLING: f64 = 0.5;
/// Down to here lists are made anew after each temperature: potentials move further than lists are wide until then.
const RELISTED: f64 = 0.1;
/// The last temperature on the levels above the finest, whose duals are only starting points, and on that itself: with
/// equal weights paths along tight pairs follow, with others the forest of the plan, which is the better the colder.
/// (Measured, 100 000 points in the plane: 0.02, 0.005, 0.001 leave 32 000, 21 000, 10 000 pivots to other weights.)
const LAST_ABOVE: f64 = 0.03;
const LAST_EQUAL: f64 = 0.03;
pub(super) const LAST: f64 = 0.001;
/// Marginal error, as a part of the mass, at which a temperature is done, and steps it may take.
const DONE: f64 = 1e-2;
const STEPS: usize = 6;
/// Steps that say that all goes well.
const EASY: usize = 4;
/// An error beyond this after all steps says that the lists do not hold a plan.
const LOST: f64 = 0.2;
/// An error, as a part of the mass, after which steps go on at the next temperature without new lists, and how often there are
/// lists for one temperature.
const HELD: f64 = 0.02;
const ATTEMPTS: usize = 4;
/// How even the plan is made in the Hessian once that was needed: see [`Semidual::mix`].
const MIXED: f64 = 0.1;
/// How far potentials go on the way they went from one temperature to the next: they are nearly linear in ε.
const ONWARD: f64 = COOLING;

/// Pairs up to which a level whose lists hold no plan is solved with a matrix.
const DENSE: usize = 1 << 23;

/// The duals of the finest level and the lists that they were found on.
#[derive(Debug, Default)]
pub(super) struct Duals {
    pub(super) f: Vec<f64>,
    pub(super) g: Vec<f64>,
    pub(super) graph: Graph,
    pub(super) fields: Fields,
    pub(super) meter: Meter,
    /// The last temperature, in widths of each source's list; 0 where there was none.
    pub(super) part: f64,
    semidual: Semidual,
    before: Vec<f64>,
    earlier: Vec<f64>,
    trusted: Vec<f64>,
    /// Whether the last temperature took more steps than one takes where all goes well.
    strained: bool,
}

impl Duals {
    /// Through `levels`, finest first, to the duals of the first of them. `equal`: all weights of each side are. Where the
    /// caller's watch says stop, the potentials so far are extended to the finest level all the same.
    pub(super) fn find(
        &mut self,
        levels: &[(Cloud, Cloud)],
        equal: bool,
        watch: &mut Watch<'_, '_>,
    ) {
        let Some((x, y)) = levels.last() else {
            return;
        };
        self.solve_densely(x, y);
        if let [(x, y)] = levels {
            self.relist(x, y);
        }
        for level in (0..levels.len() - 1).rev() {
            let (above, _) = &levels[level + 1];
            let (x, y) = &levels[level];
            let begun = Instant::now();
            transform(&above.kd, &self.f, &y.kd, &mut self.fields.f, &mut self.g);
            self.meter.add(Part::Lists, begun, 0);
            self.f.clear();
            self.f.resize(x.len(), 0.0);
            if watch.stopped {
                // The potentials are all that counts now, and f follows from g.
                transform(&y.kd, &self.g, &x.kd, &mut self.fields.g, &mut self.f);
                continue;
            }
            let last = match (level, equal) {
                (0, true) => LAST_EQUAL,
                (0, false) => LAST,
                _ => LAST_ABOVE,
            };
            self.cool(x, y, last, level == 0, watch);
        }
    }

    /// Exact duals by a matrix.
    fn solve_densely(&mut self, x: &Cloud, y: &Cloud) {
        let cost: Vec<f64> = (0..x.len())
            .flat_map(|i| (0..y.len()).map(move |j| x.kd.cost(i, &y.kd, j)))
            .collect();
        (self.f, self.g) = dense(&cost, &x.weights, &y.weights);
        self.part = 0.0;
    }

    /// Down the temperatures of one level, as far as the lists hold the plan.
    fn cool(&mut self, x: &Cloud, y: &Cloud, last: f64, finest: bool, watch: &mut Watch<'_, '_>) {
        self.graph.forget();
        self.relist(x, y);
        self.strained = false;
        self.before.clear();
        self.earlier.clear();
        let mut part = FIRST;
        while part >= last {
            self.trusted.clear();
            self.trusted.extend_from_slice(&self.g);
            self.go_onward(x, y, part);
            // Of potentials that hold no plan the forest is the better the warmer.
            self.part = part;
            if !self.settle(x, y, part, watch) {
                self.g.copy_from_slice(&self.trusted);
                if x.len() * y.len() <= DENSE && !watch.stopped {
                    self.solve_densely(x, y);
                }
                break;
            }
            if watch.stopped {
                break;
            }
            std::mem::swap(&mut self.before, &mut self.earlier);
            self.before.clear();
            self.before.extend_from_slice(&self.g);
            if part > RELISTED {
                self.relist(x, y);
                if finest {
                    watch.bound(self.lower(x, y), f64::INFINITY);
                }
            }
            part *= COOLING;
        }
        self.relist(x, y);
    }

    /// Goes on as from the last temperature but one to the last; where steps did not come easily, if the semi-dual says that it
    /// is better.
    fn go_onward(&mut self, x: &Cloud, y: &Cloud, part: f64) {
        if self.earlier.is_empty() {
            return;
        }
        let went = self.before.iter().zip(&self.earlier);
        for (g, (b, e)) in self.g.iter_mut().zip(went) {
            *g += ONWARD * (b - e);
        }
        if !self.strained {
            return;
        }
        let posed = Posed {
            a: &x.weights,
            b: &y.weights,
            graph: &self.graph,
        };
        self.semidual.cool(posed, &self.trusted, part);
        let value = self.semidual.value();
        self.semidual.cool(posed, &self.g, part);
        if self.semidual.value() < value {
            self.g.copy_from_slice(&self.trusted);
        }
    }

    /// Newton steps at one temperature, on new lists where they do not get there; whether the lists hold a plan.
    fn settle(&mut self, x: &Cloud, y: &Cloud, part: f64, watch: &mut Watch<'_, '_>) -> bool {
        let mass: f64 = x.weights.iter().sum();
        let mut error = 0.0;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                self.semidual.mix = MIXED;
                self.relist(x, y);
            } else if !self.strained {
                self.semidual.mix = 0.0;
            }
            let posed = Posed {
                a: &x.weights,
                b: &y.weights,
                graph: &self.graph,
            };
            let begun = Instant::now();
            self.semidual.cool(posed, &self.g, part);
            let mut steps = 0;
            for step in 0..STEPS {
                self.strained = attempt > 0 || step > EASY;
                if self.semidual.error() <= DONE * mass
                    || !watch.goes_on()
                    || !self.semidual.ascend(posed, &mut self.g)
                {
                    break;
                }
                steps += 1;
            }
            self.meter.add(Part::Newton, begun, steps);
            error = self.semidual.error() / mass;
            if error <= HELD || error > LOST || watch.stopped {
                break;
            }
        }
        error <= LOST
    }

    /// A bound of the optimum, where f is the c-transform of g.
    pub(super) fn lower(&self, x: &Cloud, y: &Cloud) -> f64 {
        dot(&x.weights, &self.f) + dot(&y.weights, &self.g)
    }

    fn relist(&mut self, x: &Cloud, y: &Cloud) {
        let begun = Instant::now();
        let Self {
            graph,
            f,
            g,
            fields,
            ..
        } = self;
        graph.build(x, y, f, g, fields);
        self.meter.add(Part::Lists, begun, 1);
    }
}
