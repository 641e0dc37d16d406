//! The workspace's own commands. `cargo xtask` lists them; one module a command.
#![forbid(unsafe_code)]

mod ci;
mod compare;
mod fixtures;
mod new_solver;
mod python;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Counts what the process allocates, for the comparison's memory column.
#[global_allocator]
static PEAK: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

/// What a command returns when it fails: one message for standard error.
type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

#[derive(Parser)]
#[command(
    bin_name = "cargo xtask",
    about = "The workspace's own commands",
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every backend on real problems: table, report.json, report.html
    Compare(compare::Args),
    /// Make crates/solver-NAME with all rooms, wired into workspace, facade and registry
    NewSolver(new_solver::Args),
    /// Compute the fixtures' expected values anew, from a pinned environment, and compare
    Fixtures,
    /// What continuous integration runs: formatting, lints, documentation, tests, feature sets
    Ci(ci::Args),
}

fn run(command: &Command) -> Outcome {
    kantorovich::check_environment()?;
    match command {
        Command::Compare(args) => compare::run(args),
        Command::NewSolver(args) => new_solver::run(args),
        Command::Fixtures => fixtures::run(),
        Command::Ci(args) => ci::run(args),
    }
}

fn main() -> ExitCode {
    run(&Cli::parse().command).unwrap_or_else(|error| {
        eprintln!("xtask: {error}");
        ExitCode::from(2)
    })
}
