//! What can stop a comparison before it begins. A backend's failure is a row of the report, not an error.

use std::path::PathBuf;

/// Why a comparison could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `--problems` names something that is not there.
    #[error("`problems` = `{name}`: there is no such problem or group; there are {}", .known.join(", "))]
    UnknownProblem {
        /// The name asked for.
        name: String,
        /// Groups, then problems.
        known: Vec<String>,
    },
    /// A fixture could not be read.
    #[error(transparent)]
    Data(#[from] ot_data::DataError),
    /// An application could not be set up.
    #[error(transparent)]
    Application(#[from] ot_apps::Error),
    /// A training could not be set up.
    #[cfg(feature = "spot")]
    #[error(transparent)]
    Training(#[from] kantorovich::spot::Error),
    /// A problem could not be stated, a backend is not known, or there are no threads.
    #[error(transparent)]
    Solver(#[from] solver_api::Error),
    /// The baseline could not be read.
    #[error("{path}: {reason}")]
    Baseline {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}
