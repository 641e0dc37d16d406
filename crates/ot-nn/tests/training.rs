//! Optimizers, clipping, losses by hand, and numbers that are none.
#![allow(clippy::unwrap_used)]

use ot_nn::{
    Adam, Error, Layer, Network, Optimizer, Sgd, Tape, all_finite, check_finite, clip_norm,
    clip_value, cross_entropy, soft_cross_entropy,
};

#[test]
fn optimizers_reach_a_minimum() {
    // ½ Σ s (θ − 1)² of scales from 0.1 to 10.
    let run = |optimizer: &mut dyn Optimizer| {
        let mut theta = [0.0; 3];
        for step in 0..2000 {
            if step == 1000 {
                optimizer.set_rate(0.005);
            }
            let gradient: Vec<f64> = theta
                .iter()
                .zip([0.1, 1.0, 10.0])
                .map(|(t, s)| s * (t - 1.0))
                .collect();
            optimizer.step(&gradient, &mut theta).unwrap();
        }
        theta.iter().map(|t| (t - 1.0).abs()).fold(0.0, f64::max)
    };
    assert!(run(&mut Sgd::new(0.05, 0.9)) < 1e-6);
    assert!(run(&mut Adam::new(0.05)) < 1e-6);
}

#[test]
fn steps_by_hand() {
    let mut theta = [1.0_f32, 2.0];
    let mut sgd = Sgd::new(0.1, 0.5);
    sgd.step(&[1.0, -2.0], &mut theta).unwrap();
    sgd.step(&[1.0, 0.0], &mut theta).unwrap();
    // Momenta 1 and −2, then 1.5 and −1.
    assert!((theta[0] - 0.75).abs() < 1e-6 && (theta[1] - 2.3).abs() < 1e-6);
    let mut theta = [0.0_f64; 2];
    let mut adam = Adam::with(0.5, (0.5, 0.75), 1e-8);
    adam.step(&[4.0, -1.0], &mut theta).unwrap();
    adam.step(&[0.0, -1.0], &mut theta).unwrap();
    // m = 1, v = 3 over 0.75 and 0.4375: 0.5 + 0.5·(4/3)/√(48/7).
    let second = 0.5 + 0.5 * (4.0 / 3.0) / (48.0_f64 / 7.0).sqrt();
    assert!((theta[0] + second).abs() < 1e-7 && (theta[1] - 1.0).abs() < 1e-7);
}

#[test]
fn what_is_not_finite_moves_nothing() {
    let said = "`gradient`[1] is NaN: it must be finite";
    let bad = [1.0, f64::NAN, f64::INFINITY];
    let mut optimizers: [Box<dyn Optimizer>; 2] =
        [Box::new(Sgd::new(0.1, 0.9)), Box::new(Adam::new(0.1))];
    for optimizer in &mut optimizers {
        let mut theta = [1.0, 2.0, 3.0];
        optimizer.step(&[0.5, 0.5, 0.5], &mut theta).unwrap();
        let (before, state) = (theta, optimizer.state());
        let refused = optimizer.step(&bad, &mut theta).unwrap_err();
        assert_eq!(refused.to_string(), said);
        assert_eq!((theta, optimizer.state()), (before, state));
    }
    for clip in [
        |g: &mut [f64]| clip_value(g, 1.0),
        |g: &mut [f64]| clip_norm(&mut [g], 1.0).map(|_| ()),
    ] {
        let mut gradient = bad;
        assert_eq!(clip(&mut gradient).unwrap_err().to_string(), said);
        assert!(gradient[0] == 1.0 && gradient[2] == f64::INFINITY);
    }
    for at in [0, 15, 16, 40] {
        let mut x = vec![f32::MAX; 41];
        assert!(all_finite(&x));
        x[at] = f32::NEG_INFINITY;
        let found = check_finite("scores", &x).unwrap_err();
        assert!(matches!(found, Error::NotFinite { index, .. } if index == at));
    }
    // What goes wrong inside of a network comes out of it.
    let layers = [
        Layer::linear(1, 4),
        Layer::LeakyRelu { slope: 0.0 },
        Layer::linear(4, 2),
        Layer::Softmax,
    ];
    let network: Network = Network::new(&layers, 0).unwrap();
    let mut tape = Tape::default();
    let out = network.forward(&[0.5, f64::NAN], &mut tape).unwrap();
    let found = check_finite("out", out).unwrap_err().to_string();
    assert_eq!(found, "`out`[2] is NaN: it must be finite");
}

#[test]
fn settings_outside_of_their_range_are_said() {
    let said = |mut optimizer: Box<dyn Optimizer>| {
        let mut theta = [1.0];
        let refused = optimizer.step(&[1.0], &mut theta).unwrap_err();
        assert_eq!(theta, [1.0]);
        refused.to_string()
    };
    let betas = (0.9, 0.999);
    insta::assert_snapshot!(
        [
            said(Box::new(Sgd::new(f64::NAN, 0.0))),
            said(Box::new(Sgd::new(0.1, 1.0))),
            said(Box::new(Adam::new(-1.0))),
            said(Box::new(Adam::with(0.1, (1.0, 0.9), 1e-8))),
            said(Box::new(Adam::with(0.1, (0.9, -0.1), 1e-8))),
            said(Box::new(Adam::with(0.1, betas, 0.0))),
            clip_value(&mut [1.0], 0.0).unwrap_err().to_string(),
            clip_norm(&mut [&mut [1.0]], f64::NAN)
                .unwrap_err()
                .to_string(),
        ]
        .join("\n")
    );
    let mut adam = Adam::new(0.1);
    adam.step(&[1.0], &mut [0.0]).unwrap();
    let refused = adam.step(&[1.0, 2.0], &mut [0.0, 1.0]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "`parameters` has 2 numbers, but earlier steps were of 1"
    );
    let refused = adam.step(&[1.0, 2.0], &mut [0.0]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "`gradient` has 2 numbers, but there are parameters: 1"
    );
    let refused = adam.set_state(Sgd::new(0.1, 0.0).state()).unwrap_err();
    insta::assert_snapshot!(refused, @"`optimizer` of the checkpoint is of kind sgd with 2 settings and 1 means, but this one is adam with 4 settings and 2 means");
}

#[test]
fn clipping_by_hand() {
    let mut gradient = [3.0, -0.5, -7.0];
    clip_value(&mut gradient, 2.0).unwrap();
    assert_eq!(gradient, [2.0, -0.5, -2.0]);
    // Two networks together, of norms 3 and 4.
    let (mut x, mut y) = ([3.0, 0.0], [0.0, -4.0, 0.0]);
    assert_eq!(clip_norm(&mut [&mut x, &mut y], 10.0).unwrap(), 5.0);
    assert_eq!((x, y), ([3.0, 0.0], [0.0, -4.0, 0.0]));
    assert_eq!(clip_norm(&mut [&mut x, &mut y], 2.5).unwrap(), 5.0);
    assert_eq!((x, y), ([1.5, 0.0], [0.0, -2.0, 0.0]));
    // Squares beyond the range of numbers.
    let mut huge = [3e200_f64, -4e200];
    let norm = clip_norm(&mut [&mut huge], 1.0).unwrap();
    assert!((norm / 5e200 - 1.0).abs() < 1e-12 && (huge[1] + 0.8).abs() < 1e-12);
}

#[test]
fn losses_by_hand() {
    // Softmax 1/4, 3/4, and scores that e^s cannot hold.
    let logits = [0.0, 3.0_f64.ln(), 1000.0, -1000.0];
    let mut by = [0.0; 4];
    let loss = cross_entropy(&logits, 2, &[0, 1], &mut by).unwrap();
    assert!((loss - (4.0_f64.ln() + 2000.0) / 2.0).abs() < 1e-10);
    let near = |by: &[f64], hand: &[f64]| by.iter().zip(hand).all(|(b, h)| (b - h).abs() < 1e-15);
    assert!(near(&by, &[-0.375, 0.375, 0.5, -0.5]));
    let weights = [0.5, 1.0, 0.0, 0.0];
    let loss = soft_cross_entropy(&logits, 2, &weights, &mut by).unwrap();
    let hand = 0.5 * 4.0_f64.ln() + (4.0_f64 / 3.0).ln();
    assert!((loss - hand / 2.0).abs() < 1e-15);
    assert!(near(&by, &[-0.0625, 0.0625, 0.0, 0.0]));
    let refused = [
        cross_entropy(&logits, 2, &[0, 2], &mut by),
        cross_entropy(&logits, 2, &[0], &mut by),
        cross_entropy(&logits, 3, &[0], &mut by),
        cross_entropy(&logits, 0, &[0], &mut by),
        cross_entropy(&logits, 2, &[0, 1], &mut [0.0; 3]),
        soft_cross_entropy(&logits, 2, &[1.0; 3], &mut by),
        soft_cross_entropy(&logits, 2, &[1.0, -1.0, 0.0, 0.0], &mut by),
    ];
    insta::assert_snapshot!(refused.map(|r| r.unwrap_err().to_string()).join("\n"));
}
