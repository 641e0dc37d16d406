//! No bytes make a reader panic or take memory that they could not fill, and what it says fits on a line.
#![allow(clippy::unwrap_used)] // in a test's helpers a panic is the report

use std::io::{Cursor, Write};

use flate2::{Compression, write::GzEncoder};
use ot_data::npz::Archive;
use ot_data::{DataError, csv, idx, npy, png};
use peak_alloc::PeakAlloc;
use proptest::prelude::*;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Far above what inputs of a few kilobytes inflate to, far below what their headers can claim.
const MOST_MEGABYTES: f32 = 256.0;

fn one_line<T>(result: Result<T, DataError>) {
    if let Err(error) = result {
        let message = error.to_string();
        assert!(
            !message.contains(['\n', '\r']) && message.starts_with("some file: "),
            "{message}"
        );
        assert!(message.len() < 4096, "{message}");
    }
}

/// Gives the bytes to every reader.
fn read_all(bytes: &[u8]) {
    const NAME: &str = "some file";
    let length = bytes.len() as u64;
    for known in [None, Some(length)] {
        one_line(npy::read_from(bytes, known, NAME).and_then(ot_data::Loaded::into_labels));
        one_line(idx::read_from(bytes, known, NAME).and_then(ot_data::Loaded::into_matrix));
    }
    one_line(csv::read_from(bytes, NAME));
    one_line(png::read_from(Cursor::new(bytes), length, NAME));
    match Archive::from_reader(Cursor::new(bytes), NAME) {
        Ok(mut archive) => {
            for key in archive.keys() {
                // The key is the file's own; its place in the message is checked with valid keys.
                let _ = archive.read(&key).map_err(|e| e.to_string());
            }
        }
        Err(error) => one_line(Err::<(), _>(error)),
    }
    assert!(
        MEMORY.peak_usage_as_mb() < MOST_MEGABYTES,
        "{} MB",
        MEMORY.peak_usage_as_mb()
    );
}

/// Valid files of every kind.
fn seeds() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let data = |name: &str| {
        std::fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    idx::write(at("x.idx"), &[3, 4, 5], &[7; 60]).unwrap();
    let plain = std::fs::read(at("x.idx")).unwrap();
    let mut gz = GzEncoder::new(Vec::new(), Compression::default());
    gz.write_all(&plain).unwrap();
    let pixels: Vec<u8> = (0..192).collect();
    png::write(at("x.png"), &[8, 8, 3], &pixels).unwrap();
    vec![
        data("float64.npy"),
        data("fortran.npy"),
        data("bool.npy"),
        data("stored.npz"),
        data("deflated.npz"),
        plain,
        gz.finish().unwrap(),
        std::fs::read(at("x.png")).unwrap(),
        b"x,y\n1,2.5\n-3e-1,nan\n".to_vec(),
    ]
}

#[derive(Debug, Clone)]
enum Damage {
    Cut(prop::sample::Index),
    Set(prop::sample::Index, u8),
    Run(prop::sample::Index, u8, usize),
    Insert(prop::sample::Index, Vec<u8>),
    Repeat,
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        place().prop_map(Damage::Cut),
        (place(), any::<u8>()).prop_map(|(i, b)| Damage::Set(i, b)),
        (
            place(),
            prop_oneof![Just(0), Just(255), any::<u8>()],
            1..9_usize
        )
            .prop_map(|(i, b, n)| Damage::Run(i, b, n)),
        (place(), prop::collection::vec(any::<u8>(), 1..20))
            .prop_map(|(i, v)| Damage::Insert(i, v)),
        Just(Damage::Repeat),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    if bytes.is_empty() {
        return;
    }
    match damage {
        Damage::Cut(i) => bytes.truncate(i.index(bytes.len())),
        Damage::Set(i, b) => {
            let at = i.index(bytes.len());
            bytes[at] = *b;
        }
        Damage::Run(i, b, n) => {
            let at = i.index(bytes.len());
            let end = (at + n).min(bytes.len());
            bytes[at..end].fill(*b);
        }
        Damage::Insert(i, v) => {
            let at = i.index(bytes.len());
            bytes.splice(at..at, v.iter().copied());
        }
        Damage::Repeat => bytes.extend(bytes.clone()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_files(
        seed in any::<prop::sample::Index>(),
        damages in prop::collection::vec(damage(), 1..5),
    ) {
        thread_local!(static SEEDS: Vec<Vec<u8>> = seeds());
        SEEDS.with(|seeds| {
            let mut bytes = seed.get(seeds).clone();
            for damage in &damages {
                apply(&mut bytes, damage);
            }
            read_all(&bytes);
        });
    }

    #[test]
    fn random_bytes(
        start in prop::sample::select(vec![
            &b""[..], b"\x93NUMPY\x01\x00", b"\x93NUMPY\x02\x00", b"PK\x03\x04", b"PK\x05\x06",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\0\0\x08\x02", b"\0\0\x0e\x04", b"\x1f\x8b\x08\0",
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        read_all(&[start, &rest].concat());
    }

    #[test]
    fn random_npy_headers(
        parts in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "(", ")", "[", ",", ":", "'descr'", "'fortran_order'", "'shape'", "'<f8'", "'>i2'",
            "'|b1'", "'<M8[s]'", "False", "True", "3", "4L", "18446744073709551615", "-1", "0x8", "1e9",
            "9j", "'", "\\x", "b", " ", "\n", "\u{e9}",
        ]), 0..30),
        valid in any::<bool>(),
        data in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let junk = parts.concat();
        let text = if valid {
            format!("{{'descr': '<f8', 'shape': ({junk}), 'fortran_order': False}}")
        } else {
            junk
        };
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        read_all(&[&bytes, text.as_bytes(), &data].concat());
    }

    #[test]
    fn random_text(text in "[-+0-9eE.,;# \t\r\n\"naif\u{e9}]{0,80}") {
        read_all(text.as_bytes());
    }
}

#[test]
fn every_truncation_of_every_kind_of_file() {
    for whole in seeds() {
        for cut in 0..whole.len() {
            read_all(&whole[..cut]);
        }
    }
}

#[test]
fn a_png_of_ten_to_the_eighteen_pixels() {
    let mut bytes = seeds().remove(7);
    // Width and height stand at 16 and 20; the checksum of the header at 29.
    bytes[16..24].copy_from_slice(&[0x3b, 0x9a, 0xca, 0, 0x3b, 0x9a, 0xca, 0]);
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    let length = bytes.len() as u64;
    let error = png::read_from(Cursor::new(&bytes), length, "some file").unwrap_err();
    let kind = matches!(
        error,
        DataError::Truncated { .. } | DataError::TooLarge { .. } | DataError::Malformed { .. }
    );
    assert!(kind, "{error}");
    one_line(Err::<(), _>(error));
    assert!(MEMORY.peak_usage_as_mb() < MOST_MEGABYTES);
}
