//! Kernel products of scalings: exp(−C/ε) times a vector, where all of it stays in the range of doubles.

use ot_kernels::exp::exp_in_place;
use ot_kernels::gemm::{ktu_batch, kv_batch};
use ot_kernels::separable::{Axis, multiply};

use super::inputs::Inputs;
use crate::drive::stretched;

/// exp(−C/ε), as the cost is stored. What is taken off the cost scales the kernel, and so all of u, alone.
pub(super) enum Scalings {
    Matrix { k: Vec<f64>, n: usize, m: usize },
    Grid(Vec<Axis<f64>>),
}

impl Scalings {
    pub(super) fn new(inputs: &Inputs, reg: f64) -> Self {
        let gibbs = |c: &mut [f64], least: f64| {
            c.iter_mut().for_each(|c| *c = (least - *c) / reg);
            exp_in_place(c);
        };
        if let Some(axes) = &inputs.grid {
            let axis = |by_distance: &Vec<f64>| {
                let d = by_distance.len();
                let entries = (0..d * d).map(|e| by_distance[(e / d).abs_diff(e % d)]);
                let mut k: Vec<f64> = entries.collect();
                gibbs(&mut k, 0.0);
                Axis::new(&k, d)
            };
            return Self::Grid(axes.iter().map(axis).collect());
        }
        let mut k = inputs.matrix();
        gibbs(&mut k, inputs.cost.range().min);
        Self::Matrix {
            k,
            n: inputs.rows.len(),
            m: inputs.support(),
        }
    }

    pub(super) fn products(&self) -> Products<'_> {
        match self {
            Self::Matrix { k, n, m } => Products::Matrix(k, *n, *m),
            Self::Grid(axes) => Products::Grid(axes.iter().collect()),
        }
    }
}

/// Products with [`Scalings`] of many vectors, one after another.
pub(super) enum Products<'a> {
    Matrix(&'a [f64], usize, usize),
    Grid(Vec<&'a Axis<f64>>),
}

impl Products<'_> {
    /// K v.
    pub(super) fn forward(&self, v: &[f64], out: &mut [f64], room: &mut Vec<f64>) {
        match self {
            Self::Matrix(k, n, m) => kv_batch(k, *n, *m, v, out, 1),
            Self::Grid(axes) => multiply(axes, v, out, stretched(room, v.len()), false),
        }
    }

    /// Kᵀ u.
    pub(super) fn backward(&self, u: &[f64], out: &mut [f64], room: &mut Vec<f64>) {
        match self {
            Self::Matrix(k, n, m) => ktu_batch(k, *n, *m, u, out, 1),
            // Grids are the same from both sides.
            Self::Grid(_) => self.forward(u, out, room),
        }
    }
}
