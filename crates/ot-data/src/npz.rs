//! NumPy's `.npz`: named arrays in a ZIP archive, stored or deflated.
//!
//! Reading inflates one array at a time; memory is that array's size.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::input::{self, CHUNK, MOST_EXPANSION};
use crate::{DataError, Element, Loaded, npy};

const FORMAT: &str = ".npz archive";

/// An open archive.
///
/// ```
/// # fn main() -> Result<(), ot_data::DataError> {
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let path = folder.path().join("fg.npz");
/// use ot_data::npz::{Archive, Writer};
/// let mut writer = Writer::create(&path)?;
/// writer.add("f", &[2], &[0.5, -0.5])?;
/// writer.add("g", &[3], &[0.0, 1.0, 2.0])?;
/// writer.finish()?;
///
/// let mut archive = Archive::open(&path)?;
/// assert_eq!(archive.keys(), ["f", "g"]);
/// assert_eq!(archive.read("g")?.into_vector()?.to_vec(), [0.0, 1.0, 2.0]);
/// # Ok(())
/// # }
/// ```
pub struct Archive<R = BufReader<File>> {
    zip: ZipArchive<R>,
    path: PathBuf,
}

impl Archive {
    /// Opens an archive and reads its directory.
    ///
    /// # Errors
    /// A missing file, or one that is no ZIP archive.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let (file, _) = input::open(path)?;
        Self::from_reader(BufReader::with_capacity(CHUNK, file), path)
    }
}

impl<R: Read + Seek> Archive<R> {
    /// Opens an archive from anything that can seek. `path` is what errors call it.
    ///
    /// # Errors
    /// As [`open`](Archive::open).
    pub fn from_reader(mut source: R, path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let failed = |e| DataError::io(path, "read", e);
        let mut magic = Vec::new();
        input::take(&mut source, 4, &mut magic).map_err(failed)?;
        // PK\x03\x04 begins an archive, PK\x05\x06 one without entries.
        if !matches!(&magic[..], b"PK\x03\x04" | b"PK\x05\x06") {
            return Err(DataError::WrongMagic {
                path: path.to_owned(),
                format: "a .npz archive",
                found: magic,
            });
        }
        source.rewind().map_err(failed)?;
        let zip = ZipArchive::new(source).map_err(|e| zip_error(e, path))?;
        Ok(Self {
            zip,
            path: path.to_owned(),
        })
    }

    /// The arrays' names, in the order of the archive.
    pub fn keys(&self) -> Vec<String> {
        self.zip
            .file_names()
            .filter_map(|name| Some(name.ok()?.strip_suffix(".npy")?.to_owned()))
            .collect()
    }

    /// Reads the array of that name.
    ///
    /// # Errors
    /// [`MissingKey`](DataError::MissingKey), what [`npy::read`](fn@npy::read) has, and a damaged
    /// archive.
    pub fn read(&mut self, key: &str) -> Result<Loaded, DataError> {
        let path = located(&self.path, key);
        let Some(index) = self.zip.index_for_name(&format!("{key}.npy")) else {
            return Err(DataError::MissingKey {
                path: self.path.clone(),
                key: key.to_owned(),
                keys: self.keys(),
            });
        };
        let mut entry = self.zip.by_index(index).map_err(|e| zip_error(e, &path))?;
        // The archive's own figures may lie: trust the smaller of the claim and what deflate could give.
        let most = entry.compressed_size().saturating_mul(MOST_EXPANSION);
        let length = entry.size().min(most);
        npy::read_from(&mut entry, Some(length), &path)
    }

    /// Reads the only array.
    ///
    /// # Errors
    /// [`Empty`](DataError::Empty) and [`AmbiguousKey`](DataError::AmbiguousKey) where there is not
    /// exactly one, and as [`read`](Self::read).
    pub fn read_only(&mut self) -> Result<Loaded, DataError> {
        let keys = self.keys();
        match &keys[..] {
            [] => Err(DataError::Empty {
                path: self.path.clone(),
            }),
            [key] => self.read(key),
            _ => Err(DataError::AmbiguousKey {
                path: self.path.clone(),
                keys,
            }),
        }
    }
}

/// `archive.npz:key`, as errors and [`crate::read`](fn@crate::read) name an array in an archive.
fn located(archive: &Path, key: &str) -> PathBuf {
    let mut name = archive.as_os_str().to_owned();
    name.push(":");
    name.push(key);
    name.into()
}

fn zip_error(error: ZipError, path: &Path) -> DataError {
    match error {
        ZipError::Io(e) if e.kind() != std::io::ErrorKind::UnexpectedEof => {
            DataError::io(path, "read", e)
        }
        ZipError::UnsupportedArchive(_) => DataError::malformed(
            path,
            FORMAT,
            "entries are stored or deflated, and not encrypted",
        ),
        _ => DataError::malformed(path, FORMAT, "the directory at its end is whole"),
    }
}

/// Writes an archive, one array at a time.
///
/// Arrays are stored, not deflated: numbers hardly shrink, and NumPy can map stored ones.
/// Without [`finish`](Self::finish) the file is not a valid archive.
pub struct Writer {
    zip: ZipWriter<BufWriter<File>>,
    path: PathBuf,
}

impl Writer {
    /// Creates the file.
    ///
    /// # Errors
    /// [`Io`](DataError::Io).
    pub fn create(path: impl AsRef<Path>) -> Result<Self, DataError> {
        let path = path.as_ref();
        let file = File::create(path).map_err(|e| DataError::io(path, "create", e))?;
        let zip = ZipWriter::new(BufWriter::with_capacity(CHUNK, file));
        Ok(Self {
            zip,
            path: path.to_owned(),
        })
    }

    /// Adds an array, given by its shape and its elements in C order.
    ///
    /// # Errors
    /// As [`npy::write`]; a name may be used once.
    pub fn add<T: Element>(
        &mut self,
        key: &str,
        shape: &[usize],
        values: &[T],
    ) -> Result<(), DataError> {
        const ZIP32_LIMIT: usize = u32::MAX as usize - (1 << 17);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(size_of_val(values) > ZIP32_LIMIT);
        let located = located(&self.path, key);
        npy::check_shape(shape, values.len(), &located)?;
        self.zip
            .start_file(format!("{key}.npy"), options)
            .map_err(|e| write_error(e, &self.path))?;
        npy::write_to(&mut self.zip, shape, values, located)
    }

    /// Writes the directory and closes the file.
    ///
    /// # Errors
    /// [`Io`](DataError::Io).
    pub fn finish(self) -> Result<(), DataError> {
        let mut sink = self.zip.finish().map_err(|e| write_error(e, &self.path))?;
        sink.flush()
            .map_err(|e| DataError::io(&self.path, "write", e))
    }
}

fn write_error(error: ZipError, path: &Path) -> DataError {
    DataError::io(path, "write", error.into())
}
