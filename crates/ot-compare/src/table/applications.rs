//! The applications as text: a line each backend.

use std::fmt::Write as _;

use super::Timings;
use crate::report::{ApplicationReport, Report};
use crate::show;

/// All applications of a report, or nothing.
pub(super) fn render(report: &Report, timings: Timings) -> String {
    if report.applications.is_empty() {
        return String::new();
    }
    let labels = report.applications.iter().flat_map(|a| &a.rows);
    let width = labels.map(|row| row.label().chars().count()).max();
    let mut text =
        String::from("applications  accuracy by backend; * some solves missed their tolerance\n\n");
    for application in &report.applications {
        let ApplicationReport {
            name,
            title,
            description,
            rows,
        } = application;
        let _ = writeln!(text, "{name}  {title} · {description}");
        for row in rows {
            let width = width.unwrap_or_default();
            let _ = write!(text, "  {:<width$}", row.label());
            let _ = match row.accuracy {
                Some(accuracy) => write!(text, "  {:>6.1} %", 100.0 * accuracy),
                None => write!(text, "  {}", row.note),
            };
            if let (Some(seconds), Timings::Shown) = (row.seconds, timings) {
                let each = show::seconds(seconds / row.queries as f64);
                let _ = write!(text, "  {:>9}  {each:>9} a query", show::seconds(seconds));
            }
            text.push_str(if row.unconverged > 0 { " *\n" } else { "\n" });
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_applications_of_a_fixed_report() {
        insta::assert_snapshot!(render(&sample::report(), Timings::Shown));
    }
}
