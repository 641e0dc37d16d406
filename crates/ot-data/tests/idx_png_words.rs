//! IDX, PNG and word vectors: what is written comes back, and wrong files are told apart.
#![allow(clippy::unwrap_used)] // in a test's helpers a panic is the report

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use ndarray::{arr1, arr2};
use ot_data::embeddings::Embeddings;
use ot_data::text::{Document, StopWords};
use ot_data::{DataError, Dtype, idx, npy, png};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn put(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An IDX file of the given type code and axes.
fn idx_bytes(code: u8, axes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, code, axes.len() as u8];
    bytes.extend(axes.iter().flat_map(|n| n.to_be_bytes()));
    bytes.extend(values);
    bytes
}

#[test]
fn idx_of_every_type_plain_and_gzipped() {
    let folder = folder();
    let be = |values: &[&[u8]]| values.concat();
    for (code, dtype, values) in [
        (0x08, Dtype::U8, be(&[&[1], &[2]])),
        (0x09, Dtype::I8, be(&[&[1], &[2]])),
        (
            0x0b,
            Dtype::I16,
            be(&[&1_i16.to_be_bytes(), &2_i16.to_be_bytes()]),
        ),
        (
            0x0c,
            Dtype::I32,
            be(&[&1_i32.to_be_bytes(), &2_i32.to_be_bytes()]),
        ),
        (
            0x0d,
            Dtype::F32,
            be(&[&1_f32.to_be_bytes(), &2_f32.to_be_bytes()]),
        ),
        (
            0x0e,
            Dtype::F64,
            be(&[&1_f64.to_be_bytes(), &2_f64.to_be_bytes()]),
        ),
    ] {
        for axes in [&[2][..], &[1, 2], &[2, 1, 1], &[1, 1, 2, 1]] {
            let bytes = idx_bytes(code, axes, &values);
            for (name, bytes) in [
                ("x-idx-ubyte", bytes.clone()),
                ("x-idx-ubyte.gz", gzipped(&bytes)),
            ] {
                let loaded = ot_data::read(put(&folder, name, &bytes)).unwrap();
                assert_eq!(loaded.dtype(), dtype);
                assert_eq!(
                    loaded.shape(),
                    axes.iter().map(|&n| n as usize).collect::<Vec<_>>()
                );
                assert_eq!(loaded.into_flat().unwrap(), arr1(&[1.0, 2.0]), "{dtype}");
            }
        }
    }
    let path = folder.path().join("written.idx");
    idx::write(&path, &[2, 1, 3], &[0, 1, 2, 3, 4, 255]).unwrap();
    let images = ot_data::read(&path).unwrap().into_images().unwrap();
    assert_eq!(images.dim(), (2, 1, 3));
    assert_eq!(images[[1, 0, 2]], 255.0);
}

#[test]
fn wrong_idx_files() {
    let folder = folder();
    let error = |bytes: &[u8]| idx::read(put(&folder, "x.idx", bytes)).unwrap_err();
    let whole = idx_bytes(8, &[2, 2], &[1, 2, 3, 4]);
    assert!(matches!(error(b""), DataError::WrongMagic { .. }));
    assert!(matches!(error(b"\x89PNG..."), DataError::WrongMagic { .. }));
    assert!(matches!(
        error(&whole[..7]),
        DataError::Truncated { what: "header", .. }
    ));
    let cut = error(&whole[..whole.len() - 1]);
    assert!(
        cut.to_string()
            .ends_with("truncated: 4 bytes of numbers expected, 3 found"),
        "{cut}"
    );
    assert!(matches!(
        error(&[&whole[..], &[0]].concat()),
        DataError::TrailingBytes { .. }
    ));
    assert!(matches!(
        error(&idx_bytes(0x0a, &[1], &[1])),
        DataError::UnsupportedDtype { .. }
    ));
    for axes in [&[][..], &[1; 5]] {
        assert!(matches!(
            error(&idx_bytes(8, axes, &[1])),
            DataError::Malformed { .. }
        ));
    }
    let giant = idx_bytes(8, &[u32::MAX, u32::MAX], &[1]);
    assert!(matches!(error(&giant), DataError::TooLarge { .. }));
    let giant = idx_bytes(8, &[1_000_000, 1_000_000, 100_000], &[1]);
    assert!(matches!(error(&giant), DataError::Truncated { .. }));
    assert!(matches!(
        error(&gzipped(&giant)),
        DataError::Truncated { .. }
    ));
    let half = gzipped(&whole);
    assert!(matches!(
        error(&half[..half.len() - 9]),
        DataError::Io { .. }
    ));
}

#[test]
fn png_of_every_colour_type() {
    let folder = folder();
    let path = folder.path().join("x.png");
    for (channels, shape) in [
        (1, vec![2, 3]),
        (2, vec![2, 3, 2]),
        (3, vec![2, 3, 3]),
        (4, vec![2, 3, 4]),
    ] {
        let samples: Vec<u8> = (0..6 * channels).map(|k| k * 10).collect();
        png::write(&path, &shape, &samples).unwrap();
        let loaded = ot_data::read(&path).unwrap();
        assert_eq!((loaded.dtype(), loaded.shape()), (Dtype::U8, &shape[..]));
        let read: Vec<u8> = loaded
            .into_flat()
            .unwrap()
            .iter()
            .map(|&v| v as u8)
            .collect();
        assert_eq!(read, samples);
    }
    assert!(matches!(
        png::write(&path, &[2, 3, 5], &[0; 30]),
        Err(DataError::WrongShape { .. })
    ));
    assert!(matches!(
        png::write(&path, &[2, 3], &[0; 5]),
        Err(DataError::WrongShape { .. })
    ));
}

#[test]
fn photos_are_colours_between_0_and_1() {
    let folder = folder();
    let path = folder.path().join("x.png");
    png::write(&path, &[1, 2, 4], &[255, 0, 51, 7, 0, 255, 102, 9]).unwrap();
    let photo = png::read_photo(&path).unwrap();
    assert_eq!((photo.height, photo.width), (1, 2));
    assert_eq!(photo.colours, arr2(&[[1.0, 0.0, 0.2], [0.0, 1.0, 0.4]]));
    png::write(&path, &[1, 1], &[51]).unwrap();
    assert_eq!(
        png::read_photo(&path).unwrap().colours,
        arr2(&[[0.2, 0.2, 0.2]])
    );
    // The same grey in 16 bits.
    let mut file = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut file, 1, 1);
    encoder.set_color(::png::ColorType::Grayscale);
    encoder.set_depth(::png::BitDepth::Sixteen);
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&13107_u16.to_be_bytes())
        .unwrap();
    let path = put(&folder, "deep.png", &file);
    assert_eq!(ot_data::read(&path).unwrap().dtype(), Dtype::U16);
    assert_eq!(
        png::read_photo(&path).unwrap().colours,
        arr2(&[[0.2, 0.2, 0.2]])
    );
}

#[test]
fn wrong_png_files() {
    let folder = folder();
    let path = folder.path().join("x.png");
    png::write(&path, &[8, 8], &[9; 64]).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..whole.len() - 12 {
        let error = png::read(put(&folder, "cut.png", &whole[..cut])).unwrap_err();
        assert!(
            matches!(error, DataError::Malformed { .. }),
            "{cut}: {error}"
        );
    }
    assert!(png::read(put(&folder, "text.png", b"1,2,3\n")).is_err());
}

fn embeddings(folder: &TempDir, words: &str) -> Result<Embeddings, DataError> {
    let vectors = folder.path().join("vectors.npy");
    npy::write(&vectors, &[3, 2], &[0.0_f32, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
    Embeddings::read(vectors, put(folder, "vocab.txt", words.as_bytes()))
}

#[test]
fn words_and_their_vectors() {
    let folder = folder();
    let e = embeddings(&folder, "earth\nmoon\nsun\n").unwrap();
    assert_eq!(e.vector("moon").unwrap().to_vec(), [2.0, 3.0]);
    assert_eq!(e.place("mars"), None);

    let text = put(&folder, "text.txt", b"The Sun, the MOON and the sun; Mars.");
    let document = Document::read(&text, &e, &StopWords::english()).unwrap();
    assert_eq!(
        (&document.words[..], &document.counts[..]),
        (&[1, 2][..], &[1, 2][..])
    );
    assert_eq!(document.unknown, 1);
    assert_eq!(document.weights(), arr1(&[1.0, 2.0]) / 3.0);
    assert_eq!(document.vectors(&e), arr2(&[[2.0, 3.0], [4.0, 5.0]]));

    let text = put(&folder, "text.txt", b"Mars only.");
    let error = Document::read(&text, &e, &StopWords::english()).unwrap_err();
    assert!(matches!(error, DataError::NoKnownWord { .. }));
}

#[test]
fn vocabularies_that_do_not_fit() {
    let folder = folder();
    let message = |words: &str| embeddings(&folder, words).unwrap_err().to_string();
    assert!(message("earth\nmoon\n").ends_with(": 2 words, but 3 are needed"));
    assert!(message("earth\nmoon\nearth\n").contains("line 3: every line is one word, each once"));
    assert!(message("earth\n\nsun\n").contains("line 2: every line is one word"));

    let (vectors, words) = (
        folder.path().join("v.npy"),
        put(&folder, "w.txt", b"a\nb\n"),
    );
    let read = |path: &Path| Embeddings::read(path, &words);
    npy::write(&vectors, &[2, 1], &[1_i32, 2]).unwrap();
    assert!(matches!(
        read(&vectors),
        Err(DataError::WrongDtype {
            found: Dtype::I32,
            ..
        })
    ));
    npy::write(&vectors, &[2], &[1_f32, 2.0]).unwrap();
    let message = read(&vectors).unwrap_err().to_string();
    assert!(
        message.ends_with("an array of shape [2] where an n×d matrix is needed"),
        "{message}"
    );
    npy::write(&vectors, &[2, 1], &[1.0, 2.0]).unwrap();
    assert_eq!(
        read(&vectors).unwrap().vectors(),
        &arr2(&[[1.0_f32], [2.0]])
    );
}
