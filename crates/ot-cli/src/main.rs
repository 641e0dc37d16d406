//! The command `ot` over the backends that are compiled in.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use kantorovich::Registry;
use ot_cli::PeakAlloc;

// Counts what a solve allocates, for `extra_bytes`.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fn main() -> ExitCode {
    ot_cli::main(&Registry::new())
}
