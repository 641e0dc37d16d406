//! The closed form between two Gaussians on the line.

use crate::Error;

/// The joint law that minimizes E (x − y)² + ε·E ln p among those with marginals N(m₁, s₁²) and N(m₂, s₂²).
///
/// A joint law of given covariance has the least E ln p where it is Gaussian, so that only the correlation r is open:
/// E (x − y)² = (m₁ − m₂)² + s₁² + s₂² − 2 r s₁ s₂ and E ln p = −1 − ln(2π s₁ s₂) − ½ ln(1 − r²), and
/// 2 s₁ s₂ = ε r/(1 − r²) gives r = (√(ε² + 16 s₁² s₂²) − ε)/(4 s₁ s₂). In several dimensions: Mallasto, Gerolin and Minh
/// (*Entropy-regularized 2-Wasserstein distance between Gaussian measures*, 2022), Janati, Muzellec, Peyré and Cuturi (*Entropic
/// optimal transport between unbalanced Gaussian measures has a closed form*, 2020), whose entropy is relative to the product of the
/// marginals: a constant apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EntropicGaussians {
    /// Both means.
    pub means: [f64; 2],
    /// Both standard deviations.
    pub deviations: [f64; 2],
    /// ε.
    pub reg: f64,
}

impl EntropicGaussians {
    /// # Errors
    /// Means that are not finite, deviations and ε that are not positive.
    pub fn new(means: [f64; 2], deviations: [f64; 2], reg: f64) -> Result<Self, Error> {
        if let Some(place) = means.iter().position(|m| !m.is_finite()) {
            return Err(Error::NotFinite {
                argument: "means",
                place,
                value: means[place],
            });
        }
        for (name, value) in [
            ("deviations", deviations[0]),
            ("deviations", deviations[1]),
            ("reg", reg),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                let rule = "must be positive and finite";
                return Err(Error::Setting { name, value, rule });
            }
        }
        Ok(Self {
            means,
            deviations,
            reg,
        })
    }

    /// r.
    #[must_use]
    pub fn correlation(&self) -> f64 {
        let product = 4.0 * self.deviations[0] * self.deviations[1];
        // The difference √(ε² + p²) − ε, without cancellation at large ε.
        product / (self.reg.hypot(product) + self.reg)
    }

    /// E (x − y)².
    #[must_use]
    pub fn cost(&self) -> f64 {
        let ([m, n], [s, u]) = (self.means, self.deviations);
        (m - n).powi(2) + s * s + u * u - 2.0 * self.correlation() * s * u
    }

    /// E ln p.
    #[must_use]
    pub fn negative_entropy(&self) -> f64 {
        let [s, u] = self.deviations;
        let r = self.correlation();
        -1.0 - (2.0 * std::f64::consts::PI * s * u).ln() - 0.5 * (1.0 - r * r).ln()
    }

    /// p(x, y).
    #[must_use]
    pub fn density(&self, x: f64, y: f64) -> f64 {
        let ([m, n], [s, u]) = (self.means, self.deviations);
        let (a, b, r) = ((x - m) / s, (y - n) / u, self.correlation());
        let rest = 1.0 - r * r;
        let exponent = -(a * a - 2.0 * r * a * b + b * b) / (2.0 * rest);
        exponent.exp() / (2.0 * std::f64::consts::PI * s * u * rest.sqrt())
    }
}
