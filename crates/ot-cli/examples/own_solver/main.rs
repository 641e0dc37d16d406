//! The command `ot` with a solver of your own in it.
//!
//! ```text
//! cargo run -p ot-cli --example own_solver -- backends
//! cargo run -p ot-cli --example own_solver -- solve --cost C.csv --backend shortest-paths
//! ```
#![forbid(unsafe_code)]

mod solver;

use std::process::ExitCode;

use kantorovich::Registry;

fn main() -> ExitCode {
    ot_cli::main(&Registry::new().with(solver::ShortestPaths))
}
