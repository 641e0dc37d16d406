//! Trainings between images: what is drawn, what fits, and that the same seed gives the same bits.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use ot_nn::Network;
use rand::SeedableRng;
use rand_pcg::Pcg64;
use solver_spot::{
    ContinuousSolver, Error, Generator, Images, Sampler, Sobel, Spot, SpotSettings, image_critic,
    image_generator,
};

/// Bars: vertical ones in even images and horizontal ones in odd images, grey or in colours.
fn bars(channels: usize) -> Images {
    let mut pixels = Vec::new();
    for image in 0..16 {
        for row in 0..8 {
            for column in 0..8 {
                let at = if image % 2 == 0 { column } else { row };
                for channel in 0..channels {
                    pixels.push(if at == 3 {
                        255 - 60 * channel as u8
                    } else {
                        20
                    });
                }
            }
        }
    }
    Images::new(pixels, 8, 8, channels).unwrap()
}

fn spot(settings: SpotSettings) -> Spot<f32> {
    let generator = |channels, seed| {
        let chain = image_generator(6, 4, (channels, 8, 8)).unwrap();
        Network::new(&chain, seed).unwrap()
    };
    let judge = |channels, seed| {
        let chain = image_critic(4, (channels, 8, 8)).unwrap();
        Network::new(&chain, seed).unwrap()
    };
    Spot::new(
        Generator::separate(vec![generator(1, 0), generator(3, 1)]).unwrap(),
        vec![judge(1, 2), judge(3, 3)],
        vec![Arc::new(bars(1)), Arc::new(bars(3))],
        Arc::new(Sobel::new(8, 8).unwrap()),
        settings,
    )
    .unwrap()
}

fn short() -> SpotSettings {
    SpotSettings {
        steps: 60,
        critic_steps: 2,
        batch: 12,
        eta: 1000.0,
        first_eta: 100.0,
        ..SpotSettings::default()
    }
}

#[test]
fn images_come_out_channel_by_channel() {
    let images = Images::new((0..24).collect(), 2, 2, 3).unwrap();
    assert_eq!(
        (images.len(), images.dim(), images.shape()),
        (2, 12, (3, 2, 2))
    );
    let second = images.row(1).unwrap();
    let bytes: Vec<f64> = second.iter().map(|v| (v + 1.0) * 127.5).collect();
    let expected = [12, 15, 18, 21, 13, 16, 19, 22, 14, 17, 20, 23].map(f64::from);
    assert!(
        bytes
            .iter()
            .zip(expected)
            .all(|(b, e)| (b - e).abs() < 1e-12)
    );
    assert_eq!(images.row(2), None);
    let mut rows = vec![0.0; 12 * 400];
    images.draw(&mut Pcg64::seed_from_u64(5), &mut rows);
    let seconds = rows.chunks_exact(12).filter(|row| **row == second).count();
    assert!(
        rows.chunks_exact(12)
            .all(|row| *row == second || row[0] == -1.0)
    );
    assert!((150..250).contains(&seconds), "{seconds}");
}

#[test]
fn what_does_not_fit_is_said() {
    let said = |made: Result<Images, Error>| made.map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        said(Images::new(vec![0; 13], 2, 2, 3)),
        "`pixels`: 13 bytes, but images of 2×2×3 take a multiple of 12, at least one"
    );
    assert_eq!(
        said(Images::new(Vec::new(), 2, 2, 3)),
        "`pixels`: 0 bytes, but images of 2×2×3 take a multiple of 12, at least one"
    );
    assert_eq!(
        said(Images::new(vec![0], 1, 0, 1)),
        "`width` = 0: must be from 1 to 2^20"
    );
    let refused = SpotSettings {
        critic_rate: 0.0,
        ..short()
    };
    assert_eq!(
        refused.check().unwrap_err().to_string(),
        "`critic_rate` = 0: must be positive and finite"
    );
}

#[test]
fn trainings_go_on_two_threads_to_the_same_bits() {
    let mut one = spot(short());
    let mut two = spot(short()).side_by_side(true);
    for _ in 0..20 {
        assert_eq!(one.step().unwrap(), two.step().unwrap());
    }
    let (one, two) = (one.sample(9, 4).unwrap(), two.sample(9, 4).unwrap());
    assert_eq!(one, two);
    assert!(one.marginal(1).iter().all(|v| v.abs() <= 1.0));
}
