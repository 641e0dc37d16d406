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
            bar.set_message(if p.error.is_finite() {
                format!(
                    "iteration {}, error {:.1e} of {:.1e}",
                    p.iteration, p.error, p.tol
                )
            } else {
                format!("iteration {}", p.iteration)
            });
            ControlFlow::Continue(())
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
