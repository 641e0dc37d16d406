//! Making implicit plans, and their rows.

use std::sync::Arc;

use ot_kernels::exp::gibbs_row;

use super::ImplicitPlan;
use crate::Error;
use crate::cost::{Cost, row_of};

impl ImplicitPlan {
    /// The plan with potentials `f`, `g` (cost units), regularization `reg` and reference r⊗s. Entries with
    /// r_i = 0 or s_j = 0 are zero whatever their potentials are, and so are those whose potential is +∞: entries
    /// without an allowed partner.
    pub fn new(
        cost: Arc<dyn Cost>,
        f: Arc<[f64]>,
        g: Arc<[f64]>,
        r: Arc<[f64]>,
        s: Arc<[f64]>,
        reg: f64,
    ) -> Result<Self, Error> {
        let (n, m) = cost.shape();
        for (argument, len, want) in [
            ("f", f.len(), n),
            ("r", r.len(), n),
            ("g", g.len(), m),
            ("s", s.len(), m),
        ] {
            if len != want {
                return Err(Error::shape(
                    argument,
                    &[len],
                    format!("the plan is {n}×{m}"),
                ));
            }
        }
        // An entry of weight 0 is e^{−∞}·0 = 0. Any other potential might overflow, and ∞·0 is not a number.
        // The same where nobody may send: ∞ − ∞ is none either.
        let mute = |g: f64, s: f64| s == 0.0 || g == f64::INFINITY;
        let silent = g
            .iter()
            .zip(&*s)
            .any(|(g, s)| mute(*g, *s) && *g != f64::NEG_INFINITY);
        let g = if silent {
            let quiet = |(g, s): (&f64, &f64)| if mute(*g, *s) { f64::NEG_INFINITY } else { *g };
            g.iter().zip(&*s).map(quiet).collect()
        } else {
            g
        };
        let r = if f.contains(&f64::INFINITY) {
            let quiet = |(f, r): (&f64, &f64)| if *f == f64::INFINITY { 0.0 } else { *r };
            f.iter().zip(&*r).map(quiet).collect()
        } else {
            r
        };
        Ok(Self {
            cost,
            f,
            g,
            r,
            s,
            reg,
        })
    }

    /// The regularization, in cost units.
    #[must_use]
    pub fn reg(&self) -> f64 {
        self.reg
    }

    /// Writes row `i` into the first half of `scratch` (2m numbers).
    pub(super) fn row_into<'a>(&self, i: usize, scratch: &'a mut [f64]) -> &'a [f64] {
        let (out, costs) = scratch.split_at_mut(self.g.len());
        if self.r[i] == 0.0 {
            out.fill(0.0);
            return out;
        }
        gibbs_row(
            row_of(self.cost.as_ref(), i, costs),
            self.f[i],
            &self.g,
            1.0 / self.reg,
            out,
        );
        let r = self.r[i];
        out.iter_mut().zip(&*self.s).for_each(|(p, &s)| *p *= r * s);
        out
    }
}
