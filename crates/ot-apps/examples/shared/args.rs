//! The options that examples on digits share, and the digits.

#[path = "options.rs"]
mod options;

use std::path::{Path, PathBuf};

use ot_apps::Images;

pub(crate) use options::{Args, Outcome};

impl Args {
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
