//! The integrator against closed forms: its order, its error control, its limits.
#![allow(clippy::unwrap_used)]

use solver_spot::Error;
use solver_spot::flow::{DormandPrince, IntegrationError, Slope, Stages, Steps};

/// y' = (y₂, −y₁): the oscillator, whose way is (cos t, −sin t) from (1, 0).
fn oscillator(_: f64, y: &[f64], out: &mut [f64]) {
    out[0] = y[1];
    out[1] = -y[0];
}

fn run(
    by: DormandPrince,
    slope: &mut Slope<'_>,
    times: (f64, f64),
    y: &mut [f64],
) -> Result<Steps, Error> {
    by.integrate(slope, times, y, &mut Stages::default())
}

/// Fixed steps of length h: tolerances that accept all of them, and a growth of at most 10 that the end cuts off.
fn one_step_error(h: f64) -> f64 {
    let by = DormandPrince {
        rtol: 0.0,
        atol: 1e3,
        first_step: Some(h),
        ..DormandPrince::default()
    };
    let mut y = [1.0, 0.0];
    let steps = run(by, &mut oscillator, (0.0, h), &mut y).unwrap();
    assert_eq!((steps.taken, steps.rejected), (1, 0));
    (y[0] - h.cos()).hypot(y[1] + h.sin())
}

#[test]
fn a_step_is_of_order_five() {
    // The error of one step falls as h⁶.
    for h in [0.8, 0.4, 0.2] {
        let order = (one_step_error(h) / one_step_error(h / 2.0)).log2();
        assert!((order - 6.0).abs() < 0.25, "h = {h}: {order}");
    }
}

#[test]
fn errors_follow_the_tolerance() {
    let mut before = f64::INFINITY;
    for tol in [1e-4, 1e-6, 1e-8, 1e-10, 1e-12] {
        let by = DormandPrince {
            rtol: 0.0,
            atol: tol,
            ..DormandPrince::default()
        };
        let mut y = [1.0, 0.0];
        let end = 20.0_f64;
        let steps = run(by, &mut oscillator, (0.0, end), &mut y).unwrap();
        let off = (y[0] - end.cos()).hypot(y[1] + end.sin());
        // The error of the whole way is that of its steps, some hundred of them at most 20 long in all.
        assert!(off < 40.0 * tol + 1e-13, "tol {tol:e}: off by {off:e}");
        assert!(
            off < before && off > 1e-3 * tol,
            "tol {tol:e}: off by {off:e}"
        );
        assert!(steps.taken as f64 <= 12.0 + 3.0 * end * (1e-2 / tol).powf(0.2));
        before = off;
    }
}

#[test]
fn linear_equations_forward_and_back() {
    // y' = A y + (t, 1), stable and turning, against itself back and a closed form in t.
    let mut slope = |t: f64, y: &[f64], out: &mut [f64]| {
        out[0] = -y[0] + t;
        out[1] = 2.0 * t * y[1];
    };
    let by = DormandPrince {
        rtol: 1e-10,
        atol: 1e-12,
        ..DormandPrince::default()
    };
    let mut y = [2.0, 1.0];
    run(by, &mut slope, (0.0, 1.5), &mut y).unwrap();
    // y₁ = t − 1 + 3 e^{−t}, y₂ = e^{t²}.
    assert!((y[0] - (0.5 + 3.0 * (-1.5_f64).exp())).abs() < 1e-9);
    assert!((y[1] / (2.25_f64).exp() - 1.0).abs() < 1e-9);
    run(by, &mut slope, (1.5, 0.0), &mut y).unwrap();
    assert!((y[0] - 2.0).abs() < 1e-8 && (y[1] - 1.0).abs() < 1e-8);
}

#[test]
fn one_step_length_serves_the_whole_batch() {
    // Ten slow rows and a fast one: the fast one keeps its tolerance, though it would vanish in a mean.
    let rates: Vec<f64> = (0..10)
        .map(|k| 0.1 + 0.01 * k as f64)
        .chain([-60.0])
        .collect();
    let mut slope = |_: f64, y: &[f64], out: &mut [f64]| {
        for ((o, y), r) in out.iter_mut().zip(y).zip(&rates) {
            *o = r * y;
        }
    };
    let by = DormandPrince {
        rtol: 1e-7,
        atol: 1e-9,
        ..DormandPrince::default()
    };
    let mut y = vec![1.0; 11];
    let all = run(by, &mut slope, (0.0, 1.0), &mut y).unwrap();
    for (y, r) in y.iter().zip(&rates) {
        assert!((y - r.exp()).abs() < 1e-6 * r.exp() + 1e-8, "{r}: {y}");
    }
    let mut alone = |_: f64, y: &[f64], out: &mut [f64]| out[0] = 0.1 * y[0];
    let slow = run(by, &mut alone, (0.0, 1.0), &mut [1.0]).unwrap();
    assert!(all.taken > 4 * slow.taken, "{all:?} {slow:?}");
}

#[test]
fn steps_are_tried_again_where_the_slope_jumps() {
    let mut slope = |t: f64, _: &[f64], out: &mut [f64]| out[0] = if t < 0.37 { 1.0 } else { -5.0 };
    let mut y = [0.0];
    let steps = run(DormandPrince::default(), &mut slope, (0.0, 1.0), &mut y).unwrap();
    assert!(steps.rejected > 3, "{steps:?}");
    assert!((y[0] - (0.37 - 5.0 * 0.63)).abs() < 1e-6, "{}", y[0]);
}

#[test]
fn nothing_to_do_is_done_in_no_step() {
    let mut y = [3.0, 4.0];
    let steps = run(
        DormandPrince::default(),
        &mut oscillator,
        (2.0, 2.0),
        &mut y,
    )
    .unwrap();
    assert_eq!((steps.taken, y), (0, [3.0, 4.0]));
    // An entry that stands still at 0, under a relative tolerance alone.
    let by = DormandPrince {
        atol: 0.0,
        ..DormandPrince::default()
    };
    let mut still = |_: f64, y: &[f64], out: &mut [f64]| (out[0], out[1]) = (0.0, y[1]);
    let mut y = [0.0, 1.0];
    run(by, &mut still, (0.0, 1.0), &mut y).unwrap();
    assert!(y[0] == 0.0 && (y[1] - 1.0_f64.exp()).abs() < 1e-7);
}

#[test]
fn limits_are_errors_that_say_where() {
    let few = DormandPrince {
        max_steps: 5,
        ..DormandPrince::default()
    };
    let error = run(few, &mut oscillator, (0.0, 100.0), &mut [1.0, 0.0]).unwrap_err();
    match error {
        Error::Integration(IntegrationError::StepLimit { steps, t, end, .. }) => {
            assert!(steps == 5 && t > 0.0 && t < 10.0 && end == 100.0);
        }
        other => panic!("{other}"),
    }
    assert!(
        error.to_string().starts_with("5 steps came from t = 0 to "),
        "{error}"
    );
    // y' = y² from 1 has a pole at t = 1.
    let mut pole = |_: f64, y: &[f64], out: &mut [f64]| out[0] = y[0] * y[0];
    let error = run(DormandPrince::default(), &mut pole, (0.0, 2.0), &mut [1.0]).unwrap_err();
    match error {
        Error::Integration(
            IntegrationError::StepTooSmall { t, .. }
            | IntegrationError::NotFinite { t, .. }
            | IntegrationError::StepLimit { t, .. },
        ) => assert!((t - 1.0).abs() < 1e-3, "{t}"),
        other => panic!("{other}"),
    }
    let mut nan = |t: f64, _: &[f64], out: &mut [f64]| {
        out[0] = 1.0;
        out[1] = if t > 0.5 { f64::NAN } else { 1.0 };
    };
    let error = run(
        DormandPrince::default(),
        &mut nan,
        (0.0, 1.0),
        &mut [1.0, 1.0],
    )
    .unwrap_err();
    match error {
        Error::Integration(IntegrationError::NotFinite { place, t, .. }) => {
            assert!(place == 1 && t > 0.5 && t <= 1.0);
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_first_step_that_is_too_long_is_taken_back() {
    // e^{y} leaves the range of numbers far ahead, but not along the way: y' = −e^{y}, y = −ln(1 + t) from 0.
    let mut slope = |_: f64, y: &[f64], out: &mut [f64]| {
        out[0] = if y[0] < -50.0 { f64::NAN } else { -y[0].exp() }
    };
    let by = DormandPrince {
        first_step: Some(400.0),
        ..DormandPrince::default()
    };
    let mut y = [0.0];
    let steps = run(by, &mut slope, (0.0, 500.0), &mut y).unwrap();
    assert!(
        steps.rejected > 0 && (y[0] + 501.0_f64.ln()).abs() < 1e-6,
        "{} {steps:?}",
        y[0]
    );
    let error = run(by, &mut slope, (0.0, 1.0), &mut [f64::NAN]).unwrap_err();
    assert_eq!(error.to_string(), "`y` has NaN at 0: all must be finite");
}

#[test]
fn settings_outside_of_their_range() {
    let default = DormandPrince::default();
    let refused = |by: DormandPrince| by.check().unwrap_err().to_string();
    insta::assert_snapshot!(
        [
            refused(DormandPrince { rtol: -1.0, ..default }),
            refused(DormandPrince { atol: f64::NAN, ..default }),
            refused(DormandPrince { rtol: 0.0, atol: 0.0, ..default }),
            refused(DormandPrince { max_steps: 0, ..default }),
            refused(DormandPrince { first_step: Some(0.0), ..default }),
            run(default, &mut oscillator, (0.0, f64::INFINITY), &mut [1.0, 0.0])
                .unwrap_err()
                .to_string(),
        ]
        .join("\n"),
        @r"
    `rtol` = -1: must be 0 or positive, and finite
    `atol` = NaN: must be 0 or positive, and finite; `rtol` may be 0, too, but not both
    `atol` = 0: must be 0 or positive, and finite; `rtol` may be 0, too, but not both
    `max_steps` = 0: must be at least 1
    `first_step` = 0: must be positive and finite
    `times` has inf at 1: all must be finite
    "
    );
}
