//! Whether the kernel entries that are not lost admit a plan, shown by making one: from a plan that is nearly right.

/// Mass, over the whole, that may stay unrouted by rounding: what the feasibility check allows.
const UNROUTED: f64 = 1e-11;

/// The pattern of a kernel, made once for many plans.
pub(crate) struct Routes {
    /// A bit for each pair, rows in whole words: small enough to stay in a cache.
    allowed: Vec<u64>,
    words: usize,
    /// Sources and targets, those with the fewest allowed pairs first.
    sources: Vec<usize>,
    targets: Vec<usize>,
    /// The target with the largest entry of each source: where its mass is likely to be.
    nearest: Vec<usize>,
}

impl Routes {
    /// `k` is n×m, row-major, and 0 where a pair is not allowed.
    pub(crate) fn new<T: Copy + Default + PartialOrd>(k: &[T], n: usize, m: usize) -> Self {
        let words = m.div_ceil(64);
        let mut allowed = vec![0; n * words];
        let (mut by_source, mut by_target) = (vec![0_u32; n], vec![0_u32; m]);
        let mut nearest = vec![0; n];
        for (i, row) in k.chunks_exact(m.max(1)).enumerate() {
            for (j, (&k, there)) in row.iter().zip(&mut by_target).enumerate() {
                let one = u64::from(k > T::default());
                allowed[i * words + j / 64] |= one << (j % 64);
                by_source[i] += one as u32;
                *there += one as u32;
                if k > row[nearest[i]] {
                    nearest[i] = j;
                }
            }
        }
        let sorted = |pairs: &[u32]| {
            let mut order: Vec<usize> = (0..pairs.len()).collect();
            order.sort_by_key(|&k| pairs[k]);
            order
        };
        Self {
            allowed,
            words,
            sources: sorted(&by_source),
            targets: sorted(&by_target),
            nearest,
        }
    }

    fn allows(&self, i: usize, j: usize) -> bool {
        self.allowed[i * self.words + j / 64] >> (j % 64) & 1 == 1
    }

    /// Whether what a plan lacks, `a` of the sources and `b` of the targets, is seen to find a way: first directly;
    /// what is left then takes the place of mass that the plan sends from another source to its nearest target, and
    /// that other source serves who is left. `plan(i, j)` is the mass on a pair. `false` says nothing.
    pub(crate) fn serve(
        &self,
        a: &[f64],
        b: &mut [f64],
        plan: impl Fn(usize, usize) -> f64,
    ) -> bool {
        let mut open = self.targets.clone();
        open.retain(|&j| b[j] > 0.0);
        let mut left_over = Vec::new();
        for &i in &self.sources {
            let mut left = a[i];
            let mut used_up = false;
            for &j in &open {
                if left <= 0.0 {
                    break;
                }
                if self.allows(i, j) {
                    let sent = left.min(b[j]);
                    left -= sent;
                    b[j] -= sent;
                    used_up |= b[j] <= 0.0;
                }
            }
            if used_up {
                open.retain(|&j| b[j] > 0.0);
            }
            if left > 0.0 {
                left_over.push((i, left));
            }
        }
        let mut spare: Vec<Option<f64>> = vec![None; a.len()];
        for (i, left) in &mut left_over {
            for &j in &open {
                for (other, &taken) in self.nearest.iter().enumerate() {
                    let wanted = left.min(b[j]);
                    if wanted <= 0.0 {
                        break;
                    }
                    if self.allows(*i, taken) && self.allows(other, j) {
                        let spare = spare[other].get_or_insert_with(|| plan(other, taken));
                        let sent = wanted.min(*spare);
                        *spare -= sent;
                        *left -= sent;
                        b[j] -= sent;
                    }
                }
            }
        }
        left_over.iter().map(|(_, left)| left).sum::<f64>() <= UNROUTED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: usize) -> Vec<f64> {
        let near = |i: usize, j: usize| [1.0, 0.5, 0.0][i.abs_diff(j).min(2)];
        (0..n * n).map(|k| near(k / n, k % n)).collect()
    }

    #[test]
    fn what_is_missing_goes_along_allowed_pairs_only() {
        let k = line(3);
        let routes = Routes::new(&k, 3, 3);
        let serve = |a: [f64; 3], mut b: [f64; 3]| routes.serve(&a, &mut b, |_, _| 0.0);
        assert!(serve([0.5, 0.0, 0.5], [0.0, 1.0, 0.0]));
        // In the order of their numbers, the middle one would take what only the first can serve.
        assert!(serve([0.3, 0.3, 0.4], [0.3, 0.3, 0.4]));
        assert!(!serve([0.5, 0.0, 0.5], [1.0, 0.0, 0.0]));
        assert!(serve([0.0; 3], [0.0; 3]));
    }

    #[test]
    fn the_plan_gives_way_as_far_as_it_has_mass() {
        let k = line(3);
        let routes = Routes::new(&k, 3, 3);
        // From one end to the other there is only the middle.
        let serve = |mass: f64| {
            let mut b = [0.0, 0.0, 0.2];
            routes.serve(&[0.2, 0.0, 0.0], &mut b, |i, j| {
                if (i, j) == (1, 1) { mass } else { 0.0 }
            })
        };
        assert!(serve(0.2) && serve(0.3));
        assert!(!serve(0.1));
    }
}
