//! Colour transfer by every backend, against the monotone rearrangement, and on photographs.

use ot_apps::{ChannelTransfer, ColourImage, Palette, PaletteSettings, PaletteTransfer};
use solver_api::{Context, Solver};
use solver_exact::NetworkSimplex;
use solver_exact::closed::{Line, Settings};

use crate::refusals::said;
use crate::solvers::solvers;
use crate::toy::RelaxedOnly;

/// 60 pixels with twelve levels a channel at most, none of them a tie.
fn stripes(shift: usize) -> ColourImage {
    let pixel = |k: usize| {
        let level = |by: usize| (40 + shift + 11 * (k * by % 12)) as u8;
        [level(1), level(5), level(7)]
    };
    let pixels: Vec<u8> = (0..60).flat_map(pixel).collect();
    ColourImage::new("stripes", (6, 10), pixels).expect("valid")
}

fn photo(name: &str) -> ColourImage {
    let path = format!(
        "{}/../../fixtures/photos/{name}.png",
        env!("CARGO_MANIFEST_DIR")
    );
    let image = ot_data::read(path).expect("a fixture");
    let (shape, pixels) = match image.array {
        ot_data::Array::U8(a) => (a.shape().to_vec(), a.into_iter().collect::<Vec<_>>()),
        other => panic!("{:?}", other.dtype()),
    };
    ColourImage::new("photo", (shape[0], shape[1]), pixels).expect("RGB")
}

fn farthest(one: &ColourImage, other: &ColourImage) -> u8 {
    let pairs = one.pixels().iter().zip(other.pixels());
    pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

/// The monotone rearrangement from its definition: level i goes to the mean of the reference's quantiles over the mass of i.
fn rearranged(source: &[u64; 256], reference: &[u64; 256]) -> Vec<Option<f64>> {
    let (n, m) = (source.iter().sum::<u64>(), reference.iter().sum::<u64>());
    // In units of 1 / (n·m).
    let mut left: Vec<u128> = reference
        .iter()
        .map(|&b| u128::from(b) * u128::from(n))
        .collect();
    let mut at = 0;
    let level = |&a: &u64| {
        let mass = u128::from(a) * u128::from(m);
        let (mut need, mut sum) = (mass, 0.0);
        while need > 0 {
            let taken = need.min(left[at]);
            sum += taken as f64 * at as f64;
            need -= taken;
            left[at] -= taken;
            if left[at] == 0 {
                at += 1;
            }
        }
        (mass > 0).then(|| sum / mass as f64 / 255.0)
    };
    source.iter().map(level).collect()
}

#[test]
fn channels_by_every_backend_are_the_monotone_rearrangement() {
    let (source, reference) = (stripes(0), stripes(50));
    for solver in solvers() {
        let name = solver.name();
        let transfer = ChannelTransfer::new(solver.as_ref()).expect("balanced");
        let map = transfer
            .fit(&source, &reference, &Context::default())
            .expect("solved");
        let entropic = map.solutions().iter().any(|s| s.reg > 0.0);
        // A hundredth of the largest cost: a blur of √(0.01 / 2) of the largest distance, which is 171 levels.
        let allowed = if entropic {
            0.071 * 171.0 / 255.0
        } else {
            1.0 / 255.0
        };
        for channel in 0..3 {
            let (a, b) = (source.histogram(channel), reference.histogram(channel));
            for (i, expected) in rearranged(&a, &b).into_iter().enumerate() {
                let off = expected.map_or(0.0, |e| (map.levels(channel)[i] - e).abs());
                assert!(
                    off <= allowed,
                    "{name}, channel {channel}, level {i}: {off}"
                );
            }
        }
        if !entropic {
            assert!(
                farthest(&map.transform(&source), &stripes(50)) <= 1,
                "{name}"
            );
        }
    }
}

#[test]
fn channels_of_photographs_are_rearranged_to_a_thousandth_of_a_level() {
    let (source, reference) = (photo("coffee"), photo("chelsea"));
    let line = Line::new(Settings::default()).expect("valid");
    let exact = NetworkSimplex::default();
    for solver in [&line as &dyn Solver, &exact] {
        let transfer = ChannelTransfer::new(solver).expect("balanced");
        let map = transfer
            .fit(&source, &reference, &Context::default())
            .expect("solved");
        for channel in 0..3 {
            let (a, b) = (source.histogram(channel), reference.histogram(channel));
            let levels = map.levels(channel);
            for (i, expected) in rearranged(&a, &b).into_iter().enumerate() {
                let off = expected.map_or(0.0, |e| (levels[i] - e).abs());
                assert!(
                    off < 1e-3 / 255.0,
                    "{}, channel {channel}, level {i}: {off}",
                    solver.name()
                );
            }
            assert!(levels.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12));
        }
        // The image has the histogram of the reference, up to levels that no mass can be split among.
        let moved = map.transform(&source);
        for channel in 0..3 {
            let (got, want) = (moved.histogram(channel), reference.histogram(channel));
            let (n, m) = (moved.pixels().len() / 3, reference.pixels().len() / 3);
            let (mut sums, mut area) = ((0.0, 0.0), 0.0_f64);
            for (a, b) in got.iter().zip(want) {
                sums.0 += *a as f64 / n as f64;
                sums.1 += b as f64 / m as f64;
                area += (sums.0 - sums.1).abs();
            }
            assert!(area < 1.0, "W1 of channel {channel} is {area} levels");
        }
    }
}

#[test]
fn an_image_that_is_its_own_reference_stays_as_it_is() {
    let stripes = stripes(20);
    for solver in solvers() {
        let name = solver.name();
        let settings = PaletteSettings {
            colours: 20,
            lattice: 9,
            ..PaletteSettings::default()
        };
        for sampled in [false, true] {
            let settings = PaletteSettings {
                sampled,
                ..settings
            };
            let transfer = PaletteTransfer::new(solver.as_ref(), settings).expect("balanced");
            let mut context = Context::default();
            let map = transfer
                .fit(&stripes, &stripes, 3, &mut context)
                .expect("solved");
            let same = map.transform(&stripes, &context).expect("not stopped");
            assert!(farthest(&same, &stripes) <= 1, "{name}, sampled: {sampled}");
        }
    }
    let photo = photo("chelsea");
    let exact = NetworkSimplex::default();
    let channels = ChannelTransfer::new(&exact).expect("balanced");
    let map = channels
        .fit(&photo, &photo, &Context::default())
        .expect("solved");
    assert_eq!(map.transform(&photo), photo);
    let palette = PaletteTransfer::new(&exact, PaletteSettings::default()).expect("balanced");
    let mut context = Context::default();
    let map = palette
        .fit(&photo, &photo, 0, &mut context)
        .expect("solved");
    assert_eq!(map.transform(&photo, &context), Ok(photo));
}

#[test]
fn a_palette_that_is_shifted_shifts_every_colour() {
    let colours: Vec<f64> = (0..24)
        .map(|k| 0.1 + 0.03 * f64::from(k * 7 % 24))
        .collect();
    let shifted: Vec<f64> = colours
        .iter()
        .enumerate()
        .map(|(k, c)| c + [0.1, 0.0, -0.05][k % 3])
        .collect();
    let weights = vec![1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0];
    let from = Palette::new(colours, weights.clone()).expect("valid");
    let to = Palette::new(shifted, weights).expect("valid");
    let exact = NetworkSimplex::default();
    let transfer = PaletteTransfer::new(&exact, PaletteSettings::default()).expect("balanced");
    let map = transfer
        .between(from, to, &mut Context::default())
        .expect("solved");
    for x in [[0.0, 0.0, 0.0], [0.4, 0.9, 0.2], [1.0, 1.0, 1.0]] {
        let moved = map.colour(x);
        let expected = [x[0] + 0.1, x[1], x[2] - 0.05];
        let off = moved
            .iter()
            .zip(expected)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        assert!(off < 1e-12, "{x:?} to {moved:?}");
    }
}

#[test]
fn the_lattice_and_threads_change_nothing_that_is_seen() {
    let (source, reference) = (photo("coffee"), photo("chelsea"));
    let exact = NetworkSimplex::default();
    let settings = PaletteSettings {
        colours: 60,
        ..PaletteSettings::default()
    };
    let transfer = PaletteTransfer::new(&exact, settings).expect("balanced");
    let images = [1, 3].map(|threads| {
        let mut context = Context::default().with_threads(threads).expect("a pool");
        let map = transfer
            .fit(&source, &reference, 5, &mut context)
            .expect("solved");
        let moved = map.transform(&source, &context).expect("not stopped");
        (map, moved)
    });
    assert_eq!(images[0].1, images[1].1);
    let (map, moved) = &images[0];
    let mut sum = 0.0;
    let pairs = source
        .pixels()
        .chunks_exact(3)
        .zip(moved.pixels().chunks_exact(3));
    for (from, to) in pairs.clone() {
        let exactly = map.colour([0, 1, 2].map(|c| f64::from(from[c]) / 255.0));
        let off = (0..3).map(|c| (exactly[c].clamp(0.0, 1.0) * 255.0 - f64::from(to[c])).abs());
        let off = off.fold(0.0, f64::max);
        assert!(off < 16.0, "{from:?} is off by {off} levels");
        sum += off;
    }
    assert!(
        sum / (pairs.len() as f64) < 1.5,
        "{}",
        sum / pairs.len() as f64
    );
    // The mean colour is that of the reference, up to what smoothing takes.
    let mean = |image: &ColourImage, c: usize| {
        let values = image.pixels().iter().skip(c).step_by(3);
        values.map(|&p| f64::from(p)).sum::<f64>() / (image.pixels().len() / 3) as f64
    };
    for c in 0..3 {
        let (got, want) = (mean(moved, c), mean(&reference, c));
        assert!((got - want).abs() < 4.0, "channel {c}: {got} beside {want}");
    }
}

#[test]
fn the_full_palette_has_every_colour_once() {
    let pixels = [9, 8, 7, 1, 2, 3, 9, 8, 7, 255, 0, 0, 9, 8, 7, 1, 2, 4];
    let image = ColourImage::new("image", (2, 3), pixels).expect("valid");
    let palette = Palette::every(&image).expect("pixels");
    let levels: Vec<f64> = palette
        .colours()
        .iter()
        .map(|c| (c * 255.0).round())
        .collect();
    assert_eq!(
        levels,
        [1.0, 2.0, 3.0, 1.0, 2.0, 4.0, 9.0, 8.0, 7.0, 255.0, 0.0, 0.0]
    );
    let sixths: Vec<f64> = palette
        .weights()
        .weights()
        .iter()
        .map(|w| 6.0 * w)
        .collect();
    for (found, count) in sixths.iter().zip([1.0, 1.0, 3.0, 1.0]) {
        assert!((found - count).abs() < 1e-15, "{sixths:?}");
    }
    assert_eq!(sixths.len(), 4);
}

#[test]
fn palettes_hold_all_of_an_image() {
    let photo = photo("coffee");
    let clusters = Palette::clusters(&photo, 100, 1, &Context::default()).expect("colours");
    assert_eq!(
        clusters,
        Palette::clusters(&photo, 100, 1, &Context::default()).expect("colours")
    );
    assert_eq!(clusters.colours().len(), 300);
    // The mean of a cluster is that of its pixels, and so is the mean of all.
    for c in 0..3 {
        let colours = clusters.colours().iter().skip(c).step_by(3);
        let mean: f64 = colours
            .zip(clusters.weights().weights())
            .map(|(x, w)| x * w)
            .sum();
        let levels = photo.histogram(c);
        let count = levels.iter().sum::<u64>() as f64;
        let own = levels
            .iter()
            .enumerate()
            .map(|(i, &n)| i as f64 / 255.0 * n as f64);
        let own = own.sum::<f64>() / count;
        assert!((mean - own).abs() < 1e-9, "{mean} and {own}");
    }
    // Fewer colours than were asked for, one pixel, and one colour.
    assert_eq!(
        Palette::clusters(&stripes(0), 100, 1, &Context::default())
            .expect("colours")
            .colours()
            .len(),
        36
    );
    let pixel = ColourImage::new("pixel", (1, 1), [7, 8, 255]).expect("valid");
    for palette in [
        Palette::clusters(&pixel, 5, 0, &Context::default()),
        Palette::sample(&pixel, 5, 0),
    ] {
        let palette = palette.expect("colours");
        let levels: Vec<f64> = palette.colours().iter().map(|c| c * 255.0).collect();
        assert!(
            levels
                .iter()
                .zip([7.0, 8.0, 255.0])
                .all(|(a, b)| (a - b).abs() < 1e-9),
            "{levels:?}"
        );
    }
    let exact = NetworkSimplex::default();
    let transfer = PaletteTransfer::new(&exact, PaletteSettings::default()).expect("balanced");
    let mut context = Context::default();
    let map = transfer
        .fit(&pixel, &photo, 0, &mut context)
        .expect("solved");
    map.transform(&pixel, &context).expect("not stopped");
    let channels = ChannelTransfer::new(&exact).expect("balanced");
    let map = channels.fit(&photo, &pixel, &context).expect("solved");
    let flat = map.transform(&photo);
    assert!(flat.pixels().chunks_exact(3).all(|p| p == [7, 8, 255]));
}

#[test]
fn what_is_wrong_is_said() {
    let exact = NetworkSimplex::default();
    let set = |change: fn(&mut PaletteSettings)| {
        let mut settings = PaletteSettings::default();
        change(&mut settings);
        said(PaletteTransfer::new(&exact, settings).map(drop))
    };
    let image = stripes(0);
    insta::assert_snapshot!(
        [
            said(ColourImage::new("source", (2, 2), [0; 4])),
            said(ColourImage::new("source", (0, 2), [])),
            said(ColourImage::new("source", (usize::MAX, 2), [])),
            said(ChannelTransfer::new(&RelaxedOnly).map(drop)),
            said(PaletteTransfer::new(&RelaxedOnly, PaletteSettings::default()).map(drop)),
            set(|s| s.colours = 0),
            set(|s| s.lattice = 1),
            set(|s| s.lattice = 130),
            said(Palette::clusters(&image, 0, 0, &Context::default())),
            said(Palette::sample(&image, 0, 0)),
            said(Palette::new(vec![0.0; 4], vec![1.0])),
            said(Palette::new(vec![0.0, 1.5, 0.0], vec![1.0])),
            said(Palette::new(vec![0.0, f64::NAN, 0.0], vec![1.0])),
            said(Palette::new(vec![0.0; 3], vec![-1.0])),
            said(Palette::new(vec![0.0; 3], vec![0.0])),
        ]
        .join("\n")
    );
}
