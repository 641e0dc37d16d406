//! The hierarchical earth mover's distance as a loss: what crosses each edge, to a power.

use ot_kernels::wide::Wide;
use solver_api::{Error, Tree};

/// Σ_e w_e |φ_e|^ρ and its gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct HierarchicalEmd {
    /// The loss.
    pub value: f64,
    /// ∂/∂p, an entry for each of p's; ∂/∂q is its negative. Not projected: [`tangent`] does.
    pub gradient: Vec<f64>,
}

/// EMD^ρ between two distributions `p` and `q` over all nodes of `tree`, for ρ ≥ 1:
///
/// Σ_e w_e |φ_e|^ρ, φ_e = Σ_{k below e} (p_k − q_k), ∂/∂p_k = ρ Σ_{e above k} w_e φ_e |φ_e|^{ρ−2},
///
/// with w_e the length of the edge e. At ρ = 1 it is the value of transport along paths, and where φ_e = 0 the
/// subgradient 0 is taken. Source: Martinez, *Relaxed earth mover's distances for chain- and tree-connected spaces and
/// their use as a loss function in deep learning* (2016), whose gradient is the [`tangent`] of this one.
///
/// p and q may be any finite numbers, of any mass: what they differ by as a whole crosses no edge. O(N) time and memory.
///
/// # Errors
/// ρ < 1, for which the loss is not convex and its gradient is infinite wherever an edge is not crossed; ρ, or an entry,
/// that is not finite; vectors of other lengths than the tree's; powers beyond the range of numbers.
pub fn hierarchical_emd(
    tree: &Tree,
    p: &[f64],
    q: &[f64],
    rho: f64,
) -> Result<HierarchicalEmd, Error> {
    check(tree.len(), "nodes of the tree", p, q, rho)?;
    loss(tree, tree.places(), p, q, rho)
}

/// [`hierarchical_emd`] of distributions over `nodes` alone, such as the leaves: p_k and q_k belong to `nodes[k]`.
/// O(N + K).
///
/// # Errors
/// Those of [`hierarchical_emd`], and an entry of `nodes` that is no node.
pub fn hierarchical_emd_at(
    tree: &Tree,
    nodes: &[usize],
    p: &[f64],
    q: &[f64],
    rho: f64,
) -> Result<HierarchicalEmd, Error> {
    check(nodes.len(), "entries of `nodes`", p, q, rho)?;
    let place = |(k, &node): (usize, &usize)| {
        tree.places().get(node).copied().ok_or_else(|| {
            let rule = format!("must be a node of the tree, below {}", tree.len());
            Error::setting(format!("nodes[{k}]"), node, rule)
        })
    };
    let places: Vec<u32> = nodes
        .iter()
        .enumerate()
        .map(place)
        .collect::<Result<_, _>>()?;
    loss(tree, &places, p, q, rho)
}

/// The gradient along distributions of a fixed mass: less its mean (entries sum to 0).
pub fn tangent(gradient: &mut [f64]) {
    let mean = gradient.iter().sum::<f64>() / gradient.len().max(1) as f64;
    gradient.iter_mut().for_each(|g| *g -= mean);
}

fn check(len: usize, of: &str, p: &[f64], q: &[f64], rho: f64) -> Result<(), Error> {
    if !(rho >= 1.0 && rho.is_finite()) {
        let rule = "must be finite and at least 1: below, the loss is not convex and its gradient infinite where an edge is not crossed";
        return Err(Error::setting("rho", rho, rule));
    }
    for (argument, v) in [("p", p), ("q", q)] {
        if v.len() != len {
            return Err(Error::ShapeMismatch {
                argument,
                found: v.len().to_string(),
                expected: format!("there are {len} {of}"),
            });
        }
        if let Some(k) = v.iter().position(|v| !v.is_finite()) {
            return Err(Error::setting(
                format!("{argument}[{k}]"),
                v[k],
                "must be finite",
            ));
        }
    }
    Ok(())
}

fn loss(
    tree: &Tree,
    places: &[u32],
    p: &[f64],
    q: &[f64],
    rho: f64,
) -> Result<HierarchicalEmd, Error> {
    let (up, length) = (tree.parent_places(), tree.lengths_by_place());
    // Twice the digits: at ρ = 1 the sign of what is left of a difference decides.
    let mut crossing = vec![Wide::ZERO; tree.len()];
    for (k, &at) in places.iter().enumerate() {
        let at = &mut crossing[at as usize];
        *at = *at + p[k] + -q[k];
    }
    let mut value = Wide::ZERO;
    let mut slope = vec![0.0; tree.len()];
    for k in (1..tree.len()).rev() {
        let phi = crossing[k];
        let above = &mut crossing[up[k] as usize];
        *above = *above + phi;
        let phi = phi.value();
        // |φ|^(ρ−1): at ρ = 1 powers of 0 are 1, and the sign is 0.
        let power = if rho == 1.0 {
            1.0
        } else {
            phi.abs().powf(rho - 1.0)
        };
        value = value + length[k] * power * phi.abs();
        let sign = if phi == 0.0 { 0.0 } else { phi.signum() };
        slope[k] = rho * length[k] * power * sign;
    }
    for k in 1..tree.len() {
        slope[k] += slope[up[k] as usize];
    }
    let value = value.value();
    if !(value.is_finite() && slope.iter().all(|s| s.is_finite())) {
        let rule = "powers of what crosses the edges leave the range of numbers; rescale p and q, or the lengths";
        return Err(Error::setting("rho", rho, rule));
    }
    Ok(HierarchicalEmd {
        value,
        gradient: places.iter().map(|&at| slope[at as usize]).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_the_source_come_out() {
        // Source 004: four leaves in two pairs, edges of 1 to the leaves and of 1/2 to the pairs.
        let tree = Tree::new(&[4, 4, 5, 5, 6, 6, 6], &[1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.0]).unwrap();
        let (p, q) = ([0.2, 0.4, 0.2, 0.2], [0.0, 0.5, 0.5, 0.0]);
        let nodes = [0, 1, 2, 3];
        let gradient = |rho| {
            hierarchical_emd_at(&tree, &nodes, &p, &q, rho)
                .unwrap()
                .gradient
        };
        for (rho, wanted) in [(1.0, [1.5, -0.5, -1.5, 0.5]), (2.0, [0.5, -0.1, -0.7, 0.3])] {
            let mut found = gradient(rho);
            tangent(&mut found);
            for (f, w) in found.iter().zip(wanted) {
                assert!((f - w).abs() < 1e-15, "{found:?} {wanted:?}");
            }
        }
    }

    #[test]
    fn bad_arguments_are_named() {
        let tree = Tree::new(&[0, 0], &[0.0, 1.0]).unwrap();
        let said =
            |p: &[f64], q: &[f64], rho| hierarchical_emd(&tree, p, q, rho).unwrap_err().to_string();
        assert!(
            said(&[1.0, 0.0], &[0.0, 1.0], 0.5)
                .starts_with("`rho` = 0.5: must be finite and at least 1")
        );
        assert!(said(&[1.0, 0.0], &[0.0, 1.0], f64::NAN).starts_with("`rho` = NaN"));
        assert_eq!(
            said(&[1.0], &[0.0, 1.0], 1.0),
            "`p` has shape 1, but there are 2 nodes of the tree"
        );
        assert_eq!(
            said(&[1.0, 0.0], &[0.0, f64::NAN], 1.0),
            "`q[1]` = NaN: must be finite"
        );
        assert!(said(&[0.0, 1e200], &[0.0, 1.0], 2.0).contains("leave the range"));
        let error = hierarchical_emd_at(&tree, &[2], &[1.0], &[1.0], 1.0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`nodes[0]` = 2: must be a node of the tree, below 2"
        );
    }
}
