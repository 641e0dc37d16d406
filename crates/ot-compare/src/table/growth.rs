//! How time grows along each series, as text: a line a backend, with the sizes that it solved.

use std::fmt::Write as _;

use super::Timings;
use crate::report::{GROWTH_OVER, Report, growth, labels, of_series, series, times};
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
        text.push('\n');
    }
    text
}
