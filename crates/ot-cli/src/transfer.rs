//! `ot transfer`.

use std::path::Path;

use kantorovich::{Context, Solution, Solver};
use ot_apps::{ChannelTransfer, ColourImage, PaletteSettings, PaletteTransfer};
use ot_data::Array;
use serde::Serialize;

use crate::Cli;
use crate::args::TransferArgs;
use crate::exit::{Exit, Failure};
use crate::input::load;
use crate::many::{self, Figures, Job};
use crate::output::ArrayOut;

const MODES: [&str; 2] = ["channels", "palette"];

/// The JSON object of `ot transfer --json`: what was asked for beside the usual fields, where `n` and `m` are colours of
/// the palettes, or levels of all channels.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    figures: Figures,
    mode: &'static str,
    height: usize,
    width: usize,
    #[serde(skip)]
    written: String,
}

/// Moves the colours, and returns the report with its exit status.
pub(crate) fn run(cli: &Cli<'_>, args: &TransferArgs) -> Result<(String, Exit), Failure> {
    let mode = many::one_of("mode", &args.mode, &MODES)?;
    let settings = settings(mode, args)?;
    let job = Job::new(cli, &args.solver, "colours are points", settings.is_some())?;
    let out = ArrayOut::check_image("<OUT>", &args.out)?;
    out.is_none_of(&[
        ("<SOURCE>", Some(args.source.as_path())),
        ("<REFERENCE>", Some(args.reference.as_path())),
    ])?;
    let source = image("<SOURCE>", &args.source)?;
    let reference = image("<REFERENCE>", &args.reference)?;
    let solver = job.solver();
    let seed = args.solver.seed.unwrap_or(0);
    let (found, ended) = job.run(mode, |context| match settings {
        None => by_channels(solver, &source, &reference, context),
        Some(settings) => by_palette(solver, settings, [&source, &reference], seed, context),
    })?;
    let (height, width) = source.size();
    let (backend, shape, within) = match &found {
        Some((_, solutions)) => {
            let shapes = solutions.iter().map(|s| s.plan.shape());
            let shape = shapes.fold((0, 0), |sum, (n, m)| (sum.0 + n, sum.1 + m));
            let within = solutions.iter().all(|s| s.convergence.converged());
            (solutions.first().map(|s| s.solver.clone()), shape, within)
        }
        None => (None, (0, 0), false),
    };
    let mut figures = Figures::new(backend, shape, within, &ended);
    let mut written = "no image: it was stopped".to_owned();
    if let Some((moved, solutions)) = &found {
        // Squared distances of colours: what channels cost adds up.
        figures.transport_cost = Some(solutions.iter().map(|s| s.transport_cost).sum());
        figures.objective = Some(solutions.iter().map(|s| s.objective).sum());
        out.write_image(&[height, width, 3], moved.pixels())?;
        written = args.out.display().to_string();
    }
    let report = Report {
        figures,
        mode,
        height,
        width,
        written,
    };
    let text = if args.json {
        many::json(&report)?
    } else {
        report.to_text()
    };
    Ok((text, report.figures.exit()))
}

/// Those of a palette, or none for channels, which have no such options.
fn settings(mode: &str, args: &TransferArgs) -> Result<Option<PaletteSettings>, Failure> {
    if mode == "channels" {
        let given = [
            ("colours", args.colours.is_some()),
            ("sampled", args.sampled),
        ];
        return match given.into_iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(Failure::option(option, "`channels` have no palette")),
            None => Ok(None),
        };
    }
    let mut settings = PaletteSettings {
        sampled: args.sampled,
        ..PaletteSettings::default()
    };
    match args.colours {
        Some(0) => return Err(Failure::option("colours", "0: must be at least 1")),
        Some(colours) => settings.colours = colours,
        None => {}
    }
    Ok(Some(settings))
}

type Moved = (ColourImage, Vec<Solution>);

fn by_channels(
    solver: &dyn Solver,
    source: &ColourImage,
    reference: &ColourImage,
    context: &Context,
) -> Result<Moved, ot_apps::Error> {
    let map = ChannelTransfer::new(solver)?.fit(source, reference, context)?;
    Ok((map.transform(source), map.solutions().to_vec()))
}

fn by_palette(
    solver: &dyn Solver,
    settings: PaletteSettings,
    [source, reference]: [&ColourImage; 2],
    seed: u64,
    context: &Context,
) -> Result<Moved, ot_apps::Error> {
    let transfer = PaletteTransfer::new(solver, settings)?;
    let pool = context.clone();
    let fit = || transfer.fit(source, reference, seed, &mut context.clone());
    let map = pool.install(fit)?;
    // What is left to do takes less than a second.
    let moved = map.transform(source, &context.for_step(context.threads())?)?;
    Ok((moved, vec![map.solution().clone()]))
}

fn image(argument: &'static str, path: &Path) -> Result<ColourImage, Failure> {
    let loaded = load(argument, path)?;
    let shape = loaded.array.shape().to_vec();
    let [height, width, 3] = shape[..] else {
        let found: Vec<_> = shape.iter().map(usize::to_string).collect();
        let problem = format!(
            "{} is an array of {}: an image of height × width × 3 (red, green and blue) is needed",
            path.display(),
            found.join("×")
        );
        return Err(Failure::option(argument, problem));
    };
    let Array::U8(levels) = loaded.array else {
        let problem = format!(
            "{} holds {}: levels must be of 8 bits",
            path.display(),
            loaded.array.dtype()
        );
        return Err(Failure::option(argument, problem));
    };
    let levels: Vec<u8> = levels.into_iter().collect();
    let image = ColourImage::new("image", (height, width), levels);
    image.map_err(|e| Failure::option(argument, e))
}

impl Report {
    fn to_text(&self) -> String {
        let of = &self.figures;
        let mut pairs = vec![
            ("backend", of.who()),
            ("mode", self.mode.to_owned()),
            (
                "image",
                format!("{}×{}, {}", self.height, self.width, self.written),
            ),
        ];
        if of.backend.is_some() {
            let what = if self.mode == "palette" {
                "colours"
            } else {
                "levels"
            };
            pairs.push((what, format!("{} to {}", of.n, of.m)));
        }
        if let Some(cost) = of.transport_cost {
            pairs.push(("transport cost", format!("{cost:.9}")));
        }
        pairs.push(("termination", of.verdict()));
        pairs.push(("time", format!("{:.3} s", of.seconds)));
        many::lines(&pairs)
    }
}
