//! The state of a solve as bytes.

use solver_api::{Checkpoint, Error, Problem};

use crate::NAME;
use crate::accelerated::Path;
use crate::instance::Instance;
use crate::printed::Scalings;
use crate::settings::{Schedule, Settings};

/// Changes with the layout.
const VERSION: u64 = 2;

/// Where a solve stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum State {
    Accelerated(Path),
    Printed(Scalings),
}

impl State {
    /// The state, with what it belongs to.
    pub(crate) fn save(&self, instance: &Instance, settings: &Settings, beta: f64) -> Checkpoint {
        let mut to = Writer::default();
        to.count(VERSION);
        to.count(fingerprint(instance, settings, beta));
        match self {
            Self::Accelerated(path) => path.write(&mut to),
            Self::Printed(scalings) => scalings.write(&mut to),
        }
        Checkpoint::new(NAME, to.0)
    }

    /// The state that was saved, or an error where it belongs to another solver, problem or setting.
    pub(crate) fn load(
        checkpoint: &Checkpoint,
        problem: &Problem,
        instance: &Instance,
        settings: &Settings,
        beta: f64,
    ) -> Result<Self, Error> {
        let refuse = |rule: &str| {
            let (n, m) = problem.shape();
            Err(Error::setting(
                "checkpoint",
                format!("of `{}` for {n}×{m}", checkpoint.solver()),
                rule,
            ))
        };
        if checkpoint.solver() != NAME {
            return refuse("must be one of `ipot`");
        }
        let mut from = Reader(checkpoint.data());
        if from.count() != Some(VERSION) {
            return refuse("must be of this version");
        }
        if from.count() != Some(fingerprint(instance, settings, beta)) {
            return refuse("must belong to the same problem, β, L and schedule");
        }
        let (n, m) = instance.shape();
        let state = match settings.schedule {
            Schedule::Accelerated => Path::read(&mut from, n, m).map(Self::Accelerated),
            Schedule::Printed => Scalings::read(&mut from, n, m).map(Self::Printed),
        };
        match state {
            Some(state) if from.0.is_empty() => Ok(state),
            _ => refuse("must be whole"),
        }
    }
}

/// A hash (FNV-1a over the bits) of all that the iterations depend on.
fn fingerprint(instance: &Instance, settings: &Settings, beta: f64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |bits: u64| hash = (hash ^ bits).wrapping_mul(0x0100_0000_01b3);
    let schedule = match settings.schedule {
        Schedule::Accelerated => 0,
        Schedule::Printed => settings.inner,
    };
    for count in [
        schedule,
        instance.rows.len() as u64,
        instance.cols.len() as u64,
    ] {
        take(count);
    }
    take(beta.to_bits());
    let numbers = instance
        .a
        .iter()
        .chain(&instance.b)
        .chain(instance.cost.iter());
    numbers.for_each(|x| take(x.to_bits()));
    hash
}

/// Numbers as bytes, little-endian.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn count(&mut self, count: u64) {
        self.0.extend_from_slice(&count.to_le_bytes());
    }

    pub(crate) fn numbers(&mut self, numbers: &[f64]) {
        for x in numbers {
            self.count(x.to_bits());
        }
    }
}

/// Numbers from bytes; `None` where they end early.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    pub(crate) fn count(&mut self) -> Option<u64> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*head))
    }

    pub(crate) fn numbers(&mut self, len: usize) -> Option<Vec<f64>> {
        (0..len).map(|_| self.count().map(f64::from_bits)).collect()
    }
}
