//! How time grows along each series, as text: a line a backend, with the sizes that it solved.

use std::fmt::Write as _;

use super::Timings;
use crate::report::{
    GROWTH_OVER, PhaseFigures, ProblemReport, Report, growth, labels, of_series, phases, series,
    times,
};
use crate::show;

/// A label, its exponent, and the sizes with their times.
type Line = (String, String, Vec<(f64, f64)>);

/// All series of a report, or nothing: it is made of times.
pub(super) fn render(report: &Report, timings: Timings) -> String {
    let titles = series(report);
    if titles.is_empty() || timings == Timings::Hidden {
        return String::new();
    }
    let mut text = format!(
        "growth  exponents k of time as n^k over the last factor of {GROWTH_OVER} in n; — of less than three sizes\n\n"
    );
    for title in titles {
        let points = of_series(report, title);
        let lines: Vec<Line> = labels(&points)
            .into_iter()
            .map(|(label, _)| {
                let times = times(&points, &label);
                let exponent = growth(&times).map_or("—".to_owned(), |k| format!("{k:.2}"));
                (label, exponent, times)
            })
            .collect();
        let _ = writeln!(text, "{title}");
        let width = lines.iter().map(|l| l.0.chars().count()).max().unwrap_or(0);
        for (label, exponent, times) in &lines {
            let of_size = |(n, seconds): &(f64, f64)| {
                format!("{} in {}", show::count(*n as u64), show::seconds(*seconds))
            };
            let sizes: Vec<String> = times.iter().map(of_size).collect();
            let _ = writeln!(
                text,
                "  {label:<width$}  {exponent:>5}   {}",
                sizes.join(", ")
            );
        }
        for (label, ..) in &lines {
            where_time_goes(&mut text, &points, label);
        }
        text.push('\n');
    }
    text
}

/// A line a size: time, memory, and each phase with how often it was gone through.
fn where_time_goes(text: &mut String, points: &[&ProblemReport], label: &str) {
    let (names, solved) = phases(points, label);
    if names.is_empty() {
        return;
    }
    let mut rows = vec![vec![
        label.to_owned(),
        "time".to_owned(),
        "memory".to_owned(),
    ]];
    rows[0].extend(names.iter().cloned());
    for (problem, figures) in solved {
        let bytes = figures.extra_bytes.map_or("—".to_owned(), show::bytes);
        let mut row = vec![
            show::count(problem.n as u64),
            show::seconds(figures.seconds),
            bytes,
        ];
        row.extend(names.iter().map(|name| {
            let phase = figures.phases.iter().find(|p| p.name == *name);
            phase.map_or("—".to_owned(), PhaseFigures::show)
        }));
        rows.push(row);
    }
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|k| rows.iter().map(|r| r[k].chars().count()).max().unwrap_or(0))
        .collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(c, &w)| format!("{c:>w$}"));
        let _ = writeln!(text, "    {}", cells.collect::<Vec<_>>().join("  "));
    }
}
