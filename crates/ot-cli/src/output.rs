//! The files that a solve writes: the plan and the potentials.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use kantorovich::{Plan, Potentials, Solution};
use ot_data::{DataError, npy, npz};

use crate::args::SolveArgs;
use crate::exit::Failure;

/// Where to write, checked before the solve: a wrong folder must not cost an hour of work.
pub(crate) struct Outputs {
    plan: Option<(PathBuf, PlanFormat)>,
    potentials: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq)]
enum PlanFormat {
    Dense,
    Coordinates,
}

impl Outputs {
    /// Checks names, formats and that the files can be made. Nothing is written yet.
    pub(crate) fn check(args: &SolveArgs) -> Result<Self, Failure> {
        let mut plan = None;
        if let Some(path) = &args.plan_out {
            let format = match extension(path).as_deref() {
                Some("npy") => PlanFormat::Dense,
                Some("npz") => PlanFormat::Coordinates,
                _ => return Err(wrong_name("plan-out", path, ".npy or .npz")),
            };
            check_writable("plan-out", path)?;
            plan = Some((path.clone(), format));
        }
        if let Some(path) = &args.potentials_out {
            if extension(path).as_deref() != Some("npz") {
                return Err(wrong_name("potentials-out", path, ".npz"));
            }
            if args.plan_out.as_deref().is_some_and(|p| same_file(p, path)) {
                let problem = format!("{} is already --plan-out", path.display());
                return Err(Failure::option("potentials-out", problem));
            }
            check_writable("potentials-out", path)?;
        }
        Ok(Self {
            plan,
            potentials: args.potentials_out.clone(),
        })
    }

    /// Writes what was asked for.
    pub(crate) fn write(&self, solution: &Solution) -> Result<(), Failure> {
        if let Some((path, format)) = &self.plan {
            let written = match format {
                PlanFormat::Dense => write_dense(path, &solution.plan),
                PlanFormat::Coordinates => write_coordinates(path, &solution.plan),
            };
            written.map_err(|e| Failure::option("plan-out", e))?;
        }
        if let Some(path) = &self.potentials {
            write_potentials(path, &solution.potentials)
                .map_err(|e| Failure::option("potentials-out", e))?;
        }
        Ok(())
    }
}

/// Whether two names mean one file, however their folders are spelt.
fn same_file(one: &Path, other: &Path) -> bool {
    let resolved = |path: &Path| {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        let folder = fs::canonicalize(folder.unwrap_or(Path::new("."))).ok()?;
        Some(folder.join(path.file_name()?))
    };
    one == other || resolved(one).is_some_and(|one| Some(one) == resolved(other))
}

fn extension(path: &Path) -> Option<String> {
    Some(path.extension()?.to_string_lossy().to_ascii_lowercase())
}

fn wrong_name(option: &str, path: &Path, wanted: &str) -> Failure {
    Failure::option(
        option,
        format!("{}: the name must end in {wanted}", path.display()),
    )
}

/// Opens the file for writing without harming what is in it, and leaves no trace of a new one.
fn check_writable(option: &str, path: &Path) -> Result<(), Failure> {
    let existing = fs::symlink_metadata(path);
    if let Ok(about) = &existing
        && !(about.is_file() || about.is_dir() || about.is_symlink())
    {
        // Opening a pipe or a device may have effects; the answer will be the first to do so.
        return Ok(());
    }
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    match opened {
        Ok(_) if existing.is_ok() => Ok(()),
        // Whatever became of the probe, the answer will be written over it.
        Ok(_) => fs::remove_file(path).or(Ok(())),
        Err(error) => Err(Failure::option(
            option,
            format!("{}: cannot create: {error}", path.display()),
        )),
    }
}

fn write_dense(path: &Path, plan: &Plan) -> Result<(), DataError> {
    let (n, m) = plan.shape();
    match plan {
        Plan::Dense(dense) => npy::write(path, &[n, m], dense.data()),
        other => npy::write(path, &[n, m], other.to_dense().data()),
    }
}

/// The non-zeros row by row: `row`, `col` (int64), `value` (float64), `shape`.
fn write_coordinates(path: &Path, plan: &Plan) -> Result<(), DataError> {
    let (mut row, mut col, mut value) = (Vec::new(), Vec::new(), Vec::new());
    plan.for_each_above(0.0, |i, j, p| {
        row.push(i as i64);
        col.push(j as i64);
        value.push(p);
    });
    let (n, m) = plan.shape();
    let mut writer = npz::Writer::create(path)?;
    writer.add("row", &[row.len()], &row)?;
    writer.add("col", &[col.len()], &col)?;
    writer.add("value", &[value.len()], &value)?;
    writer.add("shape", &[2], &[n as i64, m as i64])?;
    writer.finish()
}

fn write_potentials(path: &Path, potentials: &Potentials) -> Result<(), DataError> {
    let mut writer = npz::Writer::create(path)?;
    writer.add("f", &[potentials.f.len()], &potentials.f)?;
    writer.add("g", &[potentials.g.len()], &potentials.g)?;
    writer.finish()
}
