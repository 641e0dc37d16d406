//! Files that NumPy wrote are read as NumPy reads them, and what is written comes back.
#![allow(clippy::unwrap_used)] // in a test's helpers a panic is the report

use std::path::PathBuf;

use ndarray::{arr1, arr2};
use ot_data::npz::{Archive, Writer};
use ot_data::{DataError, Dtype, csv, npy};

fn data(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "data", name]
        .iter()
        .collect()
}

#[test]
fn every_element_type() {
    for dtype in [
        Dtype::Bool,
        Dtype::I8,
        Dtype::I16,
        Dtype::I32,
        Dtype::I64,
        Dtype::U8,
        Dtype::U16,
        Dtype::U32,
        Dtype::U64,
        Dtype::F32,
        Dtype::F64,
    ] {
        let loaded = ot_data::read(data(&format!("{dtype}.npy"))).unwrap();
        assert_eq!(loaded.dtype(), dtype);
        let expected = if dtype == Dtype::Bool {
            arr2(&[[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
        } else {
            arr2(&[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
        };
        assert_eq!(loaded.into_matrix().unwrap(), expected, "{dtype}");
    }
}

#[test]
fn fortran_order_and_big_endian_become_c_order() {
    for name in ["fortran.npy", "big_endian.npy"] {
        let matrix = ot_data::read(data(name)).unwrap().into_matrix().unwrap();
        assert!(matrix.is_standard_layout());
        assert_eq!(matrix, arr2(&[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]), "{name}");
    }
}

#[test]
fn archives_by_key() {
    for name in ["stored.npz", "deflated.npz"] {
        let mut archive = Archive::open(data(name)).unwrap();
        assert_eq!(archive.keys(), ["f", "g"]);
        assert_eq!(archive.read("g").unwrap().dtype(), Dtype::I32);
        let by_path = data(&format!("{name}:f"));
        let f = ot_data::read(&by_path).unwrap().into_vector().unwrap();
        assert_eq!(f, arr1(&[0.0, 0.25, 0.5]));
        let message = archive.read("h").unwrap_err().to_string();
        assert!(
            message.ends_with(": no array \"h\"; it holds f, g"),
            "{message}"
        );
        assert!(matches!(
            ot_data::read(data(name)),
            Err(DataError::AmbiguousKey { .. })
        ));
    }
}

#[test]
fn shapes_that_do_not_fit() {
    let scalar = || ot_data::read(data("scalar.npy")).unwrap();
    assert_eq!(scalar().shape(), [0_usize; 0]);
    assert!(matches!(
        scalar().into_vector(),
        Err(DataError::WrongShape { .. })
    ));
    let table = || ot_data::read(data("float64.npy")).unwrap();
    let message = table().into_vector().unwrap_err().to_string();
    assert!(
        message.ends_with("of shape [2, 3] where a list of n numbers is needed"),
        "{message}"
    );
    let empty = ot_data::read(data("empty.npy")).unwrap();
    assert_eq!(empty.shape(), [0, 3]);
    assert!(matches!(empty.into_matrix(), Err(DataError::Empty { .. })));
    let message = ot_data::read(data("complex.npy")).unwrap_err().to_string();
    assert!(message.contains("elements of type \"<c16\""), "{message}");
}

#[test]
fn wrong_and_missing_files() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let message = ot_data::read(at("none.npy")).unwrap_err().to_string();
    assert!(message.contains("none.npy: cannot open: "), "{message}");
    assert!(matches!(
        ot_data::read(at("x.doc")),
        Err(DataError::UnknownFormat { .. })
    ));

    std::fs::write(at("text.npy"), "1,2,3").unwrap();
    assert!(matches!(
        ot_data::read(at("text.npy")),
        Err(DataError::WrongMagic { .. })
    ));
    std::fs::write(at("text.npz"), "1,2,3").unwrap();
    assert!(matches!(
        ot_data::read(at("text.npz")),
        Err(DataError::WrongMagic { .. })
    ));
    std::fs::write(at("empty.npy"), "").unwrap();
    assert!(matches!(
        ot_data::read(at("empty.npy")),
        Err(DataError::WrongMagic { .. })
    ));

    let whole = std::fs::read(data("float64.npy")).unwrap();
    std::fs::write(at("cut.npy"), &whole[..whole.len() - 1]).unwrap();
    let message = ot_data::read(at("cut.npy")).unwrap_err().to_string();
    assert!(
        message.ends_with("truncated: 48 bytes of numbers expected, 47 found"),
        "{message}"
    );
    let unknown_length = npy::read_from(&whole[..whole.len() - 1], None, at("cut.npy"));
    assert_eq!(unknown_length.unwrap_err().to_string(), message);
    std::fs::write(at("long.npy"), [&whole[..], b"x"].concat()).unwrap();
    assert!(matches!(
        ot_data::read(at("long.npy")),
        Err(DataError::TrailingBytes { .. })
    ));

    let archive = std::fs::read(data("deflated.npz")).unwrap();
    std::fs::write(at("cut.npz"), &archive[..archive.len() / 2]).unwrap();
    assert!(matches!(
        ot_data::read(at("cut.npz")),
        Err(DataError::Malformed { .. })
    ));
}

#[test]
fn a_header_of_ten_to_the_eighteen_is_refused_without_memory() {
    let folder = tempfile::tempdir().unwrap();
    for (axes, too_large) in [
        ("1000000000000000000,", false),
        ("1000000000, 1000000000,", false),
        ("18446744073709551615,", true),
        ("0, 4611686018427387904, 8,", true),
    ] {
        let mut text = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({axes})}}");
        text.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend([0; 100]);
        let path = folder.path().join("giant.npy");
        std::fs::write(&path, &bytes).unwrap();
        for error in [
            npy::read(&path).unwrap_err(),
            // A source that does not know its length.
            npy::read_from(&bytes[..], None, &path).unwrap_err(),
        ] {
            assert_eq!(
                matches!(error, DataError::TooLarge { .. }),
                too_large,
                "{error}"
            );
            assert!(
                too_large || matches!(error, DataError::Truncated { .. }),
                "{error}"
            );
        }
    }
}

#[test]
fn labels_are_whole_numbers_of_any_type() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("y.npy");
    npy::write(&path, &[3], &[2.0_f32, 0.0, -1.0]).unwrap();
    assert_eq!(
        npy::read(&path).unwrap().into_labels().unwrap(),
        arr1(&[2_i64, 0, -1])
    );
    npy::write(&path, &[1], &[i64::MAX]).unwrap();
    assert_eq!(
        npy::read(&path).unwrap().into_labels().unwrap(),
        arr1(&[i64::MAX])
    );
    for bad in [0.5, f64::NAN, f64::INFINITY, 9_223_372_036_854_775_808.0] {
        npy::write(&path, &[2], &[1.0, bad]).unwrap();
        let error = npy::read(&path).unwrap().into_labels().unwrap_err();
        assert!(
            matches!(error, DataError::NotAnInteger { index: 1, .. }),
            "{error}"
        );
    }
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let values = arr2(&[
        [0.1, -1e300, 1e-310],
        [f64::INFINITY, f64::NEG_INFINITY, -0.0],
    ]);
    let flat = values.as_slice().unwrap();

    npy::write(at("m.npy"), &[2, 3], flat).unwrap();
    let flags = [true, false, true];
    npy::write(at("flags.npy"), &[3, 1], &flags).unwrap();
    assert_eq!(
        ot_data::read(at("flags.npy")).unwrap().array,
        ot_data::Array::Bool(arr2(&flags.map(|f| [f])).into_dyn())
    );
    for shape in [&[3, 3][..], &[2, usize::MAX], &[1; 65]] {
        let error = npy::write(at("no.npy"), shape, flat).unwrap_err();
        assert!(matches!(error, DataError::WrongShape { .. }), "{error}");
    }
    assert_eq!(
        ot_data::read(at("m.npy")).unwrap().into_matrix().unwrap(),
        values
    );
    csv::write(at("m.csv"), values.view()).unwrap();
    assert_eq!(
        ot_data::read(at("m.csv")).unwrap().into_matrix().unwrap(),
        values
    );

    let mut writer = Writer::create(at("plan.npz")).unwrap();
    writer.add("row", &[2], &[0_u64, 5]).unwrap();
    writer.add("value", &[2, 3], flat).unwrap();
    assert!(matches!(
        writer.add("shape", &[3], flat),
        Err(DataError::WrongShape { .. })
    ));
    writer.finish().unwrap();
    let mut archive = Archive::open(at("plan.npz")).unwrap();
    assert_eq!(archive.keys(), ["row", "value"]);
    assert_eq!(
        archive.read("row").unwrap().into_labels().unwrap(),
        arr1(&[0_i64, 5])
    );
    assert_eq!(
        archive.read("value").unwrap().into_matrix().unwrap(),
        values
    );
}
