//! Checkpoints: the same bits after an interruption, and files that are none.
#![allow(clippy::unwrap_used)]

use std::fs;

use ot_nn::{
    Adam, Checkpoint, Error, Layer, Network, Number, Optimizer, Sgd, Spectral, Tape, cross_entropy,
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// A training with everything that a state can be in: spectral vectors, means, counts, a random generator.
#[derive(Clone, Debug, PartialEq)]
struct Run<T> {
    network: Network<T>,
    adam: Adam<T>,
    biases: Sgd<T>,
    shift: Vec<T>,
    rng: Pcg64,
}

impl<T: Number> Run<T> {
    fn new(seed: u64) -> Self {
        let layers = [
            Layer::linear(3, 16).normalized(Spectral::default()),
            Layer::LeakyRelu { slope: 0.2 },
            Layer::linear(16, 2).normalized(Spectral {
                bound: 0.1 + 0.2,
                ..Spectral::default()
            }),
        ];
        Self {
            network: Network::new(&layers, seed).unwrap(),
            adam: Adam::new(0.01),
            biases: Sgd::new(0.003, 0.9),
            shift: vec![T::ZERO; 3],
            rng: Pcg64::seed_from_u64(seed),
        }
    }

    fn steps(&mut self, count: usize) {
        let mut tape = Tape::default();
        let mut gradient = vec![T::ZERO; self.network.parameters().len()];
        let mut by_out = vec![T::ZERO; 20];
        for _ in 0..count {
            let x: Vec<f64> = (0..30).map(|_| self.rng.random::<f64>() - 0.5).collect();
            let labels: Vec<usize> = x
                .chunks_exact(3)
                .map(|x| usize::from(x[0] * x[1] > 0.0))
                .collect();
            let shift = self.shift.iter().cycle();
            let x: Vec<T> = x
                .iter()
                .zip(shift)
                .map(|(x, s)| T::from_f64(*x) + *s)
                .collect();
            self.network.normalize();
            let scores = self.network.forward(&x, &mut tape).unwrap();
            cross_entropy(scores, 2, &labels, &mut by_out).unwrap();
            let by_x = self
                .network
                .backward(&by_out, &mut tape, &mut gradient)
                .unwrap();
            let mut by_shift = [T::ZERO; 3];
            for row in by_x.chunks_exact(3) {
                by_shift.iter_mut().zip(row).for_each(|(s, g)| *s += *g);
            }
            self.adam
                .step(&gradient, self.network.parameters_mut())
                .unwrap();
            self.biases.step(&by_shift, &mut self.shift).unwrap();
        }
    }

    fn checkpoint(&self) -> Checkpoint {
        let mut saved = Checkpoint::new();
        saved.put_network("critic", &self.network).unwrap();
        saved.put_optimizer("adam", &self.adam).unwrap();
        saved.put_optimizer("sgd", &self.biases).unwrap();
        saved.put_values("shift", &[1, 3], &self.shift).unwrap();
        saved.put("rng", &self.rng).unwrap();
        saved
    }

    fn from(saved: &Checkpoint) -> Result<Self, Error> {
        let mut run = Self::new(77);
        saved.restore_network("critic", &mut run.network)?;
        saved.restore_optimizer("adam", &mut run.adam)?;
        saved.restore_optimizer("sgd", &mut run.biases)?;
        let (shape, shift) = saved.values("shift")?;
        assert_eq!(shape, [1, 3]);
        run.shift = shift;
        run.rng = saved.get("rng")?;
        Ok(run)
    }
}

fn same_bits_after_an_interruption<T: Number>() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let mut whole = Run::<T>::new(5);
    whole.steps(60);
    let mut first = Run::<T>::new(5);
    // An older file is replaced.
    first.checkpoint().save(&path).unwrap();
    first.steps(23);
    first.checkpoint().save(&path).unwrap();
    let saved = Checkpoint::load(&path).unwrap();
    let mut second = Run::from(&saved).unwrap();
    assert_eq!(second, first);
    second.steps(37);
    assert_eq!(second, whole);
    // The file, too, and nothing is left beside it.
    let bytes = fs::read(&path).unwrap();
    first.checkpoint().save(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    // A network without knowing its layers.
    assert_eq!(saved.network::<T>("critic").unwrap(), first.network);
}

#[test]
fn the_same_bits_after_an_interruption() {
    same_bits_after_an_interruption::<f64>();
    same_bits_after_an_interruption::<f32>();
}

#[test]
fn what_does_not_fit_is_said() {
    let mut run = Run::<f64>::new(5);
    run.steps(2);
    let saved = run.checkpoint();
    let mut said = Vec::new();
    let mut refused = |error: Error| said.push(error.to_string());
    let before = run.clone();
    refused(
        saved
            .restore_network("generator", &mut run.network)
            .unwrap_err(),
    );
    let mut other: Network = Network::new(&[Layer::linear(3, 2)], 0).unwrap();
    refused(saved.restore_network("critic", &mut other).unwrap_err());
    refused(saved.network::<f32>("critic").unwrap_err());
    refused(saved.restore_optimizer("sgd", &mut run.adam).unwrap_err());
    refused(
        saved
            .restore_optimizer("adam", &mut Adam::<f32>::new(0.1))
            .unwrap_err(),
    );
    refused(saved.get::<u32>("rng").unwrap_err());
    refused(saved.values::<f64>("shifts").unwrap_err());
    let mut short = saved.clone();
    short
        .put_values("critic.vectors", &[2], &[1.0, 2.0])
        .unwrap();
    refused(
        short
            .restore_network("critic", &mut run.network)
            .unwrap_err(),
    );
    refused(short.put_values("x", &[2, 2], &[1.0]).unwrap_err());
    assert_eq!(run, before);
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn files_that_are_none_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let said = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let error = Checkpoint::load(&path).unwrap_err();
        assert!(matches!(error, Error::NotACheckpoint { .. }));
        let said = error.to_string();
        said.replace(&*folder.path().to_string_lossy(), "")
    };
    Run::<f64>::new(5).checkpoint().save(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    // Torn anywhere, or with one bit turned in its numbers or its notes.
    for end in (0..whole.len()).step_by(97) {
        said(&whole[..end]);
    }
    let header = 8 + usize::try_from(u64::from_le_bytes(whole[..8].try_into().unwrap())).unwrap();
    for at in (header..whole.len()).step_by(41) {
        let mut bytes = whole.clone();
        bytes[at] ^= 16;
        said(&bytes);
    }
    let metadata = |entry: &str| {
        let header = format!(r#"{{"__metadata__":{{{entry}}}}}"#);
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.bytes());
        bytes
    };
    let mut turned = whole.clone();
    turned[header + 9] ^= 1;
    insta::assert_snapshot!(
        [
            said(b"a text, and no checkpoint"),
            said(&whole[..whole.len() - 1]),
            said(&turned),
            said(&metadata(r#""format":"pt""#)),
            said(&metadata(
                r#""ot-nn":"{\"version\":9,\"crc32\":0,\"notes\":{}}""#
            )),
        ]
        .join("\n")
    );
    let missing = Checkpoint::load(folder.path().join("none")).unwrap_err();
    assert!(matches!(missing, Error::Io { .. }));
    let nowhere = folder.path().join("no/such/folder/a");
    let refused = Checkpoint::new().save(&nowhere).unwrap_err();
    assert!(matches!(refused, Error::Io { path, .. } if path == nowhere));
}
