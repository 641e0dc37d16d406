use ot_gradients::{Kernel, discrepancy, energy_distance};
use solver_api::{Error, Ground, Measure};

use crate::common::{central, close, cloud, moved, shifted, weights};

fn measure(w: &[f64]) -> Measure {
    Measure::new(w.to_vec()).unwrap()
}

type Plain = Box<dyn Fn(&[f64], &[f64]) -> f64>;

fn kernels() -> Vec<(Kernel, Plain)> {
    let square = |x: &[f64], y: &[f64]| Ground::SqEuclidean.between(x, y);
    vec![
        (
            Kernel::Negative(Ground::Euclidean),
            Box::new(move |x, y| -square(x, y).sqrt()),
        ),
        (
            Kernel::Negative(Ground::SqEuclidean),
            Box::new(move |x, y| -square(x, y)),
        ),
        (
            Kernel::Negative(Ground::Power(0.5)),
            Box::new(move |x, y| -square(x, y).powf(0.25)),
        ),
        (
            Kernel::Gaussian(0.3),
            Box::new(move |x, y| (-square(x, y) / 0.18).exp()),
        ),
        (
            Kernel::Laplace(0.3),
            Box::new(move |x, y| (-square(x, y).sqrt() / 0.3).exp()),
        ),
    ]
}

#[test]
fn values_equal_double_sums_and_derivatives_finite_differences() {
    let (n, m, dim) = (70, 60, 3);
    let (a, b) = (weights(n, 1, 2.0), weights(m, 50, 2.0));
    let (x, y) = (cloud(n, dim, 100), cloud(m, dim, 900));
    for (kernel, k) in kernels() {
        let point = |p: &[f64], i: usize| p[i * dim..(i + 1) * dim].to_vec();
        let sum = |p: &[f64], u: &[f64], q: &[f64], v: &[f64]| -> f64 {
            let pairs = (0..u.len()).flat_map(|i| (0..v.len()).map(move |j| (i, j)));
            pairs
                .map(|(i, j)| u[i] * v[j] * k(&point(p, i), &point(q, j)))
                .sum()
        };
        let want = 0.5 * sum(&x, &a, &x, &a) + 0.5 * sum(&y, &b, &y, &b) - sum(&x, &a, &y, &b);
        let at = |a: &[f64], b: &[f64], x: &[f64], y: &[f64]| {
            discrepancy(&measure(a), &measure(b), x, y, dim, &kernel).unwrap()
        };
        let found = at(&a, &b, &x, &y);
        close(found.value, want, 1e-10, 0.1, &format!("{kernel:?}"));
        close(
            found.mmd() * found.mmd(),
            2.0 * found.value,
            1e-12,
            0.0,
            "MMD",
        );
        let by_weights = found.weights();
        let slope = central(1e-3, |t| at(&shifted(&a, 3, 5, t), &b, &x, &y).value);
        close(by_weights.a[3] - by_weights.a[5], slope, 1e-8, 0.1, "a");
        let slope = central(1e-3, |t| at(&a, &shifted(&b, 3, 5, t), &x, &y).value);
        close(by_weights.b[3] - by_weights.b[5], slope, 1e-8, 0.1, "b");
        let points = found.points().unwrap();
        for k in [0, 100, 200] {
            let slope = central(1e-4, |t| at(&a, &b, &moved(&x, k, t), &y).value);
            close(points.x[k], slope, 1e-6, 0.01, &format!("x of {kernel:?}"));
        }
        let slope = central(1e-4, |t| at(&a, &b, &x, &moved(&y, 77, t)).value);
        close(points.y[77], slope, 1e-6, 0.01, &format!("y of {kernel:?}"));
        let same = at(&a, &a, &x, &x);
        assert!(
            same.value.abs() < 1e-12 && same.points().unwrap().x.iter().all(|d| d.abs() < 1e-12)
        );
    }
}

#[test]
fn closed_form_of_squares() {
    // For squared distances it is the squared distance of the means (at mass 1).
    let (a, b) = (weights(5, 1, 1.0), weights(4, 50, 1.0));
    let (x, y) = (cloud(5, 2, 100), cloud(4, 2, 900));
    let mean = |w: &[f64], p: &[f64], k: usize| -> f64 {
        w.iter().enumerate().map(|(i, w)| w * p[2 * i + k]).sum()
    };
    let want: f64 = (0..2)
        .map(|k| (mean(&a, &x, k) - mean(&b, &y, k)).powi(2))
        .sum();
    let found =
        energy_distance(&measure(&a), &measure(&b), &x, &y, 2, &Ground::SqEuclidean).unwrap();
    close(found.value, want, 1e-12, 0.1, "means");
}

#[test]
fn bad_input_is_named() {
    let a = measure(&[0.5, 0.5]);
    let points = [0.0, 1.0];
    let of = |b: &Measure, kernel: &Kernel| discrepancy(&a, b, &points, &points, 1, kernel);
    let error = of(&measure(&[1.0, 1.0]), &Kernel::Negative(Ground::Euclidean)).unwrap_err();
    assert!(matches!(error, Error::MassMismatch { .. }), "{error}");
    let error = of(&a, &Kernel::Gaussian(-1.0)).unwrap_err();
    assert!(
        matches!(&error, Error::InvalidSetting { name, .. } if name == "sigma"),
        "{error}"
    );
    let error = of(&measure(&[1.0]), &Kernel::Gaussian(1.0)).unwrap_err();
    assert!(
        matches!(error, Error::ShapeMismatch { argument: "b", .. }),
        "{error}"
    );
}
