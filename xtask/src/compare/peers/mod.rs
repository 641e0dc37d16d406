//! `--peers`: our solvers beside POT, SciPy and others, on the same arrays, in the same run, in turn.

mod cases;
mod duel;
mod worker;

use std::path::Path;

use kantorovich::Registry;
use ot_compare::report::Peers;
use serde_json::json;

pub(super) use cases::Wanted;

use crate::python::Environment;
use worker::Worker;

/// Which peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Choice {
    /// POT and SciPy.
    Pot,
    /// OTT-JAX too, and GeomLoss where it is installed.
    All,
}

/// Runs every comparison that the registry's backends allow. `tell` is told what comes next.
pub(crate) fn run(
    root: &Path,
    registry: &Registry,
    choice: Choice,
    wanted: Wanted<'_>,
    quick: bool,
    tell: &mut dyn FnMut(&str),
) -> Result<Peers, Box<dyn std::error::Error>> {
    let folder = root.join("xtask/peers");
    let environment = Environment::at(&root.join("target/peers/venv"));
    tell("making the Python environment");
    let mut python = environment.with(&folder.join("requirements.txt"))?;
    if choice == Choice::All {
        python = environment.with(&folder.join("requirements-all.txt"))?;
    }
    let mut worker = Worker::start(&python, &folder.join("worker.py"))?;
    let versions = worker.call(&json!({"op": "versions"}))?.said;
    let has = |name: &str| choice == Choice::All && versions.iter().any(|v| v.starts_with(name));
    let extra = cases::Extra {
        ott: has("OTT-JAX"),
        geomloss: has("GeomLoss"),
    };
    let arrays = root.join("target/peers/arrays");
    std::fs::create_dir_all(&arrays).map_err(|e| format!("{}: {e}", arrays.display()))?;
    let rows = cases::all(
        root,
        &arrays,
        registry,
        wanted,
        extra,
        quick,
        &mut worker,
        tell,
    )?;
    Ok(Peers {
        versions,
        method: "One thread each unless said. Both sides get the same arrays, cost matrix included, and are timed around \
                 the solver's call alone, taking turns; times and ratios are medians over the turns. The ratio is \
                 the peer's time over ours; for a floor, the floor's."
            .to_owned(),
        rows,
    })
}
