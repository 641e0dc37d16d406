//! The gradients of a flow: through the steps, by the adjoint equation, and by central finite differences, all in f64.
#![allow(clippy::unwrap_used)]

use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;
use solver_spot::flow::{DormandPrince, FixedSteps, Flow};

fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut rng = Pcg64::seed_from_u64(seed);
    (0..count).map(|_| rng.sample(StandardNormal)).collect()
}

/// A flow that is far from the identity, biases included.
fn flow(dims: &[usize], hidden: usize, depth: usize) -> Flow {
    let mut flow = Flow::perceptron(dims, hidden, depth, 3).unwrap();
    let count = flow.network().parameters().len();
    let moves = numbers(count, 11);
    for (w, m) in flow.parameters_mut().iter_mut().zip(moves) {
        *w += 0.25 * m;
    }
    flow
}

/// A loss that weighs every coordinate and every ln p differently: Σ c sin z + Σ b ln p.
struct Loss {
    of_rows: Vec<f64>,
    of_density: Vec<f64>,
}

impl Loss {
    fn new(rows: usize, dim: usize) -> Self {
        Self {
            of_rows: numbers(rows * dim, 5),
            of_density: numbers(rows, 6),
        }
    }

    fn value(&self, end: &[f64], change: &[f64]) -> f64 {
        let rows = end.iter().zip(&self.of_rows).map(|(z, c)| c * z.sin());
        let density = change.iter().zip(&self.of_density).map(|(p, c)| c * p);
        rows.sum::<f64>() + density.sum::<f64>()
    }

    fn by_end(&self, end: &[f64]) -> Vec<f64> {
        let all = end.iter().zip(&self.of_rows);
        all.map(|(z, c)| c * z.cos()).collect()
    }
}

fn by_steps(flow: &Flow, start: &[f64], loss: &Loss, steps: usize) -> (f64, Vec<f64>, Vec<f64>) {
    let mut way = FixedSteps::new(steps).unwrap();
    let end = way.forward(flow, start).unwrap().to_vec();
    let mut gradient = vec![0.0; flow.network().parameters().len()];
    let by_start = way
        .backward(flow, &loss.by_end(&end), &loss.of_density, &mut gradient)
        .unwrap()
        .to_vec();
    (loss.value(&end, way.change()), by_start, gradient)
}

fn close(found: &[f64], expected: &[f64], tol: f64) {
    let scale = expected.iter().fold(1e-3_f64, |m, v| m.max(v.abs()));
    for (k, (f, e)) in found.iter().zip(expected).enumerate() {
        let off = (f - e).abs() / scale;
        assert!(
            off < tol,
            "entry {k}: {f} instead of {e}, {off:e} of the largest"
        );
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn trace_is_that_of_the_jacobian() {
    for dims in [&[1, 1][..], &[2, 1], &[3, 2, 3]] {
        let flow = flow(dims, 9, 3);
        let (dim, t, h) = (flow.dim(), 0.3, 1e-5);
        let z = numbers(5 * dim, 8);
        let (_, trace) = flow.velocity(&z, t).unwrap();
        for (r, trace) in trace.iter().enumerate() {
            let mut sum = 0.0;
            for i in 0..dim {
                let at = |shift: f64| {
                    let mut z = z.clone();
                    z[r * dim + i] += shift;
                    flow.velocity(&z, t).unwrap().0[r * dim + i]
                };
                sum += (at(h) - at(-h)) / (2.0 * h);
            }
            assert!(
                (sum - trace).abs() < 1e-8 * (1.0 + sum.abs()),
                "{sum} {trace}"
            );
        }
    }
}

#[test]
fn gradient_through_the_steps_is_that_of_finite_differences() {
    for (dims, depth) in [(&[1, 1][..], 3), (&[2, 1], 2), (&[1], 1), (&[2, 2, 1], 2)] {
        let mut flow = flow(dims, 7, depth);
        let start = numbers(6 * flow.dim(), 2);
        let loss = Loss::new(6, flow.dim());
        let (_, by_start, gradient) = by_steps(&flow, &start, &loss, 3);
        let h = 1e-5;
        let differences: Vec<f64> = (0..gradient.len())
            .map(|k| {
                let mut at = |shift: f64| {
                    let kept = flow.parameters_mut()[k];
                    flow.parameters_mut()[k] = kept + shift;
                    let value = by_steps(&flow, &start, &loss, 3).0;
                    flow.parameters_mut()[k] = kept;
                    value
                };
                (at(h) - at(-h)) / (2.0 * h)
            })
            .collect();
        close(&gradient, &differences, 1e-7);
        let differences: Vec<f64> = (0..start.len())
            .map(|k| {
                let at = |shift: f64| {
                    let mut start = start.clone();
                    start[k] += shift;
                    by_steps(&flow, &start, &loss, 3).0
                };
                (at(h) - at(-h)) / (2.0 * h)
            })
            .collect();
        close(&by_start, &differences, 1e-7);
    }
}

#[test]
fn adjoint_is_the_gradient_through_many_steps() {
    for dims in [&[1, 1][..], &[2, 1]] {
        let flow = flow(dims, 8, 3);
        let start = numbers(7 * flow.dim(), 2);
        let loss = Loss::new(7, flow.dim());
        let (value, by_start, gradient) = by_steps(&flow, &start, &loss, 400);
        let by = DormandPrince {
            rtol: 1e-11,
            atol: 1e-11,
            ..DormandPrince::default()
        };
        let there = flow.push(&start, &by).unwrap();
        let mut adjoint = vec![0.0; gradient.len()];
        let by_end = loss.by_end(&there.rows);
        let back = flow
            .adjoint(&there.rows, &by_end, &loss.of_density, &by, &mut adjoint)
            .unwrap();
        close(&adjoint, &gradient, 1e-8);
        close(&back, &by_start, 1e-8);
        // And ln p along the way is that of the steps.
        let changes: Vec<f64> = there
            .log_density
            .iter()
            .zip(start.chunks_exact(flow.dim()))
            .map(|(p, z)| p + 0.5 * z.iter().map(|z| z * z).sum::<f64>())
            .map(|p| p + 0.5 * flow.dim() as f64 * (2.0 * std::f64::consts::PI).ln())
            .collect();
        assert!((loss.value(&there.rows, &changes) - value).abs() < 1e-8);
    }
}

/// What the comparisons above see of the entropy is not little.
#[test]
fn the_entropy_has_a_part_in_the_gradient() {
    let flow = flow(&[1, 1], 8, 2);
    let start = numbers(8, 2);
    let loss = Loss::new(4, 2);
    let (_, _, with) = by_steps(&flow, &start, &loss, 10);
    let without = Loss {
        of_rows: loss.of_rows.clone(),
        of_density: vec![0.0; 4],
    };
    let (_, _, without) = by_steps(&flow, &start, &without, 10);
    let off: f64 = with.iter().zip(&without).map(|(a, b)| (a - b).abs()).sum();
    assert!(off > 0.1, "{off}");
}

#[test]
fn the_straightening_s_gradient_is_that_of_finite_differences() {
    let mut flow = flow(&[1, 1], 7, 2);
    let start = numbers(12, 2);
    let loss = Loss::new(6, 2);
    let value = |flow: &Flow, gradient: &mut [f64]| {
        let mut way = FixedSteps::new(3).unwrap().straightened(0.7);
        let end = way.forward(flow, &start).unwrap().to_vec();
        way.backward(flow, &loss.by_end(&end), &loss.of_density, gradient)
            .unwrap();
        loss.value(&end, way.change()) + 0.7 * way.action()
    };
    let count = flow.network().parameters().len();
    let (mut gradient, mut room) = (vec![0.0; count], vec![0.0; count]);
    value(&flow, &mut gradient);
    let h = 1e-5;
    let differences: Vec<f64> = (0..count)
        .map(|k| {
            let mut at = |shift: f64| {
                let kept = flow.parameters_mut()[k];
                flow.parameters_mut()[k] = kept + shift;
                let value = value(&flow, &mut room);
                flow.parameters_mut()[k] = kept;
                value
            };
            (at(h) - at(-h)) / (2.0 * h)
        })
        .collect();
    close(&gradient, &differences, 1e-7);
}

#[test]
fn rows_without_a_density_gradient_take_no_tangents_and_change_nothing() {
    let flow = flow(&[1, 1], 8, 2);
    let start = numbers(2 * 100, 2);
    let mut loss = Loss::new(100, 2);
    loss.of_density[FixedSteps::<f64>::ROWS..].fill(0.0);
    let (_, _, gradient) = by_steps(&flow, &start, &loss, 3);
    // A weight too small to count makes all rows take them.
    loss.of_density[99] = 1e-300;
    let (_, _, all) = by_steps(&flow, &start, &loss, 3);
    close(&gradient, &all, 1e-13);
}

#[test]
fn gradients_add_up_over_batches() {
    let flow = flow(&[1, 1], 8, 2);
    // More rows than go through the steps together.
    let start = numbers(2 * 150, 2);
    let loss = Loss::new(150, 2);
    let (value, by_start, gradient) = by_steps(&flow, &start, &loss, 2);
    let (mut sum, mut starts, mut parts) = (0.0, Vec::new(), vec![0.0; gradient.len()]);
    for k in 0..3 {
        let part = Loss {
            of_rows: loss.of_rows[100 * k..100 * (k + 1)].to_vec(),
            of_density: loss.of_density[50 * k..50 * (k + 1)].to_vec(),
        };
        let (v, s, g) = by_steps(&flow, &start[100 * k..100 * (k + 1)], &part, 2);
        sum += v;
        starts.extend(s);
        parts.iter_mut().zip(g).for_each(|(p, g)| *p += g);
    }
    assert!((sum - value).abs() < 1e-10);
    close(&by_start, &starts, 1e-12);
    close(&gradient, &parts, 1e-12);
}

#[test]
fn another_flow_or_another_batch_is_refused() {
    let (plane, line) = (flow(&[1, 1], 8, 2), flow(&[1], 8, 2));
    let mut way = FixedSteps::new(2).unwrap();
    way.forward(&plane, &[0.0; 8]).unwrap();
    let mut gradient = vec![0.0; line.network().parameters().len()];
    let error = way.backward(&line, &[0.0; 8], &[0.0; 8], &mut gradient);
    assert_eq!(
        error.unwrap_err().to_string(),
        "`flow`: rows of 1, but the last way forward was of rows of 2"
    );
    let error = way.backward(&plane, &[0.0; 6], &[0.0; 3], &mut gradient);
    assert_eq!(
        error.unwrap_err().to_string(),
        "`by_end`: 6 numbers, but 8 are needed"
    );
    assert!(FixedSteps::<f64>::new(0).is_err());
}

#[test]
fn f32_is_f64_rounded() {
    let flow = flow(&[1, 1], 16, 3);
    let start = numbers(2 * 20, 2);
    let loss = Loss::new(20, 2);
    let (_, _, gradient) = by_steps(&flow, &start, &loss, 4);
    let narrow: Flow<f32> = flow.cast();
    let mut way = FixedSteps::new(4).unwrap();
    let of = |x: &[f64]| x.iter().map(|x| *x as f32).collect::<Vec<f32>>();
    let end: Vec<f64> = way
        .forward(&narrow, &of(&start))
        .unwrap()
        .iter()
        .map(|z| f64::from(*z))
        .collect();
    let mut found = vec![0.0_f32; gradient.len()];
    way.backward(
        &narrow,
        &of(&loss.by_end(&end)),
        &of(&loss.of_density),
        &mut found,
    )
    .unwrap();
    let found: Vec<f64> = found.iter().map(|g| f64::from(*g)).collect();
    close(&found, &gradient, 2e-5);
}
