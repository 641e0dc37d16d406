//! The reference measure α of the entropic term ε·KL(P ‖ α), a setting of entropic solvers.
//!
//! By default α = a⊗b. Any other is the default with another cost: since
//!
//! ⟨P, C⟩ + ε·KL(P ‖ α) = ⟨P, C′⟩ + ε·KL(P ‖ a⊗b) + ε·(Σα − Σa⊗b) with C′_ij = C_ij − ε·log(α_ij / (a_i b_j)),
//!
//! a solver that knows a⊗b alone takes them all: [`Reference::solve`] hands it the problem with C′ and settles what comes
//! back against the caller's. Potentials are then those of P_ij = α_ij exp((f_i + g_j − C_ij)/ε), values and certificate
//! those of C. Balanced problems are posed at mass 1 and scaled back, as always: α, a and b are taken at mass 1, and
//! P_ij = mass·α_ij exp(…). Relaxed and partial ones are in the caller's units.
//!
//! - *Balanced*, α = u⊗v: the plan is that of a⊗b, whatever u and v are. The problem is solved as it stands, and only
//!   the potentials and the objective differ.
//! - *Relaxed*: references of different form give different plans. α = e⁻¹·11ᵀ ([`Reference::negative_entropy`]) is
//!   the −H(T) of Frogner et al., *Learning with a Wasserstein loss* (2015), equation 8, whose kernel is e^{−λM−1}:
//!   KL(P ‖ e⁻¹·11ᵀ) = Σ P log P + nm/e.
//!
//! Entries of weight zero get the potential at which their row (column) of α exp((f + g − C)/ε) would carry mass 1.
//!
//! Source: entropic priors as in Brewer and Francis, *Entropic priors and Bayesian model selection* (2009): couplings
//! that are Poisson with means α_ij.

mod settle;
mod tilted;

use std::fmt;
use std::sync::Arc;

use ndarray::ArrayView2;

pub use self::settle::Posed;
use crate::measure;
use crate::{Context, Error, Problem, Solution};

/// The reference measure of the entropic term. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reference(Kind);

#[derive(Debug, Clone, PartialEq, Default)]
enum Kind {
    #[default]
    Marginals,
    Constant(f64),
    Product(Arc<[f64]>, Arc<[f64]>),
    Dense(Dense),
}

/// All entries, row-major.
#[derive(Debug, Clone, PartialEq)]
struct Dense {
    n: usize,
    m: usize,
    data: Arc<[f64]>,
}

/// The rule for an entry that must not be zero.
const POSITIVE: &str = "a reference must be positive and finite";
const NOT_NEGATIVE: &str = "a reference must be finite and not negative (0: a forbidden pair)";

impl Reference {
    /// a⊗b, the default.
    #[must_use]
    pub fn marginals() -> Self {
        Self::default()
    }

    /// `value`·11ᵀ, positive and finite.
    pub fn constant(value: f64) -> Result<Self, Error> {
        if value > 0.0 && value.is_finite() {
            return Ok(Self(Kind::Constant(value)));
        }
        Err(Error::setting("reference", value, POSITIVE))
    }

    /// e⁻¹·11ᵀ: the entropic term is −ε·H(P) and a constant, as in source 003.
    #[must_use]
    pub fn negative_entropy() -> Self {
        Self(Kind::Constant((-1.0_f64).exp()))
    }

    /// u⊗v, all entries positive and finite.
    pub fn product(u: impl Into<Arc<[f64]>>, v: impl Into<Arc<[f64]>>) -> Result<Self, Error> {
        let (u, v) = (u.into(), v.into());
        for (name, w) in [("u", &u), ("v", &v)] {
            if let Some(at) = w.iter().position(|x| !(*x > 0.0 && x.is_finite())) {
                return Err(Error::setting(format!("{name}[{at}]"), w[at], POSITIVE));
            }
            check_total(name, measure::sum(w))?;
        }
        Ok(Self(Kind::Product(u, v)))
    }

    /// `data` holds n·m entries, row-major: finite, not negative, not all zero. A zero forbids its pair.
    pub fn dense(n: usize, m: usize, data: impl Into<Arc<[f64]>>) -> Result<Self, Error> {
        let data = data.into();
        if n.checked_mul(m) != Some(data.len()) {
            let expected = format!("{n}×{m} entries are declared");
            return Err(Error::shape("prior", &[data.len()], expected));
        }
        if let Some(at) = data.iter().position(|x| !(*x >= 0.0 && x.is_finite())) {
            let name = format!("prior[{}, {}]", at / m, at % m);
            return Err(Error::setting(name, data[at], NOT_NEGATIVE));
        }
        let total = measure::sum(&data);
        check_total("prior", total)?;
        if total == 0.0 {
            return Err(Error::setting("prior", 0, "an entry must be positive"));
        }
        Ok(Self(Kind::Dense(Dense { n, m, data })))
    }

    /// [`Reference::dense`] from an ndarray view.
    pub fn from_array(prior: ArrayView2<'_, f64>) -> Result<Self, Error> {
        let (n, m) = prior.dim();
        Self::dense(n, m, prior.iter().copied().collect::<Vec<_>>())
    }

    /// A reference by name, as `--set reference=…` takes it: `product` (a⊗b), `ones`, `003` (e⁻¹·11ᵀ), or a positive
    /// number, which is that constant.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match text {
            "product" => Ok(Self::marginals()),
            "ones" => Self::constant(1.0),
            "003" => Ok(Self::negative_entropy()),
            _ => {
                let rule =
                    "must be product (a⊗b), ones, 003 (e⁻¹ everywhere), or a positive number";
                let refused = || Error::setting("reference", text, rule);
                Self::constant(text.parse().map_err(|_| refused())?).map_err(|_| refused())
            }
        }
    }

    /// Whether it is a⊗b, which needs no detour.
    #[must_use]
    pub fn is_marginals(&self) -> bool {
        self.0 == Kind::Marginals
    }

    /// The problem that a solver with reference a⊗b solves in its place; `reg` in cost units. A dense reference keeps
    /// itself and O(n + m), and a row of the new cost takes m logarithms; all others O(n + m).
    ///
    /// Errors: a shape that is not the problem's, and costs that leave ±1e300.
    pub fn pose(&self, problem: &Problem, reg: f64) -> Result<Posed, Error> {
        Posed::new(self, problem, reg)
    }

    /// Solves `problem` with this reference by `solver`, which knows a⊗b alone and takes `reg`, in cost units.
    pub fn solve(
        &self,
        problem: &Problem,
        reg: f64,
        context: &Context,
        solver: impl FnOnce(&Problem, &Context) -> Result<Solution, Error>,
    ) -> Result<Solution, Error> {
        if self.is_marginals() {
            return solver(problem, context);
        }
        let posed = self.pose(problem, reg)?;
        let solution = solver(posed.problem(), &posed.context(context))?;
        Ok(posed.settle(solution, context))
    }

    /// Σα over n×m pairs.
    fn total(&self, (n, m): (usize, usize)) -> f64 {
        match &self.0 {
            Kind::Marginals => f64::NAN,
            Kind::Constant(value) => value * n as f64 * m as f64,
            Kind::Product(u, v) => measure::sum(u) * measure::sum(v),
            Kind::Dense(dense) => measure::sum(&dense.data),
        }
    }

    fn check_shape(&self, (n, m): (usize, usize)) -> Result<(), Error> {
        let found = match &self.0 {
            Kind::Marginals | Kind::Constant(_) => return Ok(()),
            Kind::Product(u, v) => (u.len(), v.len()),
            Kind::Dense(dense) => (dense.n, dense.m),
        };
        if found == (n, m) {
            return Ok(());
        }
        let expected = format!("the problem is {n}×{m}");
        Err(Error::shape("prior", &[found.0, found.1], expected))
    }
}

fn check_total(name: &str, total: f64) -> Result<(), Error> {
    if total.is_finite() {
        return Ok(());
    }
    Err(Error::setting(name, total, "the sum must be finite"))
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Marginals => f.pad("product"),
            Kind::Constant(value) => write!(f, "{value}"),
            Kind::Product(u, v) => write!(f, "product of {} and {} numbers", u.len(), v.len()),
            Kind::Dense(dense) => write!(f, "{}×{} matrix", dense.n, dense.m),
        }
    }
}
