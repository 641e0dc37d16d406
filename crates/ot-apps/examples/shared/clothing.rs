//! The options of examples on clothing, Fashion-MNIST, and the clothing.

use std::error::Error;
use std::path::{Path, PathBuf};

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// `--full` and `--data DIR`.
pub(crate) struct Args {
    pub(crate) full: bool,
    pub(crate) data: Option<PathBuf>,
}

impl Args {
    pub(crate) fn read() -> Outcome<Self> {
        let (mut full, mut data) = (false, None);
        let mut given = std::env::args().skip(1);
        while let Some(argument) = given.next() {
            match argument.as_str() {
                "--full" => full = true,
                "--data" => data = Some(given.next().ok_or("`--data` needs a folder")?.into()),
                _ => return Err(format!("`{argument}`: there are --full, --data DIR").into()),
            }
        }
        Ok(Self { full, data })
    }

    /// Pixels of a part, `train` or `t10k`, from 0 to 1, and labels: of `--data`, or the few of the fixtures.
    pub(crate) fn clothing(&self, part: &str) -> Outcome<(Vec<f64>, Vec<usize>)> {
        let folder = match &self.data {
            Some(folder) => folder.join("fashion_mnist"),
            None => fixtures().join("fashion"),
        };
        let file = |kind: &str| {
            let path = folder.join(format!("{part}-{kind}-ubyte.gz"));
            let rule = "--data wants a folder with a subfolder fashion_mnist that has the four files of Fashion-MNIST \
                        (train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz)";
            match path.is_file() {
                true => Ok(path),
                false => Err(format!("{}: there is no such file; {rule}", path.display())),
            }
        };
        let images = ot_data::read(file("images-idx3")?)?.into_images()?;
        let labels = ot_data::read(file("labels-idx1")?)?.into_labels()?;
        let pixels = images.into_iter().map(|p| p / 255.0).collect();
        Ok((pixels, labels.iter().map(|l| *l as usize).collect()))
    }
}

/// The folder of the fixtures.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}
