//! A fixed report for tests: solved, refused and skipped rows, and one that missed its tolerance.

use super::*;

fn solved(cost: f64, lower: f64, upper: f64, marginal: f64, iterations: u64) -> Outcome {
    let converged = marginal < 1e-6;
    Outcome::Solved(Box::new(Figures {
        termination: match (marginal == 0.0, converged) {
            (true, _) => "optimal",
            (_, true) => "converged",
            (_, false) => "iteration-limit",
        }
        .into(),
        converged,
        transport_cost: cost,
        error: None,
        lower: Some(lower),
        upper: Some(upper),
        gap: None,
        source_error: marginal,
        target_error: marginal / 2.0,
        iterations: Some(iterations),
        runs: 5,
        seconds: 1.5e-3 * iterations as f64,
        seconds_min: 1.4e-3 * iterations as f64,
        seconds_max: 1.9e-3 * iterations as f64,
        certify_seconds: 2e-3,
        extra_bytes: Some(4096 * iterations),
        phases: [("lists", 2), ("simplex", iterations)]
            .map(|(name, count)| PhaseFigures {
                name: name.into(),
                seconds: 1e-3 * count as f64,
                count,
            })
            .to_vec(),
    }))
}

fn row(backend: &str, setting: &str, tolerance: f64, outcome: Outcome) -> Row {
    Row {
        backend: backend.into(),
        setting: setting.into(),
        tolerance,
        outcome,
    }
}

fn problem(name: &str, title: &str, n: usize, reference: Option<f64>) -> ProblemReport {
    ProblemReport {
        name: name.into(),
        title: title.into(),
        description: "made up <for> tests".into(),
        group: name.split('-').next().unwrap_or(name).into(),
        n,
        m: n,
        metric: "sqeuclidean".into(),
        licence: None,
        reference: reference.map(|value| Reference {
            value,
            by: "POT and HiGHS".into(),
        }),
        series: name.starts_with("scale").then(|| "d = 2".into()),
        rows: Vec::new(),
        sweep: Vec::new(),
        picture: None,
    }
}

/// Two backends at three ε, one of which refuses the smallest and misses its tolerance before, and the first of `rows`.
fn sweep(rows: &[Row]) -> Vec<SweepRow> {
    let point = |backend: &str, reg: f64, outcome: Outcome| SweepRow {
        reg: Some(reg),
        row: row(backend, &format!("reg {reg:e}"), 1e-6, outcome),
    };
    let refusal = Outcome::Refused {
        kind: "KernelUnderflow".into(),
        message: "the kernel underflows".into(),
    };
    vec![
        point("sinkhorn", 1e-1, solved(0.31, 0.2, 0.32, 1e-9, 60)),
        point("sinkhorn", 1e-3, solved(0.2501, 0.249, 0.2502, 2e-5, 9000)),
        point("sinkhorn", 1e-6, refusal),
        point("stabilized", 1e-1, solved(0.31, 0.2, 0.32, 2e-10, 20)),
        point("stabilized", 1e-3, solved(0.2502, 0.249, 0.2502, 1e-10, 30)),
        point(
            "stabilized",
            1e-6,
            solved(0.25, 0.249_999_9, 0.25, 1e-10, 40),
        ),
        SweepRow {
            reg: None,
            row: rows[0].clone(),
        },
    ]
}

/// Three problems, the last two a series without an independent optimum.
pub(crate) fn report() -> Report {
    let mut first = problem(
        "palettes",
        "Colour palettes, coffee → chelsea",
        24,
        Some(0.25),
    );
    let underflow =
        "`sinkhorn` refuses reg = 1e-3: the kernel underflows; use `sinkhorn-stabilized`";
    first.rows = vec![
        row(
            "network-simplex",
            "",
            1e-9,
            solved(0.25, 0.25, 0.25, 0.0, 60),
        ),
        row(
            "lp-minilp",
            "",
            1e-9,
            solved(0.250_000_000_1, 0.249_999_999_8, 0.250_000_000_1, 0.0, 90),
        ),
        row(
            "sinkhorn",
            "reg 1e-2",
            1e-6,
            solved(0.2503, 0.2496, 0.250_31, 8e-10, 420),
        ),
        row(
            "sinkhorn",
            "reg 1e-3",
            1e-6,
            Outcome::Refused {
                kind: "KernelUnderflow".into(),
                message: underflow.into(),
            },
        ),
    ];
    first.sweep = sweep(&first.rows);
    let mut problems = vec![first];
    for n in [250, 500] {
        let mut point = problem(
            &format!("scale-d2-{n}"),
            &format!("{n} random points, d = 2"),
            n,
            None,
        );
        let cost = 2.0 / n as f64;
        point.rows = vec![
            row(
                "network-simplex",
                "",
                1e-9,
                solved(cost, cost, cost, 0.0, n as u64),
            ),
            row(
                "lp-minilp",
                "",
                1e-9,
                Outcome::Skipped {
                    message: "62500 pairs; too many".into(),
                },
            ),
            row(
                "sinkhorn",
                "reg 1e-2",
                1e-6,
                solved(cost * 1.08, cost * 0.99, cost * 1.09, 3e-5, 10_000),
            ),
        ];
        problems.push(point);
    }
    let backend = |name: &str, summary: &str| BackendInfo {
        name: name.into(),
        summary: summary.into(),
        capabilities: vec!["balanced".into()],
    };
    let of = |backend: &str, setting: &str, accuracy: Option<f64>, note: &str| ApplicationRow {
        backend: backend.into(),
        setting: setting.into(),
        figures: accuracy.map(Some).into_iter().collect(),
        seconds: accuracy.map(|_| 0.25),
        queries: 50,
        unconverged: usize::from(!setting.is_empty()),
        note: note.into(),
        picture: None,
    };
    let mean = ApplicationRow {
        figures: vec![Some(4.25), None],
        queries: 1,
        picture: Some(Pixels {
            width: 2,
            channels: 1,
            values: vec![0, 255],
        }),
        ..of("ipot", "", Some(1.0), "")
    };
    let figure = |name: &str, part| ApplicationFigure {
        name: name.into(),
        part,
    };
    let applications = vec![
        ApplicationReport {
            name: "retrieval".into(),
            title: "Image retrieval".into(),
            description: "50 digits against <20> models".into(),
            rows: vec![
                of("network-simplex", "", Some(0.84), ""),
                of("sinkhorn", "reg 5e-2", Some(0.825), ""),
                of("lp-minilp", "", None, "not tried: it can't be interrupted"),
            ],
            figures: vec![figure("accuracy", true)],
            inputs: Vec::new(),
        },
        ApplicationReport {
            name: "barycenter".into(),
            title: "Barycenters".into(),
            description: "the mean of a digit".into(),
            rows: vec![mean],
            figures: vec![figure("entropy, nats", false), figure("mean cost", false)],
            inputs: Vec::new(),
        },
    ];
    let seconds = |name| figure(name, false);
    let training = |backend: &str, setting: &str, figures: [Option<f64>; 3]| ApplicationRow {
        figures: figures.to_vec(),
        queries: 1,
        unconverged: 0,
        ..of(backend, setting, Some(1.0), "")
    };
    let continuous = vec![ApplicationReport {
        name: "shifted".into(),
        title: "Two Gaussians".into(),
        description: "W₁, 5".into(),
        rows: vec![
            training("spot", "8 units", [Some(0.0025), Some(0.5), Some(2.0)]),
            training(
                "network-simplex",
                "250 samples",
                [Some(0.04), Some(0.125), None],
            ),
        ],
        figures: vec![
            figure("error", true),
            seconds("s to 5 %"),
            seconds("s to 1 %"),
        ],
        inputs: Vec::new(),
    }];
    let mut report = Report {
        applications,
        continuous,
        format: FORMAT,
        setup: Setup {
            date: "2026-01-02 03:04 UTC".into(),
            command: "cargo xtask compare".into(),
            machine: "a processor".into(),
            threads: 2,
            repeat: 5,
            quick: false,
            total_seconds: 12.5,
        },
        backends: vec![
            backend("network-simplex", "exact, primal simplex"),
            backend("lp-minilp", "exact, linear programming"),
            backend("sinkhorn", "entropic, kernel domain"),
        ],
        problems,
        peers: None,
        plans: Vec::new(),
    };
    report.settle();
    report
}

#[test]
fn a_tight_certificate_stands_in_for_the_missing_optimum() {
    let report = report();
    let series = &report.problems[1];
    assert_eq!(
        series.reference,
        Some(Reference {
            value: 0.008,
            by: "certificate of network-simplex".into()
        })
    );
    let error = series.rows[2].figures().and_then(|f| f.error);
    assert!((error.expect("filled in") - 0.08).abs() < 1e-12);
    assert_eq!(
        report.problems[0].reference.as_ref().map(|r| r.value),
        Some(0.25)
    );
}

#[test]
fn a_report_survives_its_json() {
    let report = report();
    let text = serde_json::to_string(&report).expect("numbers and text");
    let again: Report = serde_json::from_str(&text).expect("its own output");
    let verdict = crate::baseline::compare(&report, &again, &crate::Args::default());
    let rows = report.problems.iter().map(|p| p.rows.len() + p.sweep.len());
    let rows = rows.sum::<usize>();
    assert_eq!((verdict.compared, verdict.worse.len()), (rows, 0));
    // Numbers may differ in their last bit, so the way back must lose nothing the other way round either.
    let verdict = crate::baseline::compare(&again, &report, &crate::Args::default());
    assert_eq!((verdict.compared, verdict.worse.len()), (rows, 0));
    assert_eq!(again.setup.command, report.setup.command);
}

#[test]
fn a_ratio_is_marked_by_the_highest_goal_it_reaches() {
    let mut row = PeerRow {
        goal: String::new(),
        case: String::new(),
        ours: String::new(),
        our_seconds: None,
        peer: String::new(),
        peer_seconds: None,
        ratio: Some(4.0),
        must: Some(5.0),
        aim: Some(12.0),
        disagreement: None,
        note: String::new(),
    };
    assert_eq!(row.mark(), "short");
    row.ratio = Some(6.0);
    assert_eq!(row.mark(), "must");
    row.ratio = Some(12.0);
    assert_eq!(row.mark(), "aim");
    row.ratio = None;
    assert_eq!(row.mark(), "—");
}
