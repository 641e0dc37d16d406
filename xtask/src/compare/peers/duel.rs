//! Two programs on the same input, in turn: what counts is the ratio of their times within a turn.

use std::time::Instant;

use ot_compare::report::PeerRow;

use super::worker::Timed;

/// One side's solve.
pub(super) type Side<'a> = &'a mut dyn FnMut() -> Result<Timed, String>;

/// What is compared, and what the ratio must reach.
pub(super) struct Duel {
    pub(super) goal: &'static str,
    pub(super) case: String,
    pub(super) ours: String,
    pub(super) peer: String,
    pub(super) must: Option<f64>,
    pub(super) aim: Option<f64>,
}

/// Turns at least and at most, and the seconds after which no more than the least begin.
const TURNS: (usize, usize) = (3, 11);
const BUDGET: f64 = 6.0;
/// After as many seconds no turn begins at all.
const LONG: f64 = 25.0;

/// Times that a difference is sought, each over twice the iterations of the one before.
const TRIES: u32 = 4;
/// A difference below this share of the longer run is noise.
const NOISE: f64 = 0.1;

/// The time of one iteration: the difference of runs of `few` and of `many` iterations, in which set-up and plan cancel.
/// Where the machine's noise is as large as the difference, more iterations are put between the two; a time of zero
/// says that this never helped.
pub(super) fn per_iteration(
    few: u64,
    mut many: u64,
    run: &mut dyn FnMut(u64) -> Result<Timed, String>,
) -> Result<Timed, String> {
    let mut tries = 0;
    loop {
        let (short, long) = (run(few)?, run(many)?);
        let difference = long.seconds - short.seconds;
        tries += 1;
        let clear = difference > NOISE * long.seconds;
        if clear || tries == TRIES {
            let seconds = if clear { difference } else { 0.0 };
            return Ok(Timed {
                seconds: seconds / (many - few) as f64,
                value: None,
                said: long.said,
            });
        }
        many = few + 2 * (many - few);
    }
}

impl Duel {
    /// Alternates ours and theirs, and sums up by medians.
    pub(super) fn fight(self, ours: Side<'_>, peer: Side<'_>) -> PeerRow {
        let mut row = PeerRow {
            goal: self.goal.to_owned(),
            case: self.case,
            ours: self.ours,
            our_seconds: None,
            peer: self.peer,
            peer_seconds: None,
            ratio: None,
            must: self.must,
            aim: self.aim,
            disagreement: None,
            note: String::new(),
        };
        let (mut mine, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let mut discarded = 0;
        let begun = Instant::now();
        loop {
            // The clock on the wall: a side may report the time of one of many iterations.
            let spent = begun.elapsed().as_secs_f64();
            let enough = ratios.len() >= TURNS.0 && spent >= BUDGET;
            if ratios.len() + discarded == TURNS.1 || enough || spent >= LONG {
                break;
            }
            let our = match ours() {
                Ok(our) => our,
                Err(e) => {
                    row.note = format!("ours: {e}");
                    break;
                }
            };
            let their = match peer() {
                Ok(their) => their,
                Err(e) => {
                    row.note = format!("{}: {e}", row.peer);
                    mine.extend((our.seconds > 0.0).then_some(our.seconds));
                    break;
                }
            };
            if !(our.seconds > 0.0 && their.seconds > 0.0) {
                discarded += 1;
                continue;
            }
            mine.push(our.seconds);
            theirs.push(their.seconds);
            ratios.push(their.seconds / our.seconds);
            row.disagreement = match (our.value, their.value) {
                (Some(our), Some(their)) if their != 0.0 => Some((our - their).abs() / their.abs()),
                _ => None,
            };
            let said: Vec<String> = our.said.into_iter().chain(their.said).collect();
            row.note = said.join("; ");
        }
        if ratios.is_empty() && discarded > 0 && row.note.is_empty() {
            row.note = "not measured: the time of an iteration is lost in noise".to_owned();
        }
        row.our_seconds = median(&mut mine);
        row.peer_seconds = median(&mut theirs);
        row.ratio = median(&mut ratios);
        row
    }
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[half]),
        _ => Some(0.5 * (values[half - 1] + values[half])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duel() -> Duel {
        Duel {
            goal: "g",
            case: "c".into(),
            ours: "o".into(),
            peer: "p".into(),
            must: Some(5.0),
            aim: Some(12.0),
        }
    }

    fn side(seconds: f64, value: f64) -> impl FnMut() -> Result<Timed, String> {
        move || {
            Ok(Timed {
                seconds,
                value: Some(value),
                said: Vec::new(),
            })
        }
    }

    #[test]
    fn ratios_are_theirs_over_ours() {
        let row = duel().fight(&mut side(0.5, 1.0), &mut side(4.0, 2.0));
        assert_eq!((row.ratio, row.mark()), (Some(8.0), "must"));
        assert_eq!(row.disagreement, Some(0.5));
    }

    #[test]
    fn an_iteration_is_the_difference_of_two_runs() {
        let mut ran = Vec::new();
        let timed = per_iteration(10, 40, &mut |iterations| {
            ran.push(iterations);
            side(2.0 + 0.5 * iterations as f64, 1.0)()
        });
        assert_eq!(timed.unwrap().seconds, 0.5);
        assert_eq!(ran, [10, 40]);
    }

    #[test]
    fn a_difference_within_noise_is_sought_over_more_iterations() {
        // One run of 40 iterations is as short as one of 10, and one is shorter.
        let mut noise = [0.0, -30.0, 0.0, -80.0, 0.0, 0.0].into_iter();
        let mut ran = Vec::new();
        let timed = per_iteration(10, 40, &mut |iterations| {
            ran.push(iterations);
            let seconds = 100.0 + iterations as f64 + noise.next().unwrap();
            side(seconds, 1.0)()
        });
        assert_eq!(timed.unwrap().seconds, 1.0);
        assert_eq!(ran, [10, 40, 10, 70, 10, 130]);
    }

    #[test]
    fn what_never_comes_out_of_the_noise_is_not_measured() {
        let mut runs = 0;
        let row = duel().fight(
            &mut || {
                per_iteration(5, 25, &mut |_| {
                    runs += 1;
                    side(1.0, 1.0)()
                })
            },
            &mut side(1.0, 1.0),
        );
        assert_eq!(
            (row.our_seconds, row.peer_seconds, row.ratio),
            (None, None, None)
        );
        assert!(row.note.starts_with("not measured"), "{}", row.note);
        assert_eq!(runs, 2 * TRIES as usize * TURNS.1);
    }

    #[test]
    fn a_turn_lost_in_noise_is_left_out() {
        let mut ours = [0.5, 0.0, -1.0, 0.5, 0.5].into_iter().cycle();
        let row = duel().fight(
            &mut || side(ours.next().unwrap(), 1.0)(),
            &mut side(4.0, 1.0),
        );
        assert_eq!((row.our_seconds, row.ratio), (Some(0.5), Some(8.0)));
    }

    #[test]
    fn a_peer_that_fails_leaves_our_time_and_its_word() {
        let row = duel().fight(&mut side(0.5, 1.0), &mut || Err("no memory".into()));
        assert_eq!(
            (row.our_seconds, row.ratio, row.note.as_str()),
            (Some(0.5), None, "p: no memory")
        );
    }
}
