//! The way down on lists of near pairs, where ε is small beside the clusters.

use super::Posed;
use super::iterate::{End, POOR, Run, Until};
use super::near::{FEW_AXES, Tiled, WAYS, room};
use crate::dual::{Dual, Point};
use crate::near::Near;
use crate::near::follow::{self, Stop};
use crate::newton::Preconditioner;

/// What ε is multiplied by in search of one of which the coarse problem says enough, up to this part of the spread.
const UP: f64 = 2.0;
const WIDEST: f64 = 0.1;
/// What ε is divided by while lists are too long.
const DOWN: f64 = 2.0;

impl Run<'_, '_> {
    /// Where ε is so small beside the clusters that their problem says little of the given one, few pairs carry mass: from
    /// an ε at which it says enough, Newton steps on lists of near pairs lead down. `None` never comes out.
    pub(super) fn by_lists(&mut self) -> Result<Option<End>, String> {
        let eps = self.posed.eps;
        let result = self.down_to(eps);
        self.posed.eps = eps;
        if result? == Some(End::Stopped) {
            // The potentials are those of another ε, and the last pass was.
            self.sums.prices.clear();
            return Ok(Some(End::Stopped));
        }
        self.at(eps, true, Until::End)
    }

    fn down_to(&mut self, eps: f64) -> Result<Option<End>, String> {
        let most = (WIDEST * self.posed.spread).max(eps);
        let mut now = eps;
        loop {
            now = (UP * now).min(most);
            match self.at(now, false, Until::Rough)? {
                Some(End::Converged) => break,
                Some(End::Stopped) => return Ok(Some(End::Stopped)),
                _ if self.error <= POOR => break,
                _ if now >= most => return Ok(None),
                _ => {}
            }
        }
        while now > eps {
            let reached = match self.on_lists(now, eps)? {
                Ok(reached) => reached,
                Err(Stop::Told) => return Ok(Some(End::Stopped)),
                Err(Stop::Lost) => now,
            };
            if reached <= eps {
                break;
            }
            now = (reached / DOWN).max(eps);
            if now > eps && self.at(now, true, Until::Rough)? == Some(End::Stopped) {
                return Ok(Some(End::Stopped));
            }
        }
        Ok(None)
    }

    /// Newton steps on lists from `from` to `to`. The ε that was reached.
    fn on_lists(&mut self, from: f64, to: f64) -> Result<Result<f64, Stop>, String> {
        let Posed { x, y, geometry, .. } = self.posed;
        let made;
        let cost = match &self.cost {
            Some(cost) => &**cost,
            None => {
                made = geometry.pairs(x, y)?;
                &*made
            }
        };
        let pairs = Tiled {
            x,
            y,
            cost,
            is_squared: geometry.is_squared(),
        };
        let dual = Dual {
            cost: &[],
            a: x.weights(),
            b: y.weights(),
            gamma_a: f64::INFINITY,
            gamma_b: f64::INFINITY,
        };
        let mut point = Point::new(x.len(), self.g.clone(), from);
        // The f that belongs to g.
        let parts = self.f.iter().zip(&self.sums.rows);
        point.f = parts.map(|(f, r)| f - from * r.ln()).collect();
        let by = if x.dim() <= FEW_AXES {
            Preconditioner::Factor
        } else {
            Preconditioner::Diagonal
        };
        let stage = self.stage(0.0);
        let watch = self.watch;
        let mut ended = Err(Stop::Lost);
        for reach in WAYS {
            let near = Near::new(dual, &pairs, by, room(x.len(), y.len()));
            let mut way = follow::Run::new(near, reach, point.clone());
            ended = way.follow(to, Some(0.5 * self.settings.tol), &mut |_| watch(&stage));
            if ended != Err(Stop::Lost) {
                point = way.point;
                break;
            }
        }
        let is_finite = |p: &[f64]| p.iter().all(|p| p.is_finite());
        Ok(match ended {
            Err(stop) => Err(stop),
            Ok(()) if !(is_finite(&point.f) && is_finite(&point.g)) => Err(Stop::Lost),
            Ok(()) => {
                self.f.clone_from(&point.f);
                self.g.clone_from(&point.g);
                Ok(point.eps)
            }
        })
    }
}
