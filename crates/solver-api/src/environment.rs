//! What the environment asks of the library.

use ot_kernels::dispatch::{Isa, VARIABLE, asked};

use crate::Error;

/// Whether `KANTOROVICH_SIMD` names an instruction set, or is not set. The library passes over any other value; a
/// program calls this at its start, so that a slip of the finger is not taken for a measurement.
pub fn check_environment() -> Result<(), Error> {
    asked().map(|_| ()).map_err(|value| {
        let names = Isa::ALL.map(Isa::name).join(", ");
        Error::setting(VARIABLE, value, format!("must be one of {names}, or unset"))
    })
}
