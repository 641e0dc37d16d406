//! Problems of any masses as problems of mass 1.
//!
//! With ã = a/A, b̃ = b/B and P' = P/S the plan P_ij = a_i b_j exp((f_i + g_j − C_ij)/ε) becomes
//! ã_i b̃_j exp((f'_i + g'_j − C_ij)/ε) for f' = f + κa, g' = g + κb, κa + κb = ε log(AB/S). Its marginals should be
//! ã·(A/S)·e^{(κa − f')/γa} and the same for b: κa = γa log(S/A) and κb = γb log(S/B) make both factors 1, and the sum of
//! the two fixes S.

use solver_api::{Marginals, Problem};

/// Masses and shifts between a problem and its image of mass 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Masses {
    /// Mass of the source and of the target measure.
    pub(crate) a: f64,
    pub(crate) b: f64,
    /// What P' is multiplied by to give P.
    pub(crate) plan: f64,
    /// f' − f and g' − g.
    pub(crate) shift_a: f64,
    pub(crate) shift_b: f64,
    pub(crate) gamma_a: f64,
    pub(crate) gamma_b: f64,
}

impl Masses {
    /// Of `problem`, with source weights of sum `a` and target weights of sum `b` taking part.
    pub(crate) fn of(problem: &Problem, a: f64, b: f64, eps: f64) -> Self {
        let (gamma_a, gamma_b) = match problem.marginals() {
            Marginals::Relaxed { gamma_a, gamma_b } => (gamma_a, gamma_b),
            _ => {
                return Self {
                    a,
                    b,
                    plan: a,
                    shift_a: 0.0,
                    shift_b: 0.0,
                    gamma_a: f64::INFINITY,
                    gamma_b: f64::INFINITY,
                };
            }
        };
        let (log_a, log_b) = (a.ln(), b.ln());
        let (log_s, shift_a, shift_b);
        if gamma_b.is_infinite() {
            log_s = log_b;
            shift_a = gamma_a * (log_s - log_a);
            shift_b = eps * log_a - shift_a;
        } else if gamma_a.is_infinite() {
            log_s = log_a;
            shift_b = gamma_b * (log_s - log_b);
            shift_a = eps * log_b - shift_b;
        } else {
            // As a mean, so that large γ do no harm.
            let all = eps + gamma_a + gamma_b;
            let (of_a, of_b) = ((eps + gamma_a) / all, (eps + gamma_b) / all);
            log_s = of_a * log_a + of_b * log_b;
            shift_a = gamma_a * (of_b * (log_b - log_a) + eps / all * log_a);
            shift_b = gamma_b * (of_a * (log_a - log_b) + eps / all * log_b);
        }
        Self {
            a,
            b,
            plan: log_s.exp(),
            shift_a,
            shift_b,
            gamma_a,
            gamma_b,
        }
    }
}
