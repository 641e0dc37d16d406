//! Adam's step.

use crate::dispatch::isa;
use crate::simd::{Backend, Elem, Kernel, run};

/// The numbers of one step of Adam.
#[derive(Clone, Copy, Debug)]
pub struct AdamStep<E> {
    /// β₁ and 1 − β₁.
    pub first: (E, E),
    /// β₂ and 1 − β₂.
    pub second: (E, E),
    /// The rate over 1 − β₁ᵗ.
    pub rate: E,
    /// 1/(1 − β₂ᵗ).
    pub scale: E,
    /// ε.
    pub eps: E,
}

struct Adam<'a, E> {
    step: AdamStep<E>,
    gradient: &'a [E],
    mean: &'a mut [E],
    squares: &'a mut [E],
    parameters: &'a mut [E],
}

impl<E: Elem> Kernel for Adam<'_, E> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<B: Backend>(self) {
        let AdamStep {
            first,
            second,
            rate,
            scale,
            eps,
        } = self.step;
        let means = self.mean.iter_mut().zip(self.squares);
        for (((m, v), g), theta) in means.zip(self.gradient).zip(self.parameters) {
            *m = first.0.times(*m).plus(first.1.times(*g));
            *v = second.0.times(*v).plus(second.1.times(*g).times(*g));
            let root = scale.times(*v).root().plus(eps);
            *theta = theta.minus(rate.times(*m).over(root));
        }
    }
}

/// m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², θ ← θ − rate·m/(√(scale·v) + ε). Reads four numbers an element and writes
/// three; 9 flops, a root and a division.
///
/// # Panics
/// If the lengths differ.
pub fn adam<E: Elem>(
    step: AdamStep<E>,
    gradient: &[E],
    mean: &mut [E],
    squares: &mut [E],
    parameters: &mut [E],
) {
    let n = gradient.len();
    let fits = mean.len() == n && squares.len() == n && parameters.len() == n;
    assert!(fits, "adam: lengths differ");
    run(
        isa(),
        Adam {
            step,
            gradient,
            mean,
            squares,
            parameters,
        },
    );
}
