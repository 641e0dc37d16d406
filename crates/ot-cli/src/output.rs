//! The files that a solve writes: the plan and the potentials.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use kantorovich::{Plan, Potentials, Solution};
use ot_data::{DataError, Element, npy, npz, png};

use crate::args::SolveArgs;
use crate::exit::{Failure, named};
use crate::interrupt::{self, Held};

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

    /// Writes what was asked for: all of it, or nothing.
    pub(crate) fn write(&self, solution: &Solution) -> Result<(), Failure> {
        let mut parts = Vec::new();
        if let Some((path, format)) = &self.plan {
            parts.push(Part::write("plan-out", path, |path| match format {
                PlanFormat::Dense => write_dense(path, &solution.plan),
                PlanFormat::Coordinates => write_coordinates(path, &solution.plan),
            })?);
        }
        if let Some(path) = &self.potentials {
            parts.push(Part::write("potentials-out", path, |path| {
                write_potentials(path, &solution.potentials)
            })?);
        }
        keep_all(parts)
    }
}

/// Where one array goes, checked before the work.
pub(crate) struct ArrayOut {
    option: &'static str,
    path: PathBuf,
}

impl ArrayOut {
    /// A file whose name ends in .npy and that can be made.
    pub(crate) fn check(option: &'static str, path: &Path) -> Result<Self, Failure> {
        Self::named(option, path, "npy")
    }

    /// The same for an image, .png.
    pub(crate) fn check_image(option: &'static str, path: &Path) -> Result<Self, Failure> {
        Self::named(option, path, "png")
    }

    fn named(option: &'static str, path: &Path, format: &str) -> Result<Self, Failure> {
        if extension(path).as_deref() != Some(format) {
            return Err(wrong_name(option, path, &format!(".{format}")));
        }
        check_writable(option, path)?;
        let path = path.to_owned();
        Ok(Self { option, path })
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        same_file(&self.path, &other.path)
    }

    /// An error where the file is one that is read: it would be lost.
    pub(crate) fn is_none_of(&self, inputs: &[(&str, Option<&Path>)]) -> Result<(), Failure> {
        let is_read = |(_, path): &&(&str, Option<&Path>)| {
            path.is_some_and(|path| same_file(&self.path, path))
        };
        let Some((option, _)) = inputs.iter().find(is_read) else {
            return Ok(());
        };
        let rule = format!("{} is already {}", self.path.display(), named(option));
        Err(Failure::option(self.option, rule))
    }

    /// The whole image, or nothing.
    pub(crate) fn write_image(&self, shape: &[usize], levels: &[u8]) -> Result<(), Failure> {
        let part = Part::write(self.option, &self.path, |path| {
            png::write(path, shape, levels)
        })?;
        keep_all(vec![part])
    }

    /// The whole array, or nothing.
    pub(crate) fn write<T: Element>(&self, shape: &[usize], values: &[T]) -> Result<(), Failure> {
        let part = Part::write(self.option, &self.path, |path| {
            npy::write(path, shape, values)
        })?;
        keep_all(vec![part])
    }
}

/// What a table that is not finished belongs to, kept beside it.
pub(crate) struct Record(PathBuf);

impl Record {
    /// Beside `path`: `D.run.npz` for `D.npy`.
    pub(crate) fn beside(path: &Path) -> Self {
        Self(path.with_extension("run.npz"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The problem's fingerprint, and the places of entries that fell short of their tolerance.
    pub(crate) fn write(&self, print: u64, short: &[usize]) -> Result<(), Failure> {
        // Their number in front: a list of none could not be read.
        let places = [short.len()].into_iter().chain(short.iter().copied());
        let short: Vec<i64> = places.map(|place| place as i64).collect();
        let part = Part::write("out", &self.0, |path| {
            let mut writer = npz::Writer::create(path)?;
            writer.add("problem", &[1], &[print.cast_signed()])?;
            writer.add("unconverged", &[short.len()], &short)?;
            writer.finish()
        })?;
        keep_all(vec![part])
    }

    pub(crate) fn read(&self) -> Result<(u64, Vec<usize>), Failure> {
        let failed = |e| Failure::option("resume", e);
        let mut archive = npz::Archive::open(&self.0).map_err(failed)?;
        let mut read = |key| archive.read(key)?.into_labels();
        let print = read("problem").map_err(failed)?;
        let short = read("unconverged").map_err(failed)?;
        let print = print.first().map_or(0, |print| print.cast_unsigned());
        let places = short
            .iter()
            .skip(1)
            .filter_map(|&place| usize::try_from(place).ok());
        Ok((print, places.collect()))
    }

    pub(crate) fn remove(&self) {
        // Where there is none, and where it can't be removed: writing says so, if it must be written.
        let _ = fs::remove_file(&self.0);
    }
}

/// Puts all files in their places. A signal finds all of them there, or none.
fn keep_all(mut parts: Vec<Part<'_>>) -> Result<(), Failure> {
    let mut held = interrupt::hold();
    let kept = parts.iter_mut().try_for_each(|part| part.keep(&mut held));
    // Before the parts, which hold for themselves what is left of them.
    drop(held);
    kept
}

/// A file that is written beside its place, and put there once everything is written. Dropped, it leaves no trace, nor
/// if a signal ends the process.
struct Part<'a> {
    option: &'static str,
    path: &'a Path,
    /// Where it stands meanwhile; `None` for what can't be replaced, such as a link or a pipe, which is written itself.
    beside: Option<PathBuf>,
}

impl<'a> Part<'a> {
    fn write(
        option: &'static str,
        path: &'a Path,
        write: impl FnOnce(&Path) -> Result<(), DataError>,
    ) -> Result<Self, Failure> {
        let beside = beside(path);
        let part = Self {
            option,
            path,
            beside,
        };
        let place = part.beside.as_deref().unwrap_or(path);
        let failed = |e: DataError| {
            // The name that was asked for, not the one it has meanwhile.
            let said = e.to_string();
            let said = said.replace(&*place.to_string_lossy(), &path.to_string_lossy());
            Failure::option(option, said)
        };
        write(place).map_err(failed)?;
        Ok(part)
    }

    fn keep(&mut self, held: &mut Held) -> Result<(), Failure> {
        if let Some(beside) = &self.beside {
            fs::rename(beside, self.path).map_err(|e| {
                Failure::option(
                    self.option,
                    format!("{}: cannot write: {e}", self.path.display()),
                )
            })?;
            held.forget(beside);
            self.beside = None;
        }
        Ok(())
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            // Nothing more can be done about a file that can't be removed.
            let _ = fs::remove_file(beside);
            interrupt::hold().forget(beside);
        }
    }
}

/// A name in the same folder, where a file can be made there and `path` is a file or nothing yet.
fn beside(path: &Path) -> Option<PathBuf> {
    if fs::symlink_metadata(path).is_ok_and(|about| !about.is_file()) {
        return None;
    }
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name()?);
    name.push(format!(".{}.part", std::process::id()));
    let beside = path.with_file_name(name);
    let mut held = interrupt::hold();
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&beside);
    made.ok()?;
    held.add(&beside);
    drop(held);
    if let Ok(about) = fs::metadata(path) {
        // A file that is replaced keeps its permissions, where the system lets us.
        let _ = fs::set_permissions(&beside, about.permissions());
    }
    Some(beside)
}

/// Whether two names mean one file, however their folders are spelt.
fn same_file(one: &Path, other: &Path) -> bool {
    let resolved = |path: &Path| {
        // A link is the file that it leads to.
        if let Ok(whole) = fs::canonicalize(path) {
            return Some(whole);
        }
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
    // What exists may be a link to a pipe, which opens in its own time: no signal may wait for that.
    let _held = existing.is_err().then(interrupt::hold);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_half_way_leaves_the_old_file_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.npy");
        let names = || fs::read_dir(folder.path()).unwrap().count();
        let half = |place: &Path| {
            fs::write(place, b"half").unwrap();
            Err(DataError::Io {
                path: place.to_owned(),
                action: "write",
                source: std::io::Error::other("the disk is full"),
            })
        };
        let said = |outcome: Result<Part<'_>, Failure>| outcome.err().unwrap().message().to_owned();
        let failed = said(Part::write("plan-out", &path, half));
        assert!(
            failed.starts_with("--plan-out: ") && failed.contains("/plan.npy: "),
            "{failed}"
        );
        assert_eq!(names(), 0);
        fs::write(&path, b"old").unwrap();
        said(Part::write("plan-out", &path, half));
        // The first of two files, where the second fails.
        let whole = |place: &Path| {
            fs::write(place, b"new").unwrap();
            Ok(())
        };
        drop(Part::write("plan-out", &path, whole).unwrap());
        assert_eq!((fs::read(&path).unwrap(), names()), (b"old".to_vec(), 1));
        let part = Part::write("plan-out", &path, whole).unwrap();
        keep_all(vec![part]).unwrap();
        assert_eq!((fs::read(&path).unwrap(), names()), (b"new".to_vec(), 1));
    }
}
