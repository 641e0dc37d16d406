//! What a search is for, and what it has found so far.

use super::Pair;

/// What is sought.
#[derive(Clone, Copy)]
pub(super) enum Seek<'s> {
    /// As many of the nearest.
    All(usize),
    /// The nearest on each side, `true` for the first, if the farther costs at most `ratio` times the other.
    Sides { own: &'s [bool], ratio: f64 },
}

impl<'s> Seek<'s> {
    pub(super) fn found(self) -> Found<'s> {
        match self {
            Self::All(count) => Found::All(Best::new(count)),
            Self::Sides { own, ratio } => Found::Sides(own, ratio, [None, None]),
        }
    }
}

/// What has been found so far.
pub(super) enum Found<'s> {
    All(Best),
    Sides(&'s [bool], f64, [Option<Near>; 2]),
}

impl Found<'_> {
    /// Whether target `k` is now the nearest (one of the nearest) of its side.
    pub(super) fn take(&mut self, k: usize, score: f64) -> bool {
        match self {
            Self::All(best) => best.take(score),
            Self::Sides(own, _, sides) => {
                let side = &mut sides[usize::from(!own[k])];
                let nearer = side.as_ref().is_none_or(|near| score < near.score);
                if nearer {
                    let g = side.take().map_or_else(Vec::new, |near| near.g);
                    *side = Some(Near {
                        target: k,
                        score,
                        g,
                    });
                }
                nearer
            }
        }
    }

    pub(super) fn wants_potentials(&self) -> bool {
        matches!(self, Self::Sides(..))
    }

    /// The potentials of the target that was taken last.
    pub(super) fn keep(&mut self, k: usize, pair: &Pair) {
        if let Self::Sides(own, _, sides) = self
            && let Some(near) = &mut sides[usize::from(!own[k])]
        {
            near.g.clone_from(&pair.g);
        }
    }

    /// What target `k` must not cost more than to be of interest.
    pub(super) fn worst(&self, k: usize) -> f64 {
        match self {
            Self::All(best) => best.worst(),
            Self::Sides(own, ratio, sides) => {
                let score = |side: &Option<Near>| side.as_ref().map_or(f64::INFINITY, |n| n.score);
                let [side, across] = [!own[k], own[k]].map(|s| score(&sides[usize::from(s)]));
                side.min(ratio * across)
            }
        }
    }

    pub(super) fn sides(self) -> Option<[Near; 2]> {
        match self {
            Self::Sides(_, ratio, [Some(own), Some(other)]) => {
                let [least, most] = [own.score.min(other.score), own.score.max(other.score)];
                (most <= ratio * least).then_some([own, other])
            }
            _ => None,
        }
    }
}

/// The nearest target of a side.
#[derive(Debug)]
pub(crate) struct Near {
    pub(crate) target: usize,
    pub(crate) score: f64,
    /// What the score gains with weight at each place of the target, up to a constant: the potential, also where the
    /// target has no weight.
    pub(crate) g: Vec<f64>,
}

/// The `count` least scores so far.
pub(super) struct Best {
    scores: Vec<f64>,
    count: usize,
}

impl Best {
    fn new(count: usize) -> Self {
        Self {
            scores: Vec::with_capacity(count + 1),
            count,
        }
    }

    /// Whether it is among them.
    fn take(&mut self, score: f64) -> bool {
        let at = self.scores.partition_point(|s| *s <= score);
        self.scores.insert(at, score);
        self.scores.truncate(self.count);
        at < self.count
    }

    /// What a score must not exceed to be among them.
    fn worst(&self) -> f64 {
        match self.scores.last() {
            Some(last) if self.scores.len() == self.count => *last,
            _ => f64::INFINITY,
        }
    }
}
