//! Colours of palettes, in three dimensions.

use std::sync::Arc;

use solver_api::{Capability, Context, Ground, PointCost, Problem, Solution, Solver};

use super::lattice::{Lattice, Smooth};
use super::{ColourImage, Palette};
use crate::Error;
use crate::class_models::stream;
use crate::error::require;
use crate::transport::checked;

/// Nodes of the lattice along a channel.
const SIDES: std::ops::RangeInclusive<usize> = 2..=129;

/// What can be set of a [`PaletteTransfer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaletteSettings {
    /// Colours of a palette at most. Default: 500.
    pub colours: usize,
    /// Whether they are pixels drawn at random, and not means of clusters. Default: off.
    pub sampled: bool,
    /// Whether what an entropic plan does to an image that is sent to itself is taken off again; exact plans do nothing
    /// to it. Default: on.
    pub debiased: bool,
    /// Nodes along each channel of the lattice that the map is kept on. Default: 33.
    pub lattice: usize,
}

impl Default for PaletteSettings {
    fn default() -> Self {
        Self {
            colours: 500,
            sampled: false,
            debiased: true,
            lattice: 33,
        }
    }
}

/// Moves all colours of an image as the plan between two palettes moves those of its own palette.
///
/// A colour x_i of the palette goes to the mean T(x_i) of where its mass goes, and by an entropic plan, `debiased`, to
/// x_i + T(x_i) − S(x_i), where S is what the plan from the palette to itself does: so that an image stays as it is where
/// it is its own reference. All colours, those of the palette too, move as a smooth mean of what those near to them in the
/// palette do, and along lines between the nodes of a lattice: a colour that is nearer to another one than the nodes are to
/// each other moves along with it. [`PaletteMap::moved`] has what the plan says.
///
/// Needs [`Capability::Balanced`].
///
/// Sources: Ferradans et al. (2014); Pooladian and Niles-Weed, *Entropic estimation of optimal transport maps* (2021),
/// with the debiased map of Pooladian, Cuturi and Niles-Weed, *Debiaser beware* (2022).
#[derive(Clone)]
pub struct PaletteTransfer<'a> {
    solver: &'a dyn Solver,
    settings: PaletteSettings,
}

impl<'a> PaletteTransfer<'a> {
    /// With checked settings.
    ///
    /// # Errors
    /// A solver without the capability, no colours, and a lattice of one node or of more than 129.
    pub fn new(solver: &'a dyn Solver, settings: PaletteSettings) -> Result<Self, Error> {
        require(solver, Capability::Balanced)?;
        if settings.colours == 0 {
            return Err(Error::setting("colours", 0, "must be at least 1"));
        }
        if !SIDES.contains(&settings.lattice) {
            let rule = "must be from 2 to 129 nodes along a channel";
            return Err(Error::setting("lattice", settings.lattice, rule));
        }
        Ok(Self { solver, settings })
    }

    /// The map that moves the colours of `source` to those of `reference`. The seed decides what palettes are made of, the
    /// same for both images. Time: O(pixels), k-means, and one solve between the palettes (two with `debiased`).
    ///
    /// # Errors
    /// As [`PaletteTransfer::between`].
    pub fn fit(
        &self,
        source: &ColourImage,
        reference: &ColourImage,
        seed: u64,
        context: &mut Context,
    ) -> Result<PaletteMap, Error> {
        let palette = |image: &ColourImage, context: &Context| {
            let set = &self.settings;
            if set.sampled {
                Palette::sample(image, set.colours, stream(seed, 0))
            } else {
                Palette::clusters(image, set.colours, stream(seed, 0), context)
            }
        };
        let (source, reference) = (palette(source, context)?, palette(reference, context)?);
        self.between(source, reference, context)
    }

    /// The map between palettes of the caller's own.
    ///
    /// # Errors
    /// What the solver refuses, and a solve that was stopped or whose numbers failed.
    pub fn between(
        &self,
        source: Palette,
        reference: Palette,
        context: &mut Context,
    ) -> Result<PaletteMap, Error> {
        let (mut moved, solution) = self.move_palette(&source, &reference, context)?;
        if solution.reg > 0.0 && self.settings.debiased {
            let (own, _) = self.move_palette(&source, &source, context)?;
            for ((to, own), from) in moved.iter_mut().zip(own).zip(source.colours()) {
                *to += from - own;
            }
        }
        let quiet = context.for_step(context.threads())?;
        let smooth = Smooth::new(source.colours(), &moved, &quiet)?;
        let lattice = smooth.lattice(self.settings.lattice, &quiet)?;
        Ok(PaletteMap {
            source,
            reference,
            moved,
            solution,
            smooth,
            lattice,
        })
    }

    /// Where the colours of the one go.
    fn move_palette(
        &self,
        from: &Palette,
        to: &Palette,
        context: &mut Context,
    ) -> Result<(Vec<f64>, Solution), Error> {
        let (x, y) = (from.colours().to_vec(), to.colours().to_vec());
        let cost = PointCost::new(x, y, 3, Ground::SqEuclidean)?;
        let problem = Problem::new(from.weights().clone(), to.weights().clone(), Arc::new(cost))?;
        let solution = checked(self.solver.solve_with(&problem, context)?)?;
        let moved = solution.plan.barycentric_projection(to.colours(), 3)?;
        Ok((moved, solution))
    }
}

/// Where colours go.
#[derive(Debug, Clone)]
pub struct PaletteMap {
    source: Palette,
    reference: Palette,
    moved: Vec<f64>,
    solution: Solution,
    smooth: Smooth,
    lattice: Lattice,
}

impl PaletteMap {
    /// The palette of the source.
    #[must_use]
    pub fn source(&self) -> &Palette {
        &self.source
    }

    /// The palette of the reference.
    #[must_use]
    pub fn reference(&self) -> &Palette {
        &self.reference
    }

    /// Where the colours of the source's palette go, K×3.
    #[must_use]
    pub fn moved(&self) -> &[f64] {
        &self.moved
    }

    /// The plan between the palettes, its cost and how the solve went.
    #[must_use]
    pub fn solution(&self) -> &Solution {
        &self.solution
    }

    /// Where one colour goes, without the lattice; it may be outside of 0 to 1. O(colours of the palette).
    #[must_use]
    pub fn colour(&self, x: [f64; 3]) -> [f64; 3] {
        let moved = self.smooth.at(x, &mut Vec::new());
        [0, 1, 2].map(|c| x[c] + moved[c])
    }

    /// Another image with the same change of colours, by the lattice. O(pixels), on the threads of `context`.
    ///
    /// # Errors
    /// [`Error::Stopped`] by the context.
    pub fn transform(&self, image: &ColourImage, context: &Context) -> Result<ColourImage, Error> {
        self.lattice.transform(image, context)
    }
}
