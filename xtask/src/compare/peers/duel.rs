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
        let begun = Instant::now();
        loop {
            // The clock on the wall: a side may report the time of one of many iterations.
            let spent = begun.elapsed().as_secs_f64();
            let enough = ratios.len() >= TURNS.0 && spent >= BUDGET;
            if ratios.len() == TURNS.1 || enough || spent >= LONG {
                break;
            }
            let turn = ours().map_err(|e| format!("ours: {e}")).and_then(|our| {
                mine.push(our.seconds);
                Ok((our, peer().map_err(|e| format!("{}: {e}", row.peer))?))
            });
            let (our, their) = match turn {
                Ok(turn) => turn,
                Err(note) => {
                    row.note = note;
                    break;
                }
            };
            theirs.push(their.seconds);
            ratios.push(their.seconds / our.seconds);
            row.disagreement = match (our.value, their.value) {
                (Some(our), Some(their)) if their != 0.0 => Some((our - their).abs() / their.abs()),
                _ => None,
            };
            let said: Vec<String> = our.said.into_iter().chain(their.said).collect();
            row.note = said.join("; ");
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
    fn a_peer_that_fails_leaves_our_time_and_its_word() {
        let row = duel().fight(&mut side(0.5, 1.0), &mut || Err("no memory".into()));
        assert_eq!(
            (row.our_seconds, row.ratio, row.note.as_str()),
            (Some(0.5), None, "p: no memory")
        );
    }
}
