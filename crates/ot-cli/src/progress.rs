//! A progress line on standard error, for terminals.

use std::ops::ControlFlow;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use kantorovich::{Observer, Progress};

/// A line that says how far a solve has come; it disappears when dropped.
pub(crate) struct Line(ProgressBar);

impl Line {
    /// Draws at once, and then at most some ten times a second.
    pub(crate) fn start(backend: &str) -> Self {
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_prefix(backend.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// What to hand to the solver.
    pub(crate) fn observer(&self) -> impl Observer + 'static {
        let bar = self.0.clone();
        move |p: &Progress| {
            bar.set_message(message(p));
            ControlFlow::Continue(())
        }
    }
}

/// How far a solve has come, in words.
fn message(p: &Progress) -> String {
    let mut said = format!("iteration {}", p.iteration);
    if let Some(part) = p.part {
        said += &format!(" and {:.0} %", 100.0 * part.clamp(0.0, 1.0));
    }
    if p.error.is_finite() {
        said += &format!(", error {:.1e} of {:.1e}", p.error, p.tol);
    }
    said
}

impl Drop for Line {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_iteration_tells_its_part() {
        let mut progress = Progress {
            problem: 0,
            iteration: 3,
            part: None,
            error: f64::INFINITY,
            tol: 1e-6,
            certificate: None,
            elapsed: Duration::ZERO,
        };
        assert_eq!(message(&progress), "iteration 3");
        progress.part = Some(0.425);
        assert_eq!(message(&progress), "iteration 3 and 42 %");
        (progress.part, progress.error) = (Some(0.0), 2.5e-4);
        assert_eq!(
            message(&progress),
            "iteration 3 and 0 %, error 2.5e-4 of 1.0e-6"
        );
    }
}
