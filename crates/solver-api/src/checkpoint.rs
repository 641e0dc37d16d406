//! The state of a solve that can be gone on with: for solvers that have more of it than potentials.

use crate::Error;

/// First bytes of a stored checkpoint.
const MAGIC: &[u8; 8] = b"OTCKPT\x00\x01";

/// Where a solve stands, for the same solver with the same settings on the same problem to go on from
/// ([`Context::resume`](crate::Context)): it then ends with the same bits as if it had never stopped. What is in it is
/// the solver's business alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    solver: String,
    data: Vec<u8>,
}

impl Checkpoint {
    /// The state `data` of a solver of the name `solver`.
    #[must_use]
    pub fn new(solver: &str, data: Vec<u8>) -> Self {
        Self {
            solver: solver.to_owned(),
            data,
        }
    }

    /// The solver it belongs to.
    #[must_use]
    pub fn solver(&self) -> &str {
        &self.solver
    }

    /// What the solver has put into it.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// For a file, the same on every machine: [`Checkpoint::from_bytes`] is its inverse.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&(self.solver.len() as u64).to_le_bytes());
        bytes.extend_from_slice(self.solver.as_bytes());
        bytes.extend_from_slice(&self.data);
        bytes
    }

    /// From what [`Checkpoint::to_bytes`] wrote. Error: bytes that are none of a checkpoint.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let parts = || {
            let rest = bytes.strip_prefix(MAGIC)?;
            let (len, rest) = rest.split_first_chunk::<8>()?;
            let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
            let (name, data) = rest.split_at_checked(len)?;
            Some(Self::new(std::str::from_utf8(name).ok()?, data.to_vec()))
        };
        let rule = "must begin as checkpoints do, with the name of their solver";
        parts().ok_or_else(|| Error::setting("checkpoint", format!("{} bytes", bytes.len()), rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_there_and_back() {
        let one = Checkpoint::new("ipot", vec![1, 2, 255]);
        let bytes = one.to_bytes();
        assert_eq!(Checkpoint::from_bytes(&bytes).unwrap(), one);
        for cut in 0..bytes.len() - 3 {
            assert!(Checkpoint::from_bytes(&bytes[..cut]).is_err(), "{cut}");
        }
        let mut other = bytes.clone();
        other[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(Checkpoint::from_bytes(&other).is_err());
        other[0] = 0;
        assert!(Checkpoint::from_bytes(&other).is_err());
    }
}
