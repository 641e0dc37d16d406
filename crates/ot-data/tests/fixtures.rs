//! Every fixture of the repository loads, and its numbers agree with each other.
#![allow(clippy::unwrap_used)] // in a test's helpers a panic is the report

use std::path::PathBuf;

use ndarray::{Array2, ArrayView1, Axis};
use ot_data::DataError;
use ot_data::embeddings::Embeddings;
use ot_data::fixtures::{self, Fixture, FixtureCost};
use ot_data::text::{Document, StopWords};

fn root() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", ".."].iter().collect()
}

fn distances(fixture: &Fixture) -> Array2<f64> {
    let cloud = |x: &Array2<f64>, y: &Array2<f64>, metric: &str| {
        Array2::from_shape_fn((x.nrows(), y.nrows()), |(i, j)| {
            let squared: f64 = x
                .row(i)
                .iter()
                .zip(y.row(j))
                .map(|(p, q)| (p - q).powi(2))
                .sum();
            match metric {
                "sqeuclidean" => squared,
                "euclidean" => squared.sqrt(),
                other => panic!("metric {other}"),
            }
        })
    };
    match &fixture.cost {
        FixtureCost::Dense(matrix) => matrix.clone(),
        FixtureCost::Points { x, y, metric } => cloud(x, y, metric),
        FixtureCost::Grid { shape, metric } => {
            let pixels = Array2::from_shape_fn((shape[0] * shape[1], 2), |(p, axis)| {
                [(p / shape[1]) as f64, (p % shape[1]) as f64][axis]
            });
            cloud(&pixels, &pixels, metric)
        }
    }
}

fn close(x: f64, y: f64, relative: f64) -> bool {
    (x - y).abs() <= relative * y.abs()
}

#[test]
fn every_fixture_is_a_balanced_problem_with_an_agreed_optimum() {
    let fixtures = fixtures::load_all(root()).unwrap();
    assert!(fixtures.len() >= 16);
    for fixture in &fixtures {
        let name = &fixture.entry.name;
        let (n, m) = fixture.cost.dim();
        assert_eq!((fixture.a.len(), fixture.b.len()), (n, m), "{name}");
        for w in [&fixture.a, &fixture.b] {
            assert!(w.iter().all(|&w| w >= 0.0 && w.is_finite()), "{name}");
        }
        assert!(close(fixture.a.sum(), fixture.b.sum(), 1e-14), "{name}");
        let e = &fixture.entry.expected;
        assert!(e.optimum > 0.0 && close(e.pot, e.highs, 1e-9), "{name}");
        assert!(close(e.optimum, e.pot, 1e-9) && e.lower_bound <= e.optimum * (1.0 + 1e-13));
        assert!(close(e.lower_bound, e.optimum, 1e-11), "{name}");
        let origin = root().join("fixtures").join(&fixture.entry.origin);
        assert!(origin.is_file(), "{name}: {}", origin.display());
        for pair in fixture.entropic.windows(2) {
            let (wide, narrow) = (&pair[0].values, &pair[1].values);
            assert!(
                narrow.reg < wide.reg && narrow.transport_cost < wide.transport_cost,
                "{name}"
            );
        }
        for r in &fixture.entropic {
            assert!(r.values.marginal_error <= 1e-15, "{name}");
            assert!(r.values.transport_cost >= e.lower_bound, "{name}");
            assert!(r.values.objective >= r.values.transport_cost, "{name}");
        }
    }
}

#[test]
fn the_optimum_on_the_line_is_the_monotone_matching() {
    let fixture = fixtures::load(root(), "line").unwrap();
    let FixtureCost::Points { x, y, .. } = &fixture.cost else {
        panic!("points")
    };
    let sorted = |p: ArrayView1<'_, f64>, w: ArrayView1<'_, f64>| {
        let mut pairs: Vec<_> = p.iter().copied().zip(w.iter().copied()).collect();
        pairs.sort_by(|p, q| p.0.total_cmp(&q.0));
        pairs
    };
    let (source, mut target) = (
        sorted(x.column(0), fixture.a.view()),
        sorted(y.column(0), fixture.b.view()),
    );
    let (mut cost, mut j) = (0.0, 0);
    for (p, mut mass) in source {
        while mass > 0.0 && j < target.len() {
            let moved = mass.min(target[j].1);
            cost += moved * (p - target[j].0).powi(2);
            mass -= moved;
            target[j].1 -= moved;
            if target[j].1 <= 0.0 {
                j += 1;
            }
        }
    }
    assert!(close(cost, fixture.entry.expected.optimum, 1e-13), "{cost}");
    let closed = fixture.entry.expected.closed_form.unwrap();
    assert!(close(cost, closed, 1e-13), "{cost} {closed}");
}

#[test]
fn stored_potentials_are_the_entropic_solutions() {
    let fixture = fixtures::load(root(), "random").unwrap();
    let cost = distances(&fixture);
    assert_eq!(fixture.entropic.len(), 4);
    for r in &fixture.entropic {
        let (f, g) = r.potentials.as_ref().unwrap();
        let eps = r.values.reg;
        assert!(close(
            eps,
            r.values.reg_rel * cost.fold(0.0, |m: f64, &c| m.max(c)),
            1e-15
        ));
        let plan = Array2::from_shape_fn(cost.dim(), |(i, j)| {
            fixture.a[i] * fixture.b[j] * ((f[i] + g[j] - cost[[i, j]]) / eps).exp()
        });
        let rows = (plan.sum_axis(Axis(1)) - &fixture.a).mapv(f64::abs).sum();
        let columns = (plan.sum_axis(Axis(0)) - &fixture.b).mapv(f64::abs).sum();
        // Potentials rounded to double, divided by the smallest reg.
        assert!(rows.max(columns) < 1e-11, "{rows:e} {columns:e}");
        assert!(close((&plan * &cost).sum(), r.values.transport_cost, 1e-11));
        let (left, right) = (f.dot(&fixture.a), g.dot(&fixture.b));
        assert!(close(left, right, 1e-11), "centred");
        assert!(close(left + right, r.values.objective, 1e-12), "duality");
    }
}

#[test]
fn the_documents_are_what_the_text_reader_counts() {
    let folder = root().join("fixtures/documents");
    for (name, text) in [
        ("apache-2.0", root().join("LICENSE-APACHE")),
        ("cc0-1.0", folder.join("cc0-1.0.txt")),
    ] {
        let at = |suffix: &str| folder.join(format!("{name}.{suffix}"));
        let vocabulary = Embeddings::read(at("vectors.npy"), at("words.txt")).unwrap();
        let document = Document::read(text, &vocabulary, &StopWords::english()).unwrap();
        let expected = ot_data::read(at("counts.npy"))
            .unwrap()
            .into_labels()
            .unwrap();
        assert_eq!(
            document.words,
            (0..vocabulary.words().len()).collect::<Vec<_>>()
        );
        let counts: Vec<i64> = document.counts.iter().map(|&c| i64::from(c)).collect();
        assert_eq!(counts, expected.to_vec(), "{name}");
        assert!((document.weights().sum() - 1.0).abs() < 1e-14);
        assert_eq!(document.vectors(&vocabulary), vocabulary.vectors());
    }
}

#[test]
fn unknown_names_and_wrong_roots_are_errors() {
    let message = fixtures::load(root(), "nothing").unwrap_err().to_string();
    assert!(
        message.contains("no fixture \"nothing\"; known are mnist-7-2, "),
        "{message}"
    );
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(
        fixtures::list(folder.path()),
        Err(DataError::Io { .. })
    ));
    std::fs::create_dir(folder.path().join("fixtures")).unwrap();
    std::fs::write(
        folder.path().join("fixtures/manifest.json"),
        "{\"fixtures\": [{}]}",
    )
    .unwrap();
    let message = fixtures::list(folder.path()).unwrap_err().to_string();
    assert!(
        message.contains("manifest.json: missing field"),
        "{message}"
    );
}
