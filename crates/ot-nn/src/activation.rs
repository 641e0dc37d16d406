//! Layers without parameters.

use crate::Number;

pub(crate) fn leaky<T: Number>(slope: T, x: &[T], out: &mut [T]) {
    for (o, &x) in out.iter_mut().zip(x) {
        *o = if x > T::ZERO { x } else { slope * x };
    }
}

pub(crate) fn leaky_back<T: Number>(slope: T, x: &[T], by_out: &[T], by_x: &mut [T]) {
    for ((by, g), x) in by_x.iter_mut().zip(by_out).zip(x) {
        *by = if *x > T::ZERO { *g } else { slope * *g };
    }
}

pub(crate) fn tanh<T: Number>(x: &[T], out: &mut [T]) {
    out.iter_mut().zip(x).for_each(|(o, x)| *o = x.tanh());
}

pub(crate) fn tanh_back<T: Number>(out: &[T], by_out: &[T], by_x: &mut [T]) {
    for ((by, g), t) in by_x.iter_mut().zip(by_out).zip(out) {
        *by = *g * (T::from_f64(1.0) - *t * *t);
    }
}

pub(crate) fn softmax<T: Number>(x: &[T], width: usize, out: &mut [T]) {
    for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
        let most = x.iter().fold(x[0], |m, x| if *x > m { *x } else { m });
        out.iter_mut()
            .zip(x)
            .for_each(|(o, x)| *o = (*x - most).exp());
        let sum: T = out.iter().copied().sum();
        out.iter_mut().for_each(|o| *o = *o / sum);
    }
}

pub(crate) fn softmax_back<T: Number>(out: &[T], width: usize, by_out: &[T], by_x: &mut [T]) {
    let rows = by_x.chunks_exact_mut(width).zip(by_out.chunks_exact(width));
    for ((by, g), h) in rows.zip(out.chunks_exact(width)) {
        let mean: T = g.iter().zip(h).map(|(g, h)| *g * *h).sum();
        for k in 0..width {
            by[k] = h[k] * (g[k] - mean);
        }
    }
}
