//! A bracket around the least mean cost Σ_k λ_k OT(p_k, q), from the potentials that any of these iterations leaves.
//!
//! Dual: max Σ_k λ_k ⟨f_k, p_k⟩ over f_k ⊕ g_k ≤ C with Σ_k λ_k g_k = 0 (Agueh and Carlier 2011). Any g_k less their mean
//! and their c-transforms are feasible. Primal: the plans of the iteration, rounded to p_k and q.

use std::sync::Arc;

use solver_api::transform::c_transform_to_source;
use solver_api::{Certificate, Error, ImplicitPlan, Measure, Plan, Problem, round};

use super::inputs::Inputs;
use super::kernel::{Kernel, Room};

/// The bracket, given ln v of all measures at the kernel's ε. Upper: Σ_k λ_k times the cost of a plan from p_k to `q`.
/// Lower: of any measure in the place of q. O(n·m·K) time (O(n·Σ dims·K) for a grid cost), O(n + m) memory beside ln v.
///
/// # Errors
/// None for a `q` of mass 1.
pub(super) fn bracket(
    inputs: &Inputs,
    kernel: &Kernel<'_>,
    reg: f64,
    log_v: &[f64],
    q: &Measure,
) -> Result<Certificate, Error> {
    let (n, m) = inputs.cost.shape();
    let mut mean = vec![0.0; m];
    for (v, lambda) in log_v.chunks_exact(m).zip(&inputs.lambda) {
        mean.iter_mut()
            .zip(v)
            .for_each(|(mean, v)| *mean += lambda * v);
    }
    let projections = kernel.projections();
    let mut room = Room::default();
    let mut sums = vec![0.0; inputs.rows.len()];
    let (mut lower, mut upper) = (0.0, 0.0);
    let mut terms = 0.0;
    let ones: Arc<[f64]> = vec![1.0; m].into();
    for ((v, lambda), p) in log_v
        .chunks_exact(m)
        .zip(&inputs.lambda)
        .zip(&inputs.measures)
    {
        let g: Vec<f64> = v
            .iter()
            .zip(&mean)
            .map(|(v, mean)| reg * (v - mean))
            .collect();
        let f = c_transform_to_source(inputs.cost.as_ref(), &g, |_| true);
        let paired = f.iter().zip(p.weights()).filter(|(_, p)| **p > 0.0);
        let (value, size) = paired.fold((0.0, 0.0), |(value, size), (f, p)| {
            (value + f * p, size + (f * p).abs())
        });
        lower += lambda * value;
        terms += lambda * size;
        // f of the plan whose rows are p: −ε ln K v.
        projections.spread(v, &mut sums, &mut room);
        let mut f = vec![0.0; n];
        for (&i, sum) in inputs.rows.iter().zip(&sums) {
            f[i] = -reg * sum;
        }
        let plan = ImplicitPlan::new(
            Arc::clone(&inputs.cost),
            f.into(),
            v.iter().map(|v| reg * v).collect(),
            p.shared_weights(),
            Arc::clone(&ones),
            reg,
        )?;
        let problem = Problem::new(p.clone(), q.clone(), Arc::clone(&inputs.cost))?;
        upper += lambda * round(&problem, &Plan::from(plan)).transport_cost;
    }
    Ok(Certificate { lower, upper }.ordered(|| terms))
}
