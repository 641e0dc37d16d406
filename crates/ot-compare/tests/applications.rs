//! The applications of the comparison, on the repository's fixtures.

use std::path::Path;

use kantorovich::Registry;
use ot_compare::{Args, Unmetered, page};

#[test]
fn every_application_has_a_row_for_each_backend_with_figures_and_pictures() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let args = Args {
        backends: vec!["network-simplex".into(), "sinkhorn-stabilized".into()],
        problems: vec!["applications".into()],
        ..Args::default()
    };
    let report = ot_compare::run(&root, &Registry::new(), &args, &mut Unmetered, &mut |_| {})
        .expect("the fixtures of the repository");
    assert!(report.problems.is_empty());
    let names: Vec<&str> = report
        .applications
        .iter()
        .map(|a| a.name.as_str())
        .collect();
    let all = [
        "retrieval",
        "neighbours",
        "coupling",
        "adaptation",
        "barycenter",
        "colours",
    ];
    assert_eq!(names, all);
    for application in &report.applications {
        let own = &application.rows[..2];
        assert!(own[0].backend == "network-simplex" && own[1].backend == "sinkhorn-stabilized");
        for row in &application.rows {
            let name = format!("{}: {}", application.name, row.label());
            assert_eq!(row.note, "", "{name}");
            assert_eq!(row.figures.len(), application.figures.len(), "{name}");
            let makes = ["barycenter", "colours"].contains(&application.name.as_str());
            assert_eq!(row.picture.is_some(), makes, "{name}");
            for (figure, value) in application.figures.iter().zip(&row.figures) {
                let value = value.expect("measured");
                // Ten classes, of which a guess tells a tenth.
                let least = if figure.part { 0.3 } else { 0.0 };
                assert!(
                    value > least && (!figure.part || value <= 1.0),
                    "{name}: {value}"
                );
            }
        }
    }
    let figure = |k: usize, row: usize, f: usize| report.applications[k].rows[row].figures[f];
    // The least mean cost is that of the exact descent, within its bracket of 1e-3 of 722.
    for row in 1..report.applications[4].rows.len() {
        assert!(figure(4, 0, 1) < figure(4, row, 1).map(|cost| cost + 0.722));
    }
    // Bregman projections blur, and their debiased variant does not.
    assert!(figure(4, 2, 0) > figure(4, 0, 0) && figure(4, 3, 0) < figure(4, 2, 0));
    // Colours arrive: from 31 levels away.
    for row in 0..2 {
        assert!(figure(5, row, 0) < Some(3.0));
    }
    let html = page::render(&report);
    // Eight digits and two photographs, five means, two photographs.
    assert_eq!(html.matches("data:image/png;base64,").count(), 17);
}
