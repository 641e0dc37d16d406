use super::cloud::Cloud;
use super::pass::Pairs;
use super::*;
use crate::dual::Dual;
use crate::path::{Path, follow};

struct Squared;

struct Computed {
    x: Vec<f64>,
    y: Vec<f64>,
    dim: usize,
    of: fn(f64) -> f64,
}

impl Pairs for Computed {
    fn block(&self, rows: std::ops::Range<usize>, cols: std::ops::Range<usize>, out: &mut [f64]) {
        let d = self.dim;
        let mut out = out.iter_mut();
        for i in rows {
            for j in cols.clone() {
                let (x, y) = (&self.x[i * d..(i + 1) * d], &self.y[j * d..(j + 1) * d]);
                let square: f64 = x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum();
                if let Some(out) = out.next() {
                    *out = (self.of)(square);
                }
            }
        }
    }
}

fn computed(x: &Cloud, y: &Cloud, of: fn(f64) -> f64) -> Computed {
    Computed {
        x: x.points().to_vec(),
        y: y.points().to_vec(),
        dim: x.dim(),
        of,
    }
}

impl Geometry for Squared {
    fn is_squared(&self) -> bool {
        true
    }
    fn has_means(&self) -> bool {
        true
    }
    fn pairs<'a>(&'a self, x: &Cloud, y: &Cloud) -> Result<Box<dyn Pairs + 'a>, String> {
        Ok(Box::new(computed(x, y, |d| d)))
    }
}

struct Distance;

impl Geometry for Distance {
    fn is_squared(&self) -> bool {
        false
    }
    fn has_means(&self) -> bool {
        true
    }
    fn pairs<'a>(&'a self, x: &Cloud, y: &Cloud) -> Result<Box<dyn Pairs + 'a>, String> {
        Ok(Box::new(computed(x, y, f64::sqrt)))
    }
}

fn points(n: usize, dim: usize, seed: f64) -> Vec<f64> {
    (0..n * dim)
        .map(|k| ((k as f64 + seed) * 12.9898).sin() * 43758.547)
        .map(|x| x - x.floor())
        .collect()
}

fn weights(n: usize, seed: f64) -> Vec<f64> {
    let w: Vec<f64> = points(n, 1, seed).iter().map(|w| 0.1 + w).collect();
    let sum: f64 = w.iter().sum();
    w.iter().map(|w| w / sum).collect()
}

struct Made {
    x: Cloud,
    y: Cloud,
    cost: Vec<f64>,
    a: Vec<f64>,
    b: Vec<f64>,
    spread: f64,
}

fn made(n: usize, m: usize, dim: usize, of: fn(f64) -> f64) -> Made {
    let (x, y) = (points(n, dim, 0.5), points(m, dim, 7.25));
    let (a, b) = (weights(n, 3.0), weights(m, 4.0));
    let (x, y) = (Cloud::new(&x, dim, &a), Cloud::new(&y, dim, &b));
    let mut cost = vec![0.0; n * m];
    computed(&x, &y, of).block(0..n, 0..m, &mut cost);
    let spread = cost.iter().fold(0.0_f64, |t, c| t.max(*c));
    Made {
        a: x.weights().to_vec(),
        b: y.weights().to_vec(),
        x,
        y,
        cost,
        spread,
    }
}

/// The lazy answer against that of the path on the matrix.
fn agrees(made: &Made, geometry: &dyn Geometry, reg: f64, gammas: (f64, f64), settings: Settings) {
    let eps = reg * made.spread;
    let posed = Posed {
        x: &made.x,
        y: &made.y,
        geometry,
        spread: made.spread,
        least: 0.0,
        eps,
        gamma_a: gammas.0,
        gamma_b: gammas.1,
    };
    let found = solve(posed, settings, None, &|_| true).unwrap();
    assert_eq!(
        found.end,
        End::Converged,
        "{:e} {:?}",
        found.error,
        found.passes
    );
    assert!(found.error <= settings.tol);
    let dual = Dual {
        cost: &made.cost,
        a: &made.a,
        b: &made.b,
        gamma_a: gammas.0,
        gamma_b: gammas.1,
    };
    let path = Path {
        reg: eps,
        tol: 1e-11,
        spread: made.spread,
        threads: 1,
    };
    let exact = follow(dual, path, None, &mut |_, _| true).point;
    let (f, g) = (made.x.sorted(&found.f), made.y.sorted(&found.g));
    let m = made.b.len();
    let (mut paid, mut wanted, mut off) = (0.0, 0.0, 0.0);
    let mut sent = vec![0.0; made.a.len()];
    for (i, a) in made.a.iter().enumerate() {
        for (j, b) in made.b.iter().enumerate() {
            let c = made.cost[i * m + j];
            let p = a * b * ((f[i] + g[j] - c) / eps).exp();
            let q = a * b * ((exact.f[i] + exact.g[j] - c) / eps).exp();
            paid += p * c;
            wanted += q * c;
            off += (p - q).abs();
            sent[i] += p;
        }
    }
    assert!(
        (found.paid - paid).abs() < 1e-11 * made.spread,
        "{} {paid}",
        found.paid
    );
    assert!(off < 30.0 * settings.tol, "{off:e}");
    assert!((paid - wanted).abs() < 30.0 * settings.tol * made.spread);
    let off = |(x, y): (&f64, &f64)| (x - y).abs();
    if gammas.0.is_infinite() && gammas.1.is_infinite() {
        let (lower, upper) = found.bracket.unwrap();
        // The hard c-transform of f, and the dual value with it.
        let mut dual = dotted(&f, &made.a);
        for (j, b) in made.b.iter().enumerate() {
            let reach = |(i, f): (usize, &f64)| made.cost[i * m + j] - f;
            dual += b * f
                .iter()
                .enumerate()
                .map(reach)
                .fold(f64::INFINITY, f64::min);
        }
        assert!(
            lower >= dual - 1e-9 && lower <= upper,
            "{lower} {dual} {upper}"
        );
        assert!(upper >= paid && upper <= paid + 10.0 * settings.tol * made.spread);
    }
    let told = made.x.sorted(&found.sent);
    let far: f64 = sent.iter().zip(&told).map(off).sum();
    assert!(far < 1e-11, "{far:e}");
}

fn dotted(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

const WIDE: Settings = Settings {
    tol: 1e-9,
    arithmetic: Arithmetic::F64,
    most_clusters: 200,
    threads: 1,
    brackets: false,
};

#[test]
fn it_agrees_with_the_path_on_the_matrix() {
    let inf = f64::INFINITY;
    let made = made(1500, 1100, 2, |d| d);
    for reg in [0.3, 1e-2] {
        agrees(&made, &Squared, reg, (inf, inf), WIDE);
    }
    agrees(&made, &Squared, 1e-2, (0.5, inf), WIDE);
    agrees(&made, &Squared, 3e-2, (0.3, 0.7), WIDE);
    let narrow = Settings {
        tol: 1e-4,
        arithmetic: Arithmetic::Auto,
        ..WIDE
    };
    agrees(&made, &Squared, 1e-2, (inf, inf), narrow);
}

#[test]
fn other_costs_and_dimensions() {
    let inf = f64::INFINITY;
    let far = made(700, 800, 2, f64::sqrt);
    agrees(&far, &Distance, 2e-2, (inf, inf), WIDE);
    let high = made(600, 500, 9, |d| d);
    agrees(&high, &Squared, 2e-2, (inf, inf), WIDE);
    let line = made(300, 900, 1, |d| d);
    agrees(&line, &Squared, 1e-2, (inf, inf), WIDE);
}

#[test]
fn clusters_of_single_points_solve_it_alone() {
    let made = made(150, 130, 3, |d| d);
    agrees(&made, &Squared, 1e-3, (f64::INFINITY, f64::INFINITY), WIDE);
}

#[test]
fn it_takes_few_passes_where_clusters_are_small_beside_the_blur() {
    let made = made(4000, 4000, 2, |d| d);
    let posed = Posed {
        x: &made.x,
        y: &made.y,
        geometry: &Squared,
        spread: made.spread,
        least: 0.0,
        eps: 1e-2 * made.spread,
        gamma_a: f64::INFINITY,
        gamma_b: f64::INFINITY,
    };
    let settings = Settings {
        tol: 1e-6,
        most_clusters: 1000,
        ..WIDE
    };
    let found = solve(posed, settings, None, &|_| true).unwrap();
    assert_eq!(found.end, End::Converged);
    assert!(found.passes.1 <= 6, "{:?}", found.passes);
}

#[test]
fn it_stops_when_told_and_still_answers() {
    let made = made(900, 900, 2, |d| d);
    for after in [0, 1, 2] {
        let posed = Posed {
            x: &made.x,
            y: &made.y,
            geometry: &Squared,
            spread: made.spread,
            least: 0.0,
            eps: 1e-2 * made.spread,
            gamma_a: f64::INFINITY,
            gamma_b: f64::INFINITY,
        };
        let found = solve(posed, WIDE, None, &|stage| stage.passes < after).unwrap();
        assert_eq!(found.end, End::Stopped);
        assert!(found.paid.is_finite() && found.passes.0 + found.passes.1 <= after + 1);
        let sent: f64 = found.sent.iter().sum();
        assert!((sent - 1.0).abs() < 1e-3 || after == 0, "{sent}");
    }
}

#[test]
fn lists_lead_down_where_clusters_say_little() {
    let made = made(3000, 2500, 8, |d| d);
    let settings = Settings {
        tol: 1e-6,
        most_clusters: 100,
        brackets: true,
        ..WIDE
    };
    agrees(
        &made,
        &Squared,
        1e-3,
        (f64::INFINITY, f64::INFINITY),
        settings,
    );
}
