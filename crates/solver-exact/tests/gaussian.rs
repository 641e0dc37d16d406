//! Gaussians: the closed form against exact transport, maps, barycenters, and the bracket for samples.
#![cfg(all(feature = "gaussian", feature = "network-simplex"))]
#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;
use solver_api::{Factory, Ground, Measure, Options, Problem, Solver, Termination};
use solver_exact::NetworkSimplex;
use solver_exact::closed::gaussian::{Gaussian, GaussianFactory, GaussianSolver, barycenter};

fn normals(n: usize, random: &mut Pcg64) -> Vec<f64> {
    (0..n).map(|_| random.sample(StandardNormal)).collect()
}

/// B Bᵀ + `ridge`·I.
fn positive(d: usize, ridge: f64, random: &mut Pcg64) -> Vec<f64> {
    let b = normals(d * d, random);
    let entry = |i: usize, j: usize| -> f64 {
        let dot: f64 = (0..d).map(|k| b[i * d + k] * b[j * d + k]).sum();
        dot + if i == j { ridge } else { 0.0 }
    };
    (0..d * d).map(|k| entry(k / d, k % d)).collect()
}

fn product(a: &[f64], b: &[f64], d: usize) -> Vec<f64> {
    let entry = |i: usize, j: usize| (0..d).map(|k| a[i * d + k] * b[k * d + j]).sum();
    (0..d * d).map(|k| entry(k / d, k % d)).collect()
}

fn close(a: &[f64], b: &[f64], slack: f64) {
    assert_eq!(a.len(), b.len());
    let off = a
        .iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    assert!(off <= slack, "off by {off}: {a:?} {b:?}");
}

#[test]
fn an_affine_image_costs_what_the_simplex_says() {
    let mut random = Pcg64::seed_from_u64(5);
    for (d, n) in [(1, 30), (2, 40), (3, 60), (5, 80)] {
        for lattice in [false, true] {
            let x: Vec<f64> = if lattice {
                (0..n * d).map(|k| ((k * 7 + k / d) % 5) as f64).collect()
            } else {
                normals(n * d, &mut random)
            };
            let a = positive(d, 0.3, &mut random);
            let y: Vec<f64> = x
                .chunks_exact(d)
                .flat_map(|x| {
                    let image = |i: usize| {
                        (0..d).map(|j| a[i * d + j] * x[j]).sum::<f64>() + 2.0 * i as f64 - 1.0
                    };
                    (0..d).map(image).collect::<Vec<_>>()
                })
                .collect();
            let weights: Vec<f64> = (0..n).map(|_| 0.1 + random.random::<f64>()).collect();
            // Turned round, so that the plan is not the diagonal.
            let turn = |v: &[f64], k: usize| [&v[k..], &v[..k]].concat();
            let (b, y) = (turn(&weights, 11), turn(&y, 11 * d));
            let problem =
                Problem::from_points(&weights, &b, &x, &y, d, Ground::SqEuclidean).unwrap();
            let exact = NetworkSimplex::default()
                .solve(&problem)
                .unwrap()
                .transport_cost;
            let found = GaussianSolver.solve(&problem).unwrap();
            assert_eq!(found.convergence.termination, Termination::Converged);
            let bracket = found.certificate.unwrap();
            for (what, value) in [("objective", found.objective), ("lower", bracket.lower)] {
                assert!(
                    (value / exact - 1.0).abs() < 1e-12,
                    "d = {d}, {lattice}: {what} {value} {exact}"
                );
            }
            assert!(bracket.lower <= bracket.upper);
            // Points apart: the plan is the map.
            if !lattice {
                assert!(
                    (found.transport_cost / exact - 1.0).abs() < 1e-12,
                    "{} {exact}",
                    found.transport_cost
                );
                assert!(bracket.gap() < 1e-12 * exact);
            }
        }
    }
}

#[test]
fn samples_lie_in_the_bracket() {
    let mut random = Pcg64::seed_from_u64(6);
    for (d, n, m, mass) in [
        (2, 30, 20, 1.0),
        (1, 9, 14, 3.0),
        (4, 3, 25, 1e-9),
        (3, 1, 12, 1e6),
        (2, 1, 1, 1.0),
    ] {
        let (mut x, y) = (normals(n * d, &mut random), normals(m * d, &mut random));
        // Flat on one side.
        x.iter_mut().skip(d - 1).step_by(d).for_each(|v| *v = 0.5);
        let mut weights = |n: usize| -> Vec<f64> {
            let w: Vec<f64> = (0..n)
                .map(|k| if k % 4 == 3 { 0.0 } else { random.random() })
                .collect();
            let sum: f64 = w.iter().sum();
            w.iter().map(|w| w / sum * mass).collect()
        };
        let (a, b) = (weights(n), weights(m));
        let problem = Problem::from_points(&a, &b, &x, &y, d, Ground::SqEuclidean).unwrap();
        let exact = NetworkSimplex::default()
            .solve(&problem)
            .unwrap()
            .transport_cost;
        let found = GaussianSolver
            .solve(&problem)
            .unwrap()
            .require_converged()
            .unwrap();
        let bracket = found.certificate.unwrap();
        let slack = 1e-12 * exact;
        assert!(bracket.contains(exact, slack), "{bracket:?} {exact}");
        assert!(found.objective <= exact + slack);
        assert!((found.objective - bracket.lower).abs() <= slack);
        assert!((found.transport_cost - bracket.upper).abs() <= slack);
        assert!(found.convergence.source_error < 1e-15 && found.convergence.target_error < 1e-15);
        // The potentials prove the closed form without the closed form.
        let proof = solver_api::certify(&problem, &found.plan, &found.potentials);
        assert!(
            proof.lower >= found.objective - slack,
            "{proof:?} {}",
            found.objective
        );
        assert!(proof.lower <= exact + slack);
        // Transposed, the same.
        let turned = Problem::from_points(&b, &a, &y, &x, d, Ground::SqEuclidean).unwrap();
        let turned = GaussianSolver.solve(&turned).unwrap();
        assert!((turned.objective - found.objective).abs() <= slack);
    }
}

#[test]
fn maps_take_one_to_the_other_and_back() {
    let mut random = Pcg64::seed_from_u64(7);
    for d in [1, 2, 5, 20] {
        let one = |random: &mut Pcg64| {
            Gaussian::new(&normals(d, random), &positive(d, 0.1, random)).unwrap()
        };
        let (p, q) = (one(&mut random), one(&mut random));
        let (there, back) = (p.map_to(&q).unwrap(), q.map_to(&p).unwrap());
        let pushed = product(
            &product(there.matrix(), p.covariance(), d),
            there.matrix(),
            d,
        );
        close(&pushed, q.covariance(), 1e-10 * d as f64);
        let identity: Vec<f64> = (0..d * d).map(|k| f64::from(k % (d + 1) == 0)).collect();
        close(&product(there.matrix(), back.matrix(), d), &identity, 1e-9);
        let points = normals(3 * d, &mut random);
        let round = back.apply(&there.apply(&points).unwrap()).unwrap();
        close(&round, &points, 1e-9);
        // E‖x − T x‖² is the distance.
        let off: Vec<f64> = there
            .matrix()
            .iter()
            .zip(&identity)
            .map(|(a, e)| a - e)
            .collect();
        let moved = product(&product(&off, p.covariance(), d), &off, d);
        let trace: f64 = (0..d).map(|k| moved[k * d + k]).sum();
        let means: f64 = p
            .mean()
            .iter()
            .zip(q.mean())
            .map(|(m, n)| (m - n).powi(2))
            .sum();
        let distance = p.distance_squared(&q).unwrap();
        assert!((distance - trace - means).abs() < 1e-11 * distance);
        assert!((distance - q.distance_squared(&p).unwrap()).abs() < 1e-13 * distance);
        assert!(p.distance_squared(&p).unwrap() < 1e-26 * distance);
    }
}

#[test]
fn flat_gaussians_have_distances_and_maps_where_there_are_any() {
    let flat = |covariance: [f64; 4]| Gaussian::new(&[0.0, 0.0], &covariance).unwrap();
    let (x, y) = (flat([1.0, 0.0, 0.0, 0.0]), flat([0.0, 0.0, 0.0, 4.0]));
    let (round, point) = (flat([1.0, 0.0, 0.0, 1.0]), flat([0.0; 4]));
    // Crossed: E‖(ξ, 0) − (0, 2ξ)‖².
    assert!((x.distance_squared(&y).unwrap() - 5.0).abs() < 1e-15);
    assert_eq!(point.distance_squared(&round).unwrap(), 2.0);
    let map = x.map_to(&y).unwrap();
    close(
        &map.apply(&[3.0, 0.0])
            .unwrap()
            .iter()
            .map(|v| v.abs())
            .collect::<Vec<_>>(),
        &[0.0, 6.0],
        1e-14,
    );
    close(
        round.map_to(&x).unwrap().matrix(),
        &[1.0, 0.0, 0.0, 0.0],
        1e-14,
    );
    close(round.map_to(&point).unwrap().matrix(), &[0.0; 4], 0.0);
    let said = x.map_to(&round).unwrap_err().to_string();
    assert_eq!(
        said,
        "`rank` = 1 of 2: of the source's covariance: on so small a subspace no map makes the target of it"
    );
    assert!(point.map_to(&round).is_err());
}

#[test]
fn barycenters_are_those_of_closed_forms() {
    let mut random = Pcg64::seed_from_u64(8);
    let d = 4;
    let third = Measure::new(vec![1.0, 2.0, 3.0]).unwrap();
    // Diagonal: standard deviations are averaged.
    let roots: Vec<Vec<f64>> = (0..3)
        .map(|_| (0..d).map(|_| 0.2 + random.random::<f64>()).collect())
        .collect();
    let diagonal = |s: &[f64]| -> Vec<f64> {
        (0..d * d)
            .map(|k| {
                if k % (d + 1) == 0 {
                    s[k / d] * s[k / d]
                } else {
                    0.0
                }
            })
            .collect()
    };
    let all: Vec<Gaussian> = roots
        .iter()
        .map(|s| Gaussian::new(&s[..], &diagonal(s)).unwrap())
        .collect();
    let found = barycenter(&all, &third, 1e-14, 100).unwrap();
    assert!(found.converged && found.iterations < 20, "{found:?}");
    let mean: Vec<f64> = (0..d)
        .map(|k| (roots[0][k] + 2.0 * roots[1][k] + 3.0 * roots[2][k]) / 6.0)
        .collect();
    close(found.gaussian.mean(), &mean, 1e-15);
    close(found.gaussian.covariance(), &diagonal(&mean), 1e-13);
    // Others: the maps from the barycenter average to the identity.
    let all: Vec<Gaussian> = (0..3)
        .map(|_| Gaussian::new(&normals(d, &mut random), &positive(d, 0.05, &mut random)).unwrap())
        .collect();
    let found = barycenter(&all, &third, 1e-14, 1000).unwrap();
    assert!(found.converged, "{found:?}");
    let mut sum = vec![0.0; d * d];
    for (k, one) in all.iter().enumerate() {
        let map = found.gaussian.map_to(one).unwrap();
        sum.iter_mut()
            .zip(map.matrix())
            .for_each(|(s, a)| *s += (k + 1) as f64 / 6.0 * a);
    }
    let identity: Vec<f64> = (0..d * d).map(|k| f64::from(k % (d + 1) == 0)).collect();
    close(&sum, &identity, 1e-10);
    // Of two, it lies on the geodesic.
    let half = Measure::uniform(2).unwrap();
    let middle = barycenter(&all[..2], &half, 1e-14, 1000).unwrap().gaussian;
    let whole = all[0].distance_squared(&all[1]).unwrap();
    assert!((middle.distance_squared(&all[0]).unwrap() - whole / 4.0).abs() < 1e-10 * whole);
    // Cut short, it says so. Points are their own barycenter.
    let short = barycenter(&all, &third, 1e-14, 2).unwrap();
    assert!(!short.converged && short.iterations == 2 && short.change > 1e-14);
    let point = Gaussian::new(&[1.0], &[0.0]).unwrap();
    let same = barycenter(&[point.clone(), point], &half, 1e-12, 5).unwrap();
    assert!(same.converged && same.gaussian.covariance() == [0.0]);
}

#[test]
fn tiny_and_huge_covariances_are_scaled() {
    let half = Measure::uniform(2).unwrap();
    let pair = |scale: f64| {
        let of = |c: [f64; 4]| Gaussian::new(&[0.0, 0.0], &c.map(|v| v * scale)).unwrap();
        (of([2.0, 1.0, 1.0, 3.0]), of([1.0, -0.5, -0.5, 0.5]))
    };
    let (p, q) = pair(1.0);
    let unit = p.distance_squared(&q).unwrap();
    let middle = barycenter(&[p, q], &half, 1e-13, 100).unwrap();
    for scale in [1e-200, 1e-100, 1e200] {
        let (p, q) = pair(scale);
        let found = p.distance_squared(&q).unwrap();
        assert!((found / scale / unit - 1.0).abs() < 1e-13, "{found} {unit}");
        let other = barycenter(&[p, q], &half, 1e-13, 100).unwrap();
        assert!(other.converged);
        assert_eq!(other.iterations, middle.iterations);
        let found: Vec<f64> = other
            .gaussian
            .covariance()
            .iter()
            .map(|v| v / scale)
            .collect();
        close(&found, middle.gaussian.covariance(), 1e-12);
    }
}

#[test]
fn bad_arguments_are_named() {
    let said =
        |mean: &[f64], covariance: &[f64]| Gaussian::new(mean, covariance).unwrap_err().to_string();
    assert!(said(&[], &[]).starts_with("`mean` has shape 0"));
    assert!(said(&[0.0], &[1.0, 2.0]).starts_with("`covariance` has shape 2"));
    assert!(said(&[f64::NAN], &[1.0]).starts_with("`mean[0]` = NaN"));
    assert!(said(&[0.0], &[f64::INFINITY]).starts_with("`covariance[0, 0]` = inf"));
    let text = said(&[0.0, 0.0], &[1.0, 0.5, 0.25, 1.0]);
    assert_eq!(
        text,
        "`covariance[0, 1]` = 0.5: must be symmetric, and entry [1, 0] is 2.5e-1"
    );
    let text = said(&[0.0, 0.0], &[1.0, 2.0, 2.0, 1.0]);
    assert!(
        text.starts_with("`covariance` = -1") && text.contains("least eigenvalue"),
        "{text}"
    );
    assert!(said(&[0.0], &[-1.0]).contains("least eigenvalue"));
    let one = Gaussian::new(&[0.0], &[1.0]).unwrap();
    let two = Gaussian::new(&[0.0, 0.0], &[1.0, 0.0, 0.0, 1.0]).unwrap();
    assert!(
        one.distance_squared(&two)
            .unwrap_err()
            .to_string()
            .contains("dimension 1")
    );
    assert!(one.map_to(&one).unwrap().apply(&[]).unwrap().is_empty());
    assert!(two.map_to(&two).unwrap().apply(&[1.0]).is_err());
    let half = Measure::uniform(2).unwrap();
    assert!(barycenter(std::slice::from_ref(&one), &half, 1e-9, 9).is_err());
    assert!(barycenter(&[one.clone(), two], &half, 1e-9, 9).is_err());
    assert!(barycenter(&[one.clone(), one.clone()], &half, f64::NAN, 9).is_err());
    assert!(barycenter(&[one.clone(), one], &half, 1e-9, 0).is_err());
    assert!(Gaussian::of_samples(&half, &[1.0, 2.0, 3.0], 2).is_err());
    assert!(
        Gaussian::of_samples(&half, &[1.0, f64::NAN], 1)
            .unwrap_err()
            .to_string()
            .starts_with("`x`[1, 0] is NaN")
    );
    let problem =
        Problem::from_points(&[1.0], &[1.0], &[0.0], &[1.0], 1, Ground::Euclidean).unwrap();
    let text = GaussianSolver.solve(&problem).unwrap_err().to_string();
    assert!(
        text.contains("it lacks `costs other than squared Euclidean distances between points`"),
        "{text}"
    );
    assert!(GaussianSolver.accepts(&problem).is_err());
    let options = Options {
        tol: Some(1e-9),
        ..Options::default()
    };
    let text = GaussianFactory.build(&options).err().unwrap().to_string();
    assert!(text.contains("has no such setting; it has none"), "{text}");
}
