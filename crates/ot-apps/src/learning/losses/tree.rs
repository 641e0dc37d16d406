//! The hierarchical earth mover's distance of 004 on a tree of labels.

use std::sync::Arc;

use solver_api::{Context, Tree};

use super::{Loss, Rows, Sums};
use crate::Error;

/// EMD^ρ = Σ_e w_e |φ_e|^ρ, ρ ≥ 1, over the edges e of a tree, w_e long, with φ_e = Σ_{k below e} (h_k − y_k).
///
/// ∂/∂h_k = ρ Σ_{e above k} w_e φ_e |φ_e|^{ρ−2}, less its mean: 004's gradient, which it states up to that constant. ρ = 1
/// is transport along paths; where φ_e = 0 the subgradient 0 is taken. ρ = 2 is smooth. A path of nodes as a tree is the
/// chain-connected loss of the same source. O(nodes) time and memory for each row.
///
/// Source: Martinez et al., *Relaxed earth mover's distances for chain- and tree-connected spaces and their use as a loss
/// function in deep learning* (2016).
#[derive(Debug, Clone)]
pub struct HierarchicalEmd {
    tree: Arc<Tree>,
    places: Vec<usize>,
    rho: f64,
}

impl HierarchicalEmd {
    /// On `tree`, with `nodes[k]` the node of label k: a leaf, or any other.
    ///
    /// # Errors
    /// Fewer than two labels, an entry of `nodes` that is no node or comes twice, ρ below 1 or not finite.
    pub fn new(tree: impl Into<Arc<Tree>>, nodes: &[usize], rho: f64) -> Result<Self, Error> {
        let tree = tree.into();
        if nodes.len() < 2 {
            let rule = "must be at least 2: there is nothing to tell apart";
            return Err(Error::setting("labels", nodes.len(), rule));
        }
        if !(rho >= 1.0 && rho.is_finite()) {
            let rule = "must be finite and at least 1: below, the loss is not convex";
            return Err(Error::setting("rho", rho, rule));
        }
        let mut taken = vec![false; tree.len()];
        let mut places = Vec::with_capacity(nodes.len());
        for (k, &node) in nodes.iter().enumerate() {
            let refuse = |rule: &str| Err(Error::setting(&format!("nodes[{k}]"), node, rule));
            let Some(&place) = tree.places().get(node) else {
                return refuse(&format!("must be a node of the tree, below {}", tree.len()));
            };
            if std::mem::replace(&mut taken[place as usize], true) {
                return refuse("is the node of another label already");
            }
            places.push(place as usize);
        }
        Ok(Self { tree, places, rho })
    }

    /// The value of one row; slopes are left by place.
    fn sweep(&self, h: &[f64], y: &[f64], crossing: &mut [f64], slope: &mut [f64]) -> f64 {
        let (up, length) = (self.tree.parent_places(), self.tree.lengths_by_place());
        crossing.fill(0.0);
        for (k, &place) in self.places.iter().enumerate() {
            crossing[place] = h[k] - y[k];
        }
        let mut value = 0.0;
        // Parents stand before their children.
        for k in (1..crossing.len()).rev() {
            let phi = crossing[k];
            crossing[up[k] as usize] += phi;
            let power = match self.rho {
                1.0 => 1.0,
                2.0 => phi.abs(),
                rho => phi.abs().powf(rho - 1.0),
            };
            value += length[k] * power * phi.abs();
            let sign = if phi == 0.0 { 0.0 } else { phi.signum() };
            slope[k] = self.rho * length[k] * power * sign;
        }
        slope[0] = 0.0;
        for k in 1..slope.len() {
            slope[k] += slope[up[k] as usize];
        }
        value
    }
}

impl Loss for HierarchicalEmd {
    fn name(&self) -> String {
        format!("hierarchical-emd, ρ = {}", self.rho)
    }

    fn labels(&self) -> Option<usize> {
        Some(self.places.len())
    }

    fn evaluate(
        &self,
        rows: Rows<'_>,
        _memory: &mut [f64],
        sums: &mut Sums<'_>,
        _context: &mut Context,
    ) -> Result<(), Error> {
        rows.check(self.places.len(), false)?;
        rows.check_masses()?;
        let labels = rows.labels();
        let (mut crossing, mut slope) = (vec![0.0; self.tree.len()], vec![0.0; self.tree.len()]);
        for (row, (h, y)) in rows.pairs().enumerate() {
            let value = self.sweep(h, y, &mut crossing, &mut slope);
            let own = || self.places.iter().map(|&place| slope[place]);
            let mean = own().sum::<f64>() / labels as f64;
            sums.add(row, value, own().map(|s| s - mean));
        }
        Ok(())
    }
}
