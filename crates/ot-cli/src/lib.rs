//! The command `ot`, as a library call over a registry: a binary of your own has every subcommand with your solver
//! in it.
//!
//! ```no_run
//! use kantorovich::Registry;
//!
//! fn main() -> std::process::ExitCode {
//!     ot_cli::main(&Registry::new()) // .with(MyFactory)
//! }
//! ```
//!
//! The example `own_solver` is a whole program. [`Cli`] is the same with its streams and its memory probe in the
//! caller's hands; [`run`] is the short form for tests and scripts.
//!
//! # What scripts may rely on
//! | exit status | standard output | standard error |
//! |---|---|---|
//! | 0 ([`Exit::Solved`]) | the report, or one JSON object with `--json` | nothing, unless it is a terminal (progress) |
//! | 2 ([`Exit::Usage`]) | nothing | one line: the option or argument, the value and the rule |
//! | 3 ([`Exit::NotConverged`]) | the report, as for 0; without an answer where there is none | nothing |
//! | 4 ([`Exit::Infeasible`]) | nothing | one line: the set of sources that proves it |
//! | 130, 143 | nothing | nothing: SIGINT (Ctrl-C) or SIGTERM ended it |
//!
//! On Unix the first of these signals during a solve that can be interrupted cancels it, with status 3 and the
//! termination `cancelled`; a second one, or one at any other time, ends the process. No half-written file is left.
#![forbid(unsafe_code)]

mod adapt;
mod args;
mod backends;
mod barycenter;
mod classify;
mod distances;
mod exit;
mod input;
mod interrupt;
mod many;
mod memory;
mod output;
mod progress;
mod report;
mod solve;
mod transfer;
mod tree;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use kantorovich::{Registry, check_environment};

use args::{Args, Command};
pub use exit::Exit;
use exit::{Failure, one_line};
pub use memory::MemoryProbe;
pub use peak_alloc::PeakAlloc;

/// The command over the arguments and streams of the process: what a binary's `main` returns.
///
/// `extra_bytes` is reported where [`PeakAlloc`] is the binary's global allocator. A progress bar is drawn where
/// standard error is a terminal. On Unix, SIGINT and SIGTERM are handled as the crate's page says.
#[must_use]
pub fn main(registry: &Registry) -> ExitCode {
    interrupt::listen();
    let cli = Cli::new(registry)
        .memory(&PeakAlloc)
        .progress(io::stderr().is_terminal());
    let (mut stdout, mut stderr) = (io::stdout().lock(), io::stderr());
    cli.run(std::env::args_os(), &mut stdout, &mut stderr)
        .into()
}

/// Runs the command with `args` (the program's name first), without progress and memory figures.
pub fn run<A, T>(
    registry: &Registry,
    args: A,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> Exit
where
    A: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    Cli::new(registry).run(args, stdout, stderr)
}

/// The command `ot` over a registry.
pub struct Cli<'a> {
    registry: &'a Registry,
    memory: Option<&'a dyn MemoryProbe>,
    progress: bool,
}

impl<'a> Cli<'a> {
    /// Without a memory probe and without progress.
    #[must_use]
    pub fn new(registry: &'a Registry) -> Self {
        Self {
            registry,
            memory: None,
            progress: false,
        }
    }

    /// With something that counts allocations; without it `extra_bytes` is null.
    #[must_use]
    pub fn memory(mut self, probe: &'a dyn MemoryProbe) -> Self {
        self.memory = Some(probe);
        self
    }

    /// With or without a progress bar on the process's standard error.
    #[must_use]
    pub fn progress(mut self, shown: bool) -> Self {
        self.progress = shown;
        self
    }

    /// Runs the command with `args`, the program's name first. A reader of `stdout` that goes away is no error.
    pub fn run<A, T>(&self, args: A, stdout: &mut dyn Write, stderr: &mut dyn Write) -> Exit
    where
        A: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let outcome = match Args::try_parse_from(args) {
            Ok(args) => self.dispatch(args.command),
            Err(shown)
                if matches!(
                    shown.kind(),
                    ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
                ) =>
            {
                Ok((shown.render().to_string(), Exit::Solved))
            }
            Err(error) => Err(Failure::usage(args::squeeze(&error))),
        };
        let failure = match outcome {
            Ok((text, exit)) => match print(&text, stdout) {
                Ok(()) => return exit,
                Err(error) => Failure::usage(format!("standard output: {error}")),
            },
            Err(failure) => failure,
        };
        // Nothing is left to be done if standard error is gone as well.
        let _ = writeln!(stderr, "error: {}", one_line(failure.message()));
        failure.exit()
    }

    /// What is to be printed, and the exit status that goes with it.
    fn dispatch(&self, command: Command) -> Result<(String, Exit), Failure> {
        check_environment()?;
        match command {
            Command::Solve(args) => solve::run(self, &args),
            Command::Adapt(args) => adapt::run(self, &args),
            Command::Classify(args) => classify::run(self, &args),
            Command::Transfer(args) => transfer::run(self, &args),
            Command::Distances(args) => distances::run(self, &args),
            Command::Barycenter(args) => barycenter::run(self, &args),
            Command::Backends(args) => Ok((backends::list(self.registry, args.json), Exit::Solved)),
        }
    }
}

fn print(text: &str, stdout: &mut dyn Write) -> io::Result<()> {
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}
