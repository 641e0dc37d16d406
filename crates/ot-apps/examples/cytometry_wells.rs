//! Flow cytometry: shares of strains in a mixture, from wells of one strain each.
//!
//! ```text
//! cargo run --release -p ot-apps --example cytometry_wells [-- --full --data DIR]
//! ```
//! Events of three wells (bacteria with CFP, YFP or RFP) are dealt into labelled ones and ones to mix in known shares; then
//! real mixtures, whose shares nobody knows. The whole protocol needs `cytometry/plate_*` below DIR; without it the same
//! runs on the 800 events a well of `fixtures/cytometry`.

#[path = "shared/options.rs"]
mod options;

use std::collections::BTreeMap;
use std::path::Path;

use options::{Args, Outcome};
use ot_apps::Adaptation;
use ot_apps::adaptation::{
    AdaptationSettings, Domain, Mass, ProportionEstimation, ProportionSettings, nearest_labels,
};
use ot_apps::scores::{self, mean_and_error};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use solver_api::{Context, Reg, Solver};
use solver_exact::NetworkSimplex;
use solver_stabilized::{Settings, SinkhornStabilized};

/// Fluorescence of each event: violet, yellow and blue.
const CHANNELS: [&str; 3] = ["V2-A", "Y2-A", "B1-A"];
/// As in the fixtures: SSC-A first.
const OF_FIXTURES: [usize; 3] = [1, 2, 3];
const STRAINS: [&str; 3] = ["CFP", "YFP", "RFP"];
/// Shares of the strains in mixtures.
const MIXTURES: [[f64; 3]; 4] = [
    [0.34, 0.33, 0.33],
    [0.6, 0.3, 0.1],
    [0.1, 0.2, 0.7],
    [0.05, 0.9, 0.05],
];
/// ε of entropic solvers on the cost divided by its maximum.
const REG: f64 = 1e-3;
/// How much of the source's shares the relaxed plan keeps.
const GAMMA: f64 = 1e-2;

const METHODS: [&str; 4] = ["nearest", "one-sided", "exact", "entropic"];

/// Events of a well, three numbers each.
type Well = Vec<[f64; 3]>;

fn main() -> Outcome {
    let args = Args::read(&["seeds", "events"])?;
    let seeds = args.count("seeds", 2, 5) as u64;
    let events = args.count("events", 200, 500);
    let (strains, mixed) = match &args.data {
        Some(data) if args.full => whole(data)?,
        None if !args.full => fixtures()?,
        _ => return Err("--full and --data DIR go together".into()),
    };
    println!("{events} labelled events of each strain, as many in the mixture; {seeds} seeds");
    println!("\nshares off, in total variation (%)");
    print!("{:>18}", "CFP, YFP, RFP");
    METHODS.iter().for_each(|name| print!("{name:>14}"));
    println!("{:>14}", "equal shares");
    let mut labels = [Vec::new(), Vec::new()];
    for shares in MIXTURES {
        let mut off = vec![Vec::new(); METHODS.len()];
        for seed in 0..seeds {
            let (source, target, truth) = mixture(&strains, shares, events, seed)?;
            let found = estimates(&source, &target)?;
            for (off, found) in off.iter_mut().zip(found) {
                let apart = found.iter().zip(shares).map(|(f, s)| (f - s).abs());
                off.push(50.0 * apart.sum::<f64>());
            }
            let [equal, matched] = told(&source, &target, found[3], &truth)?;
            labels[0].push(equal);
            labels[1].push(matched);
        }
        print!("{:>18}", shares.map(|s| format!("{s:.2}")).join(", "));
        for off in &off {
            let (mean, error) = mean_and_error(off);
            print!("{:>14}", format!("{mean:.1} ± {error:.1}"));
        }
        let equal = 50.0 * shares.iter().map(|s| (s - 1.0 / 3.0).abs()).sum::<f64>();
        println!("{equal:>14.1}");
    }
    let [equal, matched] = labels.map(|found| mean_and_error(&found));
    println!(
        "\nevents told right along the entropic plan, %: {:.1} ± {:.1} with equal shares, {:.1} ± {:.1} with those estimated",
        equal.0, equal.1, matched.0, matched.1
    );
    println!("\nmixed wells: shares of CFP, YFP, RFP, of {events} events, %");
    for (name, well) in &mixed {
        let (source, _, _) = mixture(&strains, MIXTURES[0], events, 0)?;
        let points: Vec<f64> = well.iter().take(3 * events).flatten().copied().collect();
        let target = Domain::new("target", points, CHANNELS.len())?;
        println!("{name}");
        for (method, found) in METHODS.iter().zip(estimates(&source, &target)?) {
            let [cfp, yfp, rfp] = found.map(|share| 100.0 * share);
            println!("{method:>14}{cfp:>8.1}{yfp:>8.1}{rfp:>8.1}");
        }
    }
    Ok(())
}

/// The shares of the strains by each of [`METHODS`].
fn estimates(source: &Domain, target: &Domain) -> Outcome<[[f64; 3]; 4]> {
    let labels = source.full_labels()?;
    let nearest = nearest_labels(source.points(), &labels, target.points(), source.dim())?;
    let counted = |found: &[i64]| {
        std::array::from_fn(|k| {
            let own = found.iter().filter(|label| **label == k as i64).count();
            own as f64 / found.len() as f64
        })
    };
    let one_sided = AdaptationSettings {
        mass: Mass::Relaxed {
            gamma_a: GAMMA,
            gamma_b: f64::INFINITY,
        },
        ..AdaptationSettings::default()
    };
    let fine = entropic()?;
    let fitted = Adaptation::new(&fine, one_sided)?.fit(source, target, &mut Context::default())?;
    let (rows, _) = fitted.marginals();
    let mut shares = [0.0; 3];
    for (label, mass) in labels.iter().zip(rows) {
        shares[*label as usize] += mass;
    }
    let sum: f64 = shares.iter().sum();
    let by = |solver: &dyn Solver| -> Outcome<[f64; 3]> {
        let estimation = ProportionEstimation::new(solver, ProportionSettings::default())?;
        let found = estimation.fit(source, target, &mut Context::default())?;
        Ok(std::array::from_fn(|k| found.shares()[k]))
    };
    Ok([
        counted(&nearest),
        shares.map(|s| s / sum),
        by(&NetworkSimplex::default())?,
        by(&fine)?,
    ])
}

/// The part of the events that the plan's labels have right, in %: with equal shares of the source, and with `shares`.
fn told(source: &Domain, target: &Domain, shares: [f64; 3], truth: &[i64]) -> Outcome<[f64; 2]> {
    let fine = entropic()?;
    let shares: BTreeMap<i64, f64> = (0..).zip(shares).collect();
    let right = |source: &Domain| -> Outcome<f64> {
        let adaptation = Adaptation::new(&fine, AdaptationSettings::default())?;
        let fitted = adaptation.fit(source, target, &mut Context::default())?;
        let found: Vec<i64> = (fitted.target_labels()?.predictions().into_iter())
            .map(|label| label.unwrap_or(-1))
            .collect();
        Ok(100.0 * scores::accuracy(&found, truth)?)
    };
    Ok([
        right(source)?,
        right(&source.clone().proportioned(&shares)?)?,
    ])
}

fn entropic() -> Outcome<SinkhornStabilized> {
    let settings = Settings {
        tol: Some(1e-6),
        ..Settings::with_reg(Reg::Absolute(REG))
    };
    Ok(SinkhornStabilized::new(settings)?)
}

/// `events` labelled events of each strain, and as many in all of a mixture of others with `shares`, with their classes.
fn mixture(
    strains: &[Well; 3],
    shares: [f64; 3],
    events: usize,
    seed: u64,
) -> Outcome<(Domain, Domain, Vec<i64>)> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let (mut source, mut labels) = (Vec::new(), Vec::new());
    let (mut target, mut truth) = (Vec::new(), Vec::new());
    for (k, (well, share)) in strains.iter().zip(shares).enumerate() {
        let mut order: Vec<usize> = (0..well.len()).collect();
        order.shuffle(&mut rng);
        let mixed = (share * events as f64).round() as usize;
        if well.len() < events + mixed {
            return Err(format!("{}: {} events only", STRAINS[k], well.len()).into());
        }
        let (known, others) = order.split_at(events);
        source.extend(known.iter().flat_map(|&i| well[i]));
        labels.extend(vec![k as i64; events]);
        target.extend(others.iter().take(mixed).flat_map(|&i| well[i]));
        truth.extend(vec![k as i64; mixed]);
    }
    let source = Domain::new("source", source, CHANNELS.len())?.labelled(&labels)?;
    let target = Domain::new("target", target, CHANNELS.len())?;
    Ok((source, target, truth))
}

type Wells = ([Well; 3], Vec<(String, Well)>);

fn columns(values: &[f64], width: usize, columns: [usize; 3]) -> Well {
    let rows = values.chunks_exact(width);
    rows.map(|row| columns.map(|c| row[c])).collect()
}

fn fixtures() -> Outcome<Wells> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/cytometry");
    let read = |name: &str| -> Outcome<Well> {
        let events = ot_data::read(folder.join(format!("{name}.npy")))?.into_matrix()?;
        let values: Vec<f64> = events.iter().copied().collect();
        Ok(columns(&values, events.ncols(), OF_FIXTURES))
    };
    let strains = [read("cfp")?, read("yfp")?, read("rfp")?];
    Ok((strains, vec![("H1".to_owned(), read("mixed")?)]))
}

/// All events, arcsinh(x/150) as in the fixtures.
fn whole(data: &Path) -> Outcome<Wells> {
    let folder = data.join("cytometry");
    let read = |well: &str| -> Outcome<Well> {
        let path = folder.join(format!("plate_{well}.channels.txt"));
        let names =
            std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let places: BTreeMap<&str, usize> = names.lines().zip(0..).collect();
        let mut wanted = [0; 3];
        for (place, name) in wanted.iter_mut().zip(CHANNELS) {
            let found = places.get(name);
            *place = *found.ok_or_else(|| format!("{}: no channel {name}", path.display()))?;
        }
        let events = ot_data::read(folder.join(format!("plate_{well}.npy")))?.into_matrix()?;
        let values: Vec<f64> = events.iter().map(|x| (x / 150.0).asinh()).collect();
        Ok(columns(&values, events.ncols(), wanted))
    };
    let strains = [read("cfp_A4")?, read("yfp_A7")?, read("rfp_A3")?];
    let mixed = ["H1", "H12"].map(|name| Ok((name.to_owned(), read(&format!("mixed_{name}"))?)));
    Ok((strains, mixed.into_iter().collect::<Outcome<_>>()?))
}
