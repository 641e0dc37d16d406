//! What the engine may refuse, as data.

use std::path::PathBuf;

/// Why a network could not be made, asked, moved, saved or read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No layers, a layer without inputs or outputs, or a setting of a layer that breaks its rule.
    #[error("layer {layer}: `{name}` = {value}: {rule}")]
    Layer {
        /// Its place in the chain.
        layer: usize,
        /// What is wrong with it.
        name: &'static str,
        /// The value.
        value: f64,
        /// The rule.
        rule: &'static str,
    },
    /// A setting of an optimizer, of clipping or of a loss that breaks its rule.
    #[error("`{name}` = {value}: {rule}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// The value.
        value: f64,
        /// The rule.
        rule: &'static str,
    },
    /// Two layers, or a layer and a batch, that do not fit.
    #[error("`{argument}` has {found} numbers, but {expected}")]
    Shape {
        /// The argument.
        argument: &'static str,
        /// How many there are.
        found: usize,
        /// What is expected, as a clause.
        expected: String,
    },
    /// A number that is NaN or infinite. Nothing was moved.
    #[error("`{argument}`[{index}] is {value}: it must be finite")]
    NotFinite {
        /// The argument.
        argument: &'static str,
        /// The first such number.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// A label of a sample that is not below the number of classes.
    #[error("`labels`[{index}] is {label}, but there are {classes} classes")]
    Label {
        /// The sample.
        index: usize,
        /// Its label.
        label: usize,
        /// How many classes there are.
        classes: usize,
    },
    /// A file could not be read or written.
    #[error("{}: {message}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        message: String,
    },
    /// A file is no checkpoint, or a torn one.
    #[error("{}: {reason}", path.display())]
    NotACheckpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A checkpoint has no entry of that name.
    #[error("the checkpoint has no `{name}`")]
    Missing {
        /// The name.
        name: String,
    },
    /// An entry of a checkpoint is of another shape, type or kind than what shall take it.
    #[error("`{name}` of the checkpoint is {found}, but {expected}")]
    Entry {
        /// The name.
        name: String,
        /// What it is.
        found: String,
        /// What is expected, as a clause.
        expected: String,
    },
}
