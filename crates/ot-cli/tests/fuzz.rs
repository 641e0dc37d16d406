//! Any arguments over any files: no panic, a status of the four, and silence where silence is promised.

#![allow(clippy::unwrap_used)] // helpers of tests may unwrap, as tests do

mod common;

use std::fs;

use common::{folder, npy, npy_f32};
use kantorovich::Registry;
use ot_cli::Exit;
use proptest::prelude::*;

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => 0.0..2.0_f64,
        2 => Just(0.0),
        1 => -1.0..0.0_f64,
        1 => prop_oneof![
            Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY),
            Just(1e308), Just(-1e308), Just(1e-320), Just(1e30), Just(1e-200),
        ],
    ]
}

fn argument() -> impl Strategy<Value = Vec<String>> {
    let files = prop_oneof![
        Just("@a.npy"),
        Just("@b.npy"),
        Just("@cost.npy"),
        Just("@x.npy"),
        Just("@y.npy"),
        Just("@w.npy"),
        Just("@c.npy"),
        Just("@bytes.npy"),
        Just("@bytes.npz"),
        Just("@bytes.csv"),
        Just("@missing.npy"),
        Just("@"),
        Just(""),
    ];
    let numbers = prop_oneof![
        Just("0.1"),
        Just("1"),
        Just("0"),
        Just("-1"),
        Just("inf"),
        Just("nan"),
        Just("1e-300"),
        Just("1e300"),
        Just("x"),
        Just(""),
        Just("2"),
    ];
    let names = prop_oneof![
        Just("auto"),
        Just("shortest-paths"),
        Just("sinkhorn"),
        Just("network-simplex"),
        Just("lp-minilp"),
        Just("lp-microlp"),
        Just("euclidean"),
        Just("cosine"),
        Just("arc"),
        Just("minkowski:2"),
        Just("atanh:3"),
        Just("power:nan"),
        Just("2x2"),
        Just("3x1"),
        Just("1x2x3"),
        Just("k=v"),
        Just("="),
    ];
    let of_files = prop_oneof![
        Just("--a"),
        Just("--b"),
        Just("--cost"),
        Just("--x"),
        Just("--y"),
        Just("--warm"),
        Just("--prior"),
    ];
    let of_numbers = prop_oneof![
        Just("--reg"),
        Just("--reg-rel"),
        Just("--gamma-a"),
        Just("--gamma-b"),
        Just("--mass"),
        Just("--tol"),
        Just("--max-iter"),
        Just("--time-limit"),
        Just("--seed"),
        Just("--threads"),
    ];
    let of_names = prop_oneof![
        Just("--backend"),
        Just("--metric"),
        Just("--grid"),
        Just("--set"),
    ];
    let flags = prop_oneof![
        Just("--json"),
        Just("--normalize"),
        Just("--lazy"),
        Just("--what")
    ];
    let pair = |option: &str, value: &str| vec![option.to_owned(), value.to_owned()];
    prop_oneof![
        3 => (of_files, files).prop_map(move |(o, v)| pair(o, v)),
        2 => (of_numbers, numbers).prop_map(move |(o, v)| pair(o, v)),
        2 => (of_names, names).prop_map(move |(o, v)| pair(o, v)),
        1 => flags.prop_map(|f| vec![f.to_owned()]),
    ]
}

/// A statement of the cost that parses, so that more than the parser is reached.
fn cost() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        4 => Just("--cost @c.npy"),
        1 => Just("--cost @bytes.npy"),
        2 => Just("--x @p.npy --y @p.npy --metric euclidean"),
        1 => Just("--x @x.npy --y @p.npy --metric cosine"),
        1 => Just("--grid 2x3 --metric sqeuclidean"),
        1 => Just("--grid 3x2 --metric log1p"),
        1 => Just(""),
    ]
}

/// Runs, and checks what holds for every input.
fn checked(registry: &Registry, args: Vec<String>) -> Exit {
    let (mut out, mut err) = (vec![], vec![]);
    let shown = format!("{args:?}");
    let exit = ot_cli::run(registry, args, &mut out, &mut err);
    let (out, err) = (
        String::from_utf8(out).unwrap(),
        String::from_utf8(err).unwrap(),
    );
    match exit {
        Exit::Solved | Exit::NotConverged => {
            assert!(!out.is_empty() && err.is_empty(), "{shown}: {err}");
            assert!(!out.contains("NaN"), "{shown}: {out}");
        }
        Exit::Usage | Exit::Infeasible => {
            assert_eq!(out, "", "{shown}");
            assert_eq!(err.lines().count(), 1, "{shown}: {err}");
        }
    }
    exit
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_input_panics(
        weights in prop::collection::vec(number(), 1..5),
        entries in prop::collection::vec(number(), 1..17),
        wide in 1..5_usize,
        narrow in any::<bool>(),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        cut in 0..200_usize,
        cost in cost(),
        options in prop::collection::vec(argument(), 0..4),
        with_weights in any::<bool>(),
    ) {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        npy(&at("w.npy"), &[weights.len()], &weights);
        let tall = entries.len() / wide;
        let shape = [tall, wide];
        let matrix = &entries[..tall * wide];
        if narrow {
            let matrix: Vec<f32> = matrix.iter().map(|&v| v as f32).collect();
            npy_f32(&at("c.npy"), &shape, &matrix);
        } else {
            npy(&at("c.npy"), &shape, matrix);
        }
        npy(&at("p.npy"), &shape, matrix);
        // Half a good file, then noise.
        let mut damaged = fs::read(at("cost.npy")).unwrap();
        damaged.truncate(cut);
        damaged.extend(&bytes);
        fs::write(at("bytes.npy"), &damaged).unwrap();
        fs::write(at("bytes.npz"), [b"PK\x03\x04".as_slice(), &bytes].concat()).unwrap();
        fs::write(at("bytes.csv"), &bytes).unwrap();

        let root = format!("{}/", folder.path().display());
        let mut args = vec!["ot".to_owned(), "solve".to_owned()];
        args.extend(cost.split_whitespace().map(String::from));
        if with_weights {
            args.extend(["--a", "@w.npy"].map(String::from));
        }
        args.extend(options.into_iter().flatten());
        let args: Vec<String> = args.into_iter().map(|a| a.replace('@', &root)).collect();
        // The stranger's solver alone, and beside all that is compiled in.
        checked(&common::registry(), args.clone());
        checked(&Registry::new(), args);
    }
}

#[test]
fn the_strategies_reach_every_status() {
    let folder = folder();
    let root = format!("{}/", folder.path().display());
    npy(&folder.path().join("c.npy"), &[1, 1], &[f64::INFINITY]);
    let run = |line: &str| {
        let args = format!("ot solve {line}").replace('@', &root);
        checked(
            &common::registry(),
            args.split_whitespace().map(String::from).collect(),
        )
    };
    assert_eq!(run("--grid 2x3 --metric sqeuclidean"), Exit::Solved);
    assert_eq!(run("--cost @cost.npy --max-iter 1"), Exit::NotConverged);
    assert_eq!(run("--cost @c.npy"), Exit::Infeasible);
    assert_eq!(run("--cost @cost.npy --threads 0"), Exit::Usage);
}
