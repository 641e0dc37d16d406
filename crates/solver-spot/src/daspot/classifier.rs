//! D = D_c ∘ D_e: an embedding, and what decides on it.

use ot_nn::{Adam, Network, Number, Optimizer, Tape, check_finite};

use super::objective::{argmax, softmax};
use crate::Error;

/// What is added to squared lengths of embeddings, so that one of length 0 has a direction, too: none.
const LEAST: f64 = 1e-12;
/// Rows that pass through the networks at once where they are not trained.
const BLOCK: usize = 500;

/// A classifier that is two networks one after the other: D_e makes an embedding of a point, D_c makes scores of classes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Classifier<T: Number = f32> {
    embedding: Network<T>,
    decision: Network<T>,
}

impl<T: Number> Classifier<T> {
    /// # Errors
    /// Networks that do not fit, and a single class.
    pub fn new(embedding: Network<T>, decision: Network<T>) -> Result<Self, Error> {
        if embedding.outputs() != decision.inputs() {
            let found = format!("takes rows of {}", decision.inputs());
            let expected = format!("`embedding` makes rows of {}", embedding.outputs());
            return Err(Error::shape("decision", found, expected));
        }
        if decision.outputs() < 2 {
            return Err(Error::shape(
                "decision",
                "one score",
                "there are two classes at least",
            ));
        }
        Ok(Self {
            embedding,
            decision,
        })
    }

    /// D_e.
    #[must_use]
    pub fn embedding(&self) -> &Network<T> {
        &self.embedding
    }

    /// D_c.
    #[must_use]
    pub fn decision(&self) -> &Network<T> {
        &self.decision
    }

    /// Length of the points.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.embedding.inputs()
    }

    /// How many classes there are.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.decision.outputs()
    }

    /// Embeddings of rows, as the decision gets them: of length √d if `normalized`.
    ///
    /// # Errors
    /// Parts of rows, and numbers that are not finite.
    pub fn embed(&self, rows: &[T], normalized: bool) -> Result<Vec<f64>, Error> {
        self.blocks(rows, normalized, |pass, all: &mut Vec<f64>| {
            all.extend(pass.embedded.iter().map(|v| v.wide()));
        })
    }

    /// Labels of rows: argmax of the scores.
    ///
    /// # Errors
    /// Parts of rows, and numbers that are not finite.
    pub fn predict(&self, rows: &[T], normalized: bool) -> Result<Vec<usize>, Error> {
        let classes = self.classes();
        self.blocks(rows, normalized, |pass, all: &mut Vec<usize>| {
            all.extend(pass.scores.chunks_exact(classes).map(argmax));
        })
    }

    /// Probabilities of all classes, row by row: softmax of the scores.
    ///
    /// # Errors
    /// Parts of rows, and numbers that are not finite.
    pub fn predict_proba(&self, rows: &[T], normalized: bool) -> Result<Vec<f64>, Error> {
        let classes = self.classes();
        let mut one = vec![0.0; classes];
        self.blocks(rows, normalized, |pass, all: &mut Vec<f64>| {
            for scores in pass.scores.chunks_exact(classes) {
                softmax(scores, &mut one);
                all.extend_from_slice(&one);
            }
        })
    }

    /// Passes of some rows at a time, so that the room does not grow with their number.
    fn blocks<V>(
        &self,
        rows: &[T],
        normalized: bool,
        mut take: impl FnMut(&Pass<T>, &mut Vec<V>),
    ) -> Result<Vec<V>, Error> {
        check_finite("rows", rows)?;
        let dim = self.inputs();
        if !rows.len().is_multiple_of(dim) {
            let expected = format!("rows of {dim} take a multiple of that many");
            return Err(Error::shape(
                "rows",
                format!("{} numbers", rows.len()),
                expected,
            ));
        }
        let (mut pass, mut all) = (Pass::new(self, normalized), Vec::new());
        for part in rows.chunks(BLOCK * dim) {
            pass.forward(self, part)?;
            take(&pass, &mut all);
        }
        Ok(all)
    }

    /// Length of the embeddings.
    pub(crate) fn width(&self) -> usize {
        self.embedding.outputs()
    }

    pub(crate) fn parts(&self) -> [&Network<T>; 2] {
        [&self.embedding, &self.decision]
    }

    pub(crate) fn parts_mut(&mut self) -> [&mut Network<T>; 2] {
        [&mut self.embedding, &mut self.decision]
    }

    /// Whether the other one has the same layers.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let alike = |(a, b): (&Network<T>, &Network<T>)| a.layers() == b.layers();
        self.parts().into_iter().zip(other.parts()).all(alike)
    }

    /// mean ← keep·mean + (1 − keep)·now.
    pub(crate) fn follow(&mut self, now: &Self, keep: f64) {
        for (mean, now) in self.parts_mut().into_iter().zip(now.parts()) {
            crate::train::follow(mean, now, keep);
        }
    }
}

/// A pass of a batch through a classifier, with room for the way back.
#[derive(Debug, Clone)]
pub(crate) struct Pass<T: Number> {
    tapes: [Tape<T>; 2],
    /// Whether embeddings are brought to length √d.
    normalized: bool,
    /// Lengths of the embeddings before.
    lengths: Vec<f64>,
    /// As the decision gets them.
    pub(crate) embedded: Vec<T>,
    pub(crate) scores: Vec<T>,
    /// Gradients by both, which the losses add to.
    pub(crate) by_embedded: Vec<T>,
    pub(crate) by_scores: Vec<T>,
    /// By the parameters.
    pub(crate) gradients: [Vec<T>; 2],
}

impl<T: Number> Pass<T> {
    pub(crate) fn new(of: &Classifier<T>, normalized: bool) -> Self {
        Self {
            tapes: [Tape::default(), Tape::default()],
            normalized,
            lengths: Vec::new(),
            embedded: Vec::new(),
            scores: Vec::new(),
            by_embedded: Vec::new(),
            by_scores: Vec::new(),
            gradients: of.parts().map(|n| vec![T::ZERO; n.parameters().len()]),
        }
    }

    /// Embeddings and scores of rows, with gradients of 0. Embeddings e of d numbers become √d·e/‖e‖: their numbers are around
    /// ±1 then, as what comes out of a fresh network is.
    pub(crate) fn forward(&mut self, of: &Classifier<T>, rows: &[T]) -> Result<(), Error> {
        let width = of.width();
        let plain = of.embedding.forward(rows, &mut self.tapes[0])?;
        self.embedded.clear();
        self.embedded.extend_from_slice(plain);
        self.lengths.clear();
        if self.normalized {
            for row in self.embedded.chunks_exact_mut(width) {
                let square: f64 = row.iter().map(|v| v.wide() * v.wide()).sum();
                let length = (square + LEAST).sqrt();
                let scale = T::from_f64((width as f64).sqrt() / length);
                row.iter_mut().for_each(|v| *v *= scale);
                self.lengths.push(length);
            }
        }
        let scores = of.decision.forward(&self.embedded, &mut self.tapes[1])?;
        self.scores.clear();
        self.scores.extend_from_slice(scores);
        for (by, of) in [
            (&mut self.by_embedded, self.embedded.len()),
            (&mut self.by_scores, self.scores.len()),
        ] {
            by.clear();
            by.resize(of, T::ZERO);
        }
        Ok(())
    }

    /// The gradients by all parameters from those by embeddings and scores; returns those by the rows.
    pub(crate) fn backward(&mut self, of: &Classifier<T>) -> Result<&[T], Error> {
        let [by_e, by_c] = &mut self.gradients;
        let through = of
            .decision
            .backward(&self.by_scores, &mut self.tapes[1], by_c)?;
        for (sum, by) in self.by_embedded.iter_mut().zip(through) {
            *sum += *by;
        }
        let width = of.width();
        // e = √d h/‖h‖ has the derivative √d/‖h‖ (I − e eᵀ/d).
        let rows = self.by_embedded.chunks_exact_mut(width);
        for ((by, e), length) in rows
            .zip(self.embedded.chunks_exact(width))
            .zip(&self.lengths)
        {
            let along: f64 = by.iter().zip(e).map(|(g, e)| g.wide() * e.wide()).sum();
            let (scale, along) = ((width as f64).sqrt() / length, along / width as f64);
            for (g, e) in by.iter_mut().zip(e) {
                *g = T::from_f64(scale * (g.wide() - along * e.wide()));
            }
        }
        Ok(of
            .embedding
            .backward(&self.by_embedded, &mut self.tapes[0], by_e)?)
    }
}

/// A classifier in training: its passes over made and over real points, its optimizers, its running mean.
#[derive(Debug, Clone)]
pub(crate) struct Learner<T: Number> {
    pub(crate) now: Classifier<T>,
    pub(crate) mean: Classifier<T>,
    pub(crate) optimizers: [Adam<T>; 2],
    pub(crate) made: Pass<T>,
    pub(crate) real: Pass<T>,
}

impl<T: Number> Learner<T> {
    pub(crate) fn new(now: Classifier<T>, betas: (f64, f64), normalized: bool) -> Self {
        let adam = || Adam::with(0.0, betas, 1e-8);
        let pass = Pass::new(&now, normalized);
        Self {
            mean: now.clone(),
            optimizers: [adam(), adam()],
            made: pass.clone(),
            real: pass,
            now,
        }
    }

    /// A step down `made`·(the gradient of the made points) + (that of the real ones).
    pub(crate) fn step(&mut self, made: f64, rate: f64) -> Result<(), Error> {
        let weight = T::from_f64(made);
        for (k, part) in self.now.parts_mut().into_iter().enumerate() {
            let gradient = &mut self.real.gradients[k];
            // A weight of 0 leaves even what is no number out: there has been no pass yet.
            if made > 0.0 {
                for (sum, g) in gradient.iter_mut().zip(&self.made.gradients[k]) {
                    *sum += weight * *g;
                }
            }
            self.optimizers[k].set_rate(rate);
            self.optimizers[k].step(gradient, part.parameters_mut())?;
        }
        Ok(())
    }
}
