//! The options that examples on digits share, and the digits.

use std::error::Error;
use std::path::{Path, PathBuf};

use ot_apps::Images;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// `--full`, `--data DIR` and counts such as `--seeds 3`.
pub(crate) struct Args {
    pub(crate) full: bool,
    data: Option<PathBuf>,
    counts: Vec<(String, usize)>,
}

impl Args {
    /// Of the process; `counts` are the names that take a number.
    pub(crate) fn read(counts: &[&str]) -> Outcome<Self> {
        let mut read = Self {
            full: false,
            data: None,
            counts: Vec::new(),
        };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("`{arg}` needs a value"));
            match arg.strip_prefix("--") {
                Some("full") => read.full = true,
                Some("data") => read.data = Some(value()?.into()),
                Some(name) if counts.contains(&name) => {
                    let text = value()?;
                    let count = text.parse().ok().filter(|count| *count > 0);
                    let count =
                        count.ok_or(format!("`{arg}` = {text}: must be a count, 1 or more"))?;
                    read.counts.push((name.to_owned(), count));
                }
                _ => {
                    let counts = counts.iter().map(|c| format!(", --{c} N"));
                    let known: String = counts.collect();
                    return Err(format!("`{arg}`: there are --full, --data DIR{known}").into());
                }
            }
        }
        Ok(read)
    }

    /// A count that was given, or the one of the quick or the full protocol.
    pub(crate) fn count(&self, name: &str, quick: usize, full: usize) -> usize {
        let given = self.counts.iter().rev().find(|(n, _)| n == name);
        given.map_or(if self.full { full } else { quick }, |(_, count)| *count)
    }

    /// The digits of a part, `train` or `t10k`: of `--data`, or the few of the fixtures.
    pub(crate) fn digits(&self, part: &str) -> Outcome<(Images, Vec<i64>)> {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
        let folder = self.data.clone().unwrap_or(fixtures);
        let images = find(&folder, &format!("{part}-images-idx3-ubyte"))?;
        let labels = find(&folder, &format!("{part}-labels-idx1-ubyte"))?;
        let images = ot_data::read(images)?.into_images()?;
        let (_, height, width) = images.dim();
        let pixels: Vec<f64> = images.into_iter().map(|p| p / 255.0).collect();
        let labels = ot_data::read(labels)?.into_labels()?;
        Ok((
            Images::new("images", (height, width), pixels)?,
            labels.to_vec(),
        ))
    }

    /// What a report says of the data.
    pub(crate) fn source(&self) -> String {
        match &self.data {
            Some(folder) => folder.display().to_string(),
            None => "fixtures/mnist".to_owned(),
        }
    }
}

/// The file in the folder, or in its subfolder `mnist`, gzipped or not.
fn find(folder: &Path, name: &str) -> Outcome<PathBuf> {
    let places = [folder.to_owned(), folder.join("mnist")];
    let names = [format!("{name}.gz"), name.to_owned()];
    for place in &places {
        for name in &names {
            if place.join(name).is_file() {
                return Ok(place.join(name));
            }
        }
    }
    let rule = "--data wants a folder with the four files of MNIST (train-images-idx3-ubyte, train-labels-idx1-ubyte, \
                t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, each gzipped or not), or with a subfolder `mnist` that has them";
    Err(format!("{}: there is no {name} here; {rule}", folder.display()).into())
}
