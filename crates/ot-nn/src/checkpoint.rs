//! Files from which a training goes on, to the same bits.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Error, Layer, Network, Number, Optimizer, OptimizerState};

/// The key of the file's metadata under which everything that is no tensor stands.
const KEY: &str = "ot-nn";
/// Of the file's layout.
const VERSION: u32 = 1;

/// Everything that a training goes on from, by name: networks with their spectral vectors, optimizers with their means and
/// counts of steps, arrays, and whatever else serde can write, such as a random generator or a step count.
///
/// A file is in the format of safetensors, which other programs read: tensors by name, and one entry `ot-nn` of metadata, JSON,
/// with a checksum of all others. [`save`](Self::save) writes beside the file and renames, so that the file is whole at any
/// time: the old one or the new one. Numbers come back to the last bit.
///
/// ```
/// use ot_nn::{Adam, Checkpoint, Layer, Network, Optimizer};
/// use rand::SeedableRng;
/// use rand_pcg::Pcg64;
///
/// let mut network: Network = Network::new(&[Layer::linear(2, 3)], 0)?;
/// let (mut adam, mut rng) = (Adam::<f64>::new(1e-3), Pcg64::seed_from_u64(1));
/// # let folder = std::env::temp_dir().join("ot-nn-checkpoint-doc");
/// # std::fs::create_dir_all(&folder).unwrap();
/// # let path = folder.join("a.safetensors");
/// let mut saved = Checkpoint::new();
/// saved.put_network("critic", &network)?;
/// saved.put_optimizer("critic.adam", &adam)?;
/// saved.put("rng", &rng)?;
/// saved.save(&path)?;
///
/// let read = Checkpoint::load(&path)?;
/// read.restore_network("critic", &mut network)?;
/// read.restore_optimizer("critic.adam", &mut adam)?;
/// rng = read.get("rng")?;
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), ot_nn::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checkpoint {
    tensors: BTreeMap<String, Tensor>,
    notes: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq)]
struct Tensor {
    kind: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    crc32: u32,
    notes: BTreeMap<String, String>,
}

/// What stands beside the means of an optimizer.
#[derive(Serialize, Deserialize)]
struct OptimizerNote {
    kind: String,
    settings: Vec<f64>,
    steps: u64,
    means: usize,
}

impl Checkpoint {
    /// Without any entry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps numbers in any shape, row by row.
    ///
    /// # Errors
    /// Another number of values than the shape says.
    pub fn put_values<T: Number>(
        &mut self,
        name: &str,
        shape: &[usize],
        values: &[T],
    ) -> Result<(), Error> {
        if shape.iter().product::<usize>() != values.len() {
            return Err(Error::Shape {
                argument: "values",
                found: values.len(),
                expected: format!("the shape is {shape:?}"),
            });
        }
        let mut bytes = Vec::with_capacity(size_of_val(values));
        values.iter().for_each(|value| value.append(&mut bytes));
        let tensor = Tensor {
            kind: T::STORED,
            shape: shape.to_vec(),
            bytes,
        };
        self.tensors.insert(name.to_owned(), tensor);
        Ok(())
    }

    /// Shape and numbers of an entry that [`put_values`](Self::put_values) made.
    ///
    /// # Errors
    /// [`Error::Missing`], and an entry of another number type.
    pub fn values<T: Number>(&self, name: &str) -> Result<(&[usize], Vec<T>), Error> {
        let tensor = self.tensors.get(name).ok_or_else(|| missing(name))?;
        if tensor.kind != T::STORED {
            return Err(Error::Entry {
                name: name.to_owned(),
                found: format!("of {}", tensor.kind),
                expected: format!("is asked for as {}", T::STORED),
            });
        }
        let parts = tensor.bytes.chunks_exact(size_of::<T>());
        Ok((&tensor.shape, parts.filter_map(T::parse).collect()))
    }

    /// Keeps anything that serde writes, as JSON: numbers come back to the last bit, NaN and infinities do not.
    ///
    /// # Errors
    /// What cannot be written as JSON.
    pub fn put<S: Serialize>(&mut self, name: &str, value: &S) -> Result<(), Error> {
        let text = serde_json::to_string(value).map_err(|error| Error::Entry {
            name: name.to_owned(),
            found: format!("not to be written: {error}"),
            expected: "must be what JSON can hold".to_owned(),
        })?;
        self.notes.insert(name.to_owned(), text);
        Ok(())
    }

    /// What [`put`](Self::put) kept.
    ///
    /// # Errors
    /// [`Error::Missing`], and an entry of another type.
    pub fn get<S: DeserializeOwned>(&self, name: &str) -> Result<S, Error> {
        let text = self.notes.get(name).ok_or_else(|| missing(name))?;
        serde_json::from_str(text).map_err(|error| Error::Entry {
            name: name.to_owned(),
            found: format!("`{text}`"),
            expected: format!("it cannot be read as asked: {error}"),
        })
    }

    /// Keeps layers, parameters and spectral vectors.
    ///
    /// # Errors
    /// None for a network that was made by [`Network::new`].
    pub fn put_network<T: Number>(
        &mut self,
        name: &str,
        network: &Network<T>,
    ) -> Result<(), Error> {
        self.put(&format!("{name}.layers"), &network.layers())?;
        for (part, values) in [
            ("parameters", network.parameters()),
            ("vectors", network.vectors()),
        ] {
            self.put_values(&format!("{name}.{part}"), &[values.len()], values)?;
        }
        Ok(())
    }

    /// A network that [`put_network`](Self::put_network) kept.
    ///
    /// # Errors
    /// [`Error::Missing`], layers that make no network, numbers of another type or count.
    pub fn network<T: Number>(&self, name: &str) -> Result<Network<T>, Error> {
        let layers: Vec<Layer> = self.get(&format!("{name}.layers"))?;
        let mut network = Network::new(&layers, 0)?;
        self.restore_network(name, &mut network)?;
        Ok(network)
    }

    /// Parameters and spectral vectors into a network of the same layers. An error leaves it as it was.
    ///
    /// # Errors
    /// [`Error::Missing`], and a checkpoint of other layers, or of numbers of another type or count.
    pub fn restore_network<T: Number>(
        &self,
        name: &str,
        network: &mut Network<T>,
    ) -> Result<(), Error> {
        let layers: Vec<Layer> = self.get(&format!("{name}.layers"))?;
        if layers != network.layers() {
            return Err(Error::Entry {
                name: format!("{name}.layers"),
                found: format!("{layers:?}"),
                expected: format!("the network has {:?}", network.layers()),
            });
        }
        let of = |part: &str, count: usize| {
            let name = format!("{name}.{part}");
            let (shape, values) = self.values::<T>(&name)?;
            if values.len() == count {
                return Ok(values);
            }
            Err(Error::Entry {
                found: format!("of shape {shape:?}"),
                expected: format!("the network has {count}"),
                name,
            })
        };
        let parameters = of("parameters", network.parameters().len())?;
        let vectors = of("vectors", network.vectors().len())?;
        network.parameters_mut().copy_from_slice(&parameters);
        network.vectors_mut().copy_from_slice(&vectors);
        Ok(())
    }

    /// Keeps an optimizer's settings, means and count of steps.
    ///
    /// # Errors
    /// Settings that are not finite.
    pub fn put_optimizer<T: Number>(
        &mut self,
        name: &str,
        optimizer: &dyn Optimizer<T>,
    ) -> Result<(), Error> {
        let state = optimizer.state();
        let note = OptimizerNote {
            means: state.means.len(),
            kind: state.kind,
            settings: state.settings,
            steps: state.steps,
        };
        self.put(name, &note)?;
        for (at, mean) in state.means.iter().enumerate() {
            self.put_values(&format!("{name}.means.{at}"), &[mean.len()], mean)?;
        }
        Ok(())
    }

    /// The state that [`put_optimizer`](Self::put_optimizer) kept into an optimizer of the same kind, settings included. An
    /// error leaves it as it was.
    ///
    /// # Errors
    /// [`Error::Missing`], and an entry of another kind of optimizer or number type.
    pub fn restore_optimizer<T: Number>(
        &self,
        name: &str,
        optimizer: &mut dyn Optimizer<T>,
    ) -> Result<(), Error> {
        let note: OptimizerNote = self.get(name)?;
        let mean = |at| Ok(self.values(&format!("{name}.means.{at}"))?.1);
        optimizer.set_state(OptimizerState {
            kind: note.kind,
            settings: note.settings,
            steps: note.steps,
            means: (0..note.means).map(mean).collect::<Result<_, Error>>()?,
        })
    }

    /// Writes all entries: to a file beside `path`, which then takes its place.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let header = Header {
            version: VERSION,
            crc32: self.checksum(),
            notes: self.notes.clone(),
        };
        let failed = |message: String| Error::Io {
            path: path.to_owned(),
            message,
        };
        let header = serde_json::to_string(&header).map_err(|e| failed(e.to_string()))?;
        let views = self.tensors.iter().map(|(name, tensor)| {
            TensorView::new(tensor.kind, tensor.shape.clone(), &tensor.bytes)
                .map(|view| (name, view))
        });
        let views = views.collect::<Result<Vec<_>, _>>();
        let metadata = HashMap::from([(KEY.to_owned(), header)]);
        let bytes = views
            .and_then(|views| safetensors::serialize(views, Some(metadata)))
            .map_err(|error| failed(error.to_string()))?;
        write_whole(path, &bytes).map_err(|error| failed(error.to_string()))
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::NotACheckpoint`] for a file of another kind, a torn one, and one whose checksum is
    /// wrong.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(|error| Error::Io {
            path: path.to_owned(),
            message: error.to_string(),
        })?;
        let refuse = |reason: String| Error::NotACheckpoint {
            path: path.to_owned(),
            reason,
        };
        let file = SafeTensors::deserialize(&bytes).map_err(|error| {
            refuse(format!("is no file of safetensors, or a torn one: {error}"))
        })?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes)
            .map_err(|error| refuse(format!("has no metadata: {error}")))?;
        let header = metadata.metadata().as_ref().and_then(|all| all.get(KEY));
        let header = header.ok_or_else(|| refuse(format!("has no entry `{KEY}` of metadata")))?;
        let header: Header = serde_json::from_str(header).map_err(|error| {
            refuse(format!("has an entry `{KEY}` that cannot be read: {error}"))
        })?;
        if header.version != VERSION {
            return Err(refuse(format!(
                "is of version {}, and {VERSION} is known",
                header.version
            )));
        }
        let tensors = file.tensors().into_iter().map(|(name, view)| {
            let tensor = Tensor {
                kind: view.dtype(),
                shape: view.shape().to_vec(),
                bytes: view.data().to_vec(),
            };
            (name, tensor)
        });
        let checkpoint = Self {
            tensors: tensors.collect(),
            notes: header.notes,
        };
        if checkpoint.checksum() != header.crc32 {
            return Err(refuse("is damaged: its checksum is another".to_owned()));
        }
        Ok(checkpoint)
    }

    fn checksum(&self) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        for (name, tensor) in &self.tensors {
            crc.update(name.as_bytes());
            crc.update(&tensor.bytes);
        }
        for (name, text) in &self.notes {
            crc.update(name.as_bytes());
            crc.update(text.as_bytes());
        }
        crc.finalize()
    }
}

fn missing(name: &str) -> Error {
    Error::Missing {
        name: name.to_owned(),
    }
}

/// To a file beside `path` first: a rename is whole or nothing.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let beside: PathBuf = path.with_file_name(name);
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let done = written.and_then(|()| fs::rename(&beside, path));
    if done.is_err() {
        // What is wrong is the error above; a file that was never made cannot be removed.
        let _ = fs::remove_file(&beside);
    }
    done
}
