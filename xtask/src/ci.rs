//! `cargo xtask ci`: what `.ci/run` runs. Every step is a command that a person can run alone, and is printed as one.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::{Outcome, workspace};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print the steps and run nothing
    #[arg(long)]
    list: bool,
}

/// One command of cargo's, and the environment it needs.
struct Step {
    arguments: Vec<String>,
    environment: Option<(&'static str, &'static str)>,
}

impl Step {
    fn new(arguments: &str) -> Self {
        Self {
            arguments: arguments.split(' ').map(str::to_owned).collect(),
            environment: None,
        }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment = Some((name, value));
        self
    }

    /// As a person would type it.
    fn line(&self) -> String {
        let mut line = String::new();
        if let Some((name, value)) = self.environment {
            line += &format!("{name}='{value}' ");
        }
        line + "cargo " + &self.arguments.join(" ")
    }

    fn run(&self) -> Result<Duration, String> {
        let mut cargo = workspace::cargo();
        cargo.args(&self.arguments).current_dir(workspace::root());
        if let Some((name, value)) = self.environment {
            cargo.env(name, value);
        }
        workspace::run(&mut cargo)
    }
}

fn steps() -> Vec<Step> {
    let mut steps = vec![
        Step::new("fmt --all --check"),
        Step::new("clippy --workspace --all-targets -- -D warnings"),
        Step::new("doc --workspace --no-deps").with("RUSTDOCFLAGS", "-D warnings"),
        Step::new("test --workspace"),
    ];
    // Features only add, so each must compile alone, and so must none at all.
    let alone = "clippy -p kantorovich -p ot-cli --no-default-features";
    steps.push(Step::new(&format!("{alone} -- -D warnings")));
    steps.extend(
        backend_features()
            .iter()
            .map(|f| Step::new(&format!("{alone} --features {f} -- -D warnings"))),
    );
    steps
}

/// The facade's default backends, as its manifest lists them.
fn backend_features() -> Vec<String> {
    let manifest = include_str!("../../crates/kantorovich/Cargo.toml");
    let default = manifest
        .split_once("\ndefault = [")
        .and_then(|(_, rest)| rest.split_once(']'));
    let quoted = |list: &str| {
        list.split('"')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    default.map_or_else(Vec::new, |(list, _)| quoted(list))
}

pub(crate) fn run(args: &Args) -> Outcome {
    let begun = Instant::now();
    let steps = steps();
    for (k, step) in steps.iter().enumerate() {
        println!("[{}/{}] {}", k + 1, steps.len(), step.line());
        if !args.list {
            let took = step.run()?;
            println!(
                "[{}/{}] ok in {:.0} s",
                k + 1,
                steps.len(),
                took.as_secs_f64()
            );
        }
    }
    if !args.list {
        println!(
            "ci: all {} steps passed in {:.0} s",
            steps.len(),
            begun.elapsed().as_secs_f64()
        );
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_backend_is_checked_alone() {
        let features = backend_features();
        assert!(features.iter().any(|f| f == "sinkhorn"), "{features:?}");
        let lines: Vec<String> = steps().iter().map(Step::line).collect();
        for feature in features {
            let wanted = format!("--no-default-features --features {feature} ");
            assert!(lines.iter().any(|l| l.contains(&wanted)), "{feature}");
        }
        assert!(lines.iter().any(|l| l == "cargo test --workspace"));
    }
}
