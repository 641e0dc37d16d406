//! `cargo xtask compare`: the library's comparison over the registry, with a command line around it.

mod peers;

use std::fs;
use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use kantorovich::Registry;
use ot_compare::table::{self, Timings};
use ot_compare::{Event, MemoryMeter, Report, baseline, page};

use crate::{Outcome, PEAK, workspace};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these backends, by name; with --peers only their duels
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    backends: Vec<String>,
    /// Only these problems, by name or group (digits, images, documents, …, scale, applications, continuous)
    ///
    /// With --peers, only the duels on these problems: `scale` stands for random clouds, iterations, batches and small
    /// problems, a name such as scale-d2-1000 for the clouds and iterations of that size.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    problems: Vec<String>,
    /// Solves per row at most; their median is shown [default: 5, 1 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    repeat: Option<u32>,
    /// Print the report as JSON on standard output instead of the table
    #[arg(long)]
    json: bool,
    /// An earlier report.json: fail where accuracy has become worse, or a row that was asked for is gone
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Threads that a solve may use
    #[arg(long, value_name = "T", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    threads: u32,
    /// Limit of one solve, in seconds; exact solvers get four times as much
    #[arg(long, value_name = "S", default_value_t = 3.0)]
    time_limit: f64,
    /// Leave out the larger problems, the ε sweep and the trainings
    #[arg(long)]
    quick: bool,
    /// Also run POT and SciPy on the same arrays, in turn; `all`: OTT-JAX too, and GeomLoss where installed
    #[arg(long, value_name = "WHICH", num_args = 0..=1, default_missing_value = "pot")]
    peers: Option<peers::Choice>,
    /// Where report.json and report.html go [default: target/compare]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let root = workspace::root();
    // Read first: a baseline that can't be read should not cost a whole run.
    let before = args.baseline.as_deref().map(baseline::read).transpose()?;
    let time_limit = Duration::try_from_secs_f64(args.time_limit)
        .map_err(|e| format!("`time-limit` = {}: {e}", args.time_limit))?;
    let wanted = ot_compare::Args {
        backends: args.backends.clone(),
        problems: args.problems.clone(),
        repeat: args.repeat.unwrap_or(if args.quick { 1 } else { 5 }) as usize,
        threads: args.threads as usize,
        quick: args.quick,
        time_limit,
        date: workspace::date(),
        command: std::env::args()
            .skip(1)
            .fold("cargo xtask".to_owned(), |line, arg| line + " " + &arg),
        machine: workspace::machine(),
    };
    let bar = bar();
    let mut tell = |event: Event<'_>| match event {
        Event::Rows(rows) => bar.set_length(rows as u64),
        Event::Row { problem, label } => {
            bar.set_message(format!("{problem} · {label}"));
            bar.inc(1);
        }
        _ => {}
    };
    let registry = Registry::new();
    let mut meter = Meter::default();
    let mut report = ot_compare::run(&root, &registry, &wanted, &mut meter, &mut tell)?;
    if let Some(choice) = args.peers {
        let duels = peers::Wanted {
            backends: &args.backends,
            problems: &args.problems,
        };
        let mut next = |what: &str| {
            if bar.is_hidden() {
                eprintln!("peers · {what}");
            }
            bar.set_message(format!("peers · {what}"));
        };
        report.peers = Some(peers::run(
            &root, &registry, choice, duels, args.quick, &mut next,
        )?);
    }
    bar.finish_and_clear();

    let folder = args
        .out
        .clone()
        .unwrap_or_else(|| root.join("target/compare"));
    let json = write(&report, &folder)?;
    if args.json {
        println!("{json}");
    } else {
        print!("{}", table::render(&report, Timings::Shown));
        if let Some(peers) = &report.peers {
            println!("{}", table::render_peers(peers));
        }
        println!(
            "{} in {:.0} s",
            folder.join("report.html").display(),
            report.setup.total_seconds
        );
    }
    Ok(before.map_or(ExitCode::SUCCESS, |before| judge(&before, &report, &wanted)))
}

/// Writes both files and returns the JSON.
fn write(report: &Report, folder: &PathBuf) -> Result<String, Box<dyn std::error::Error>> {
    fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let json = serde_json::to_string_pretty(report)?;
    for (name, text) in [
        ("report.json", &json),
        ("report.html", &page::render(report)),
    ] {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(json)
}

/// Prints what has become worse than in the baseline or is gone, and fails if anything is, or if nothing could be
/// compared.
fn judge(before: &Report, now: &Report, asked: &ot_compare::Args) -> ExitCode {
    let verdict = baseline::compare(before, now, asked);
    if verdict.left_out > 0 {
        eprintln!(
            "baseline: {} rows of other backends or problems were left out",
            verdict.left_out
        );
    }
    for line in &verdict.missing {
        eprintln!("missing: {line}");
    }
    for line in &verdict.worse {
        eprintln!("worse: {line}");
    }
    eprintln!(
        "baseline: {} rows compared, {} worse, {} missing",
        verdict.compared,
        verdict.worse.len(),
        verdict.missing.len()
    );
    if verdict.passes() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// On a terminal only; nothing when piped.
fn bar() -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:28} {pos}/{len}  {msg}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The peak of the global allocator beyond what was in use at the start.
#[derive(Default)]
struct Meter {
    before: usize,
}

impl MemoryMeter for Meter {
    fn start(&mut self) {
        PEAK.reset_peak_usage();
        self.before = PEAK.current_usage();
    }

    fn extra(&mut self) -> Option<u64> {
        Some(PEAK.peak_usage().saturating_sub(self.before) as u64)
    }
}
