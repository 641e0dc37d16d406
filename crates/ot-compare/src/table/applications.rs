//! The applications as text: a line each backend.

use std::fmt::Write as _;

use super::Timings;
use crate::report::{ApplicationReport, Report};
use crate::show;

const APPLICATIONS: &str =
    "applications  what they gain by backend; * some solves missed their tolerance\n\n";
const CONTINUOUS: &str = "continuous  a training against exact plans between samples: the value, its relative error (of exact plans the largest of three draws), how far generated variances are off, and the seconds until the error stays within 5 % and 1 %\n\n";

/// All applications and trainings of a report, or nothing.
pub(super) fn render(report: &Report, timings: Timings) -> String {
    section(APPLICATIONS, &report.applications, timings)
        + &section(CONTINUOUS, &report.continuous, timings)
}

fn section(heading: &str, applications: &[ApplicationReport], timings: Timings) -> String {
    if applications.is_empty() {
        return String::new();
    }
    let labels = applications.iter().flat_map(|a| &a.rows);
    let width = labels.map(|row| row.label().chars().count()).max();
    let mut text = String::from(heading);
    for application in applications {
        let ApplicationReport {
            name,
            title,
            description,
            figures,
            rows,
            ..
        } = application;
        let names: Vec<&str> = figures.iter().map(|f| f.name.as_str()).collect();
        let _ = writeln!(
            text,
            "{name}  {title} · {description}: {}",
            names.join("; ")
        );
        for row in rows {
            let width = width.unwrap_or_default();
            let _ = write!(text, "  {:<width$}", row.label());
            for (figure, value) in figures.iter().zip(&row.figures) {
                let value = value.map_or_else(|| "–".to_owned(), |v| figure.show(v));
                let _ = write!(text, "  {value:>8}");
            }
            if !row.note.is_empty() {
                let _ = write!(text, "  {}", row.note);
            }
            if let (Some(seconds), Timings::Shown) = (row.seconds, timings) {
                let _ = write!(text, "  {:>9}", show::seconds(seconds));
                if row.queries > 1 {
                    let each = show::seconds(seconds / row.queries as f64);
                    let _ = write!(text, "  {each:>9} a query");
                }
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
