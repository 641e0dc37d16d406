//! The comparison as one self-contained page: style, script, drawings and images inside, nothing fetched.
//!
//! `?theme=dark` or `?theme=light` fixes the mode; `?selftest` lets the page examine itself and write what it found
//! into the attribute `data-selftest` of its root.

mod applications;
mod charts;
mod pictures;
mod plan;
mod svg;
mod sweep;
mod tables;

use std::fmt::Write as _;

use crate::case::SCALE;
use crate::picture::Picture;
use crate::report::{BackendInfo, ProblemReport, Report, of_series, series};
use crate::show;
use svg::escape;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Colours by backend: the project's own have theirs, others take what is left.
pub(crate) struct Palette(Vec<String>);

/// As many as the style sheet has.
const SLOTS: usize = 8;

impl Palette {
    fn new(backends: &[BackendInfo]) -> Self {
        let mut names = [
            "network-simplex",
            "sinkhorn",
            "lp-minilp",
            "lp-microlp",
            "lp-highs",
            "ipot",
            "sinkhorn-stabilized",
        ]
        .map(str::to_owned)
        .to_vec();
        for backend in backends {
            if !names.contains(&backend.name) {
                names.push(backend.name.clone());
            }
        }
        Self(names)
    }

    fn slot(&self, backend: &str) -> usize {
        self.0.iter().position(|n| n == backend).unwrap_or_default() % SLOTS
    }
}

/// A chart drawn twice, for wide and for narrow screens, so that its text keeps its size.
fn both_widths(wide: f64, draw: impl Fn(f64, &str) -> String) -> String {
    draw(wide, "chart wide") + &draw(350.0, "chart narrow")
}

/// The page.
#[must_use]
pub fn render(report: &Report) -> String {
    let palette = Palette::new(&report.backends);
    let mut html = String::new();
    head(&mut html);
    header(&mut html, report);
    if let Some(peers) = &report.peers {
        let _ = write!(
            html,
            r#"<section id="peers"><h2>Beside other libraries</h2><p class="lead">{}. {}</p>{}</section>"#,
            escape(&peers.versions.join(", ")),
            escape(&peers.method),
            tables::of_peers(peers)
        );
    }
    // Points of a series have their plots.
    if report.problems.iter().any(|p| p.series.is_none()) {
        let _ = write!(
            html,
            r#"<section id="overview"><h2>At a glance</h2><p class="lead">Median time of a solve, and under it the width of the certified bracket relative to the optimum. Click a heading to sort by time.</p>{}</section>"#,
            tables::overview(report, &palette)
        );
    }
    scale(&mut html, report, &palette);
    sweep::section(&mut html, report, &palette);
    applications::sections(&mut html, report, &palette);
    plans(&mut html, report);
    html.push_str(r#"<section id="problems"><h2>Problem by problem</h2><p class="lead">Each mark stands at its true relative error, measured against an independent optimum; its whisker reaches up to the certified gap, which is all that one knows without that optimum. Lower left is better. A hollow mark stopped before its tolerance.</p>"#);
    for problem in report.problems.iter().filter(|p| p.group != SCALE) {
        card(&mut html, problem, &palette);
    }
    let _ = write!(
        html,
        r#"</section><footer><p>Made by <code>{}</code> in {:.0} s. The same figures, for programs: <code>report.json</code>. Data: each under its own licence, see <code>fixtures/</code>.</p></footer></main><div id="tip" role="status" hidden></div><script>{SCRIPT}</script></body></html>"#,
        escape(&report.setup.command),
        report.setup.total_seconds,
    );
    html
}

fn head(html: &mut String) {
    // An icon of its own, or browsers ask for one.
    let icon = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='5' cy='8' r='4' fill='%232a6fbb'/%3E%3Ccircle cx='11' cy='8' r='4' fill='%23c8501e' fill-opacity='.8'/%3E%3C/svg%3E";
    let _ = write!(
        html,
        r#"<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark"><title>Optimal transport compared</title><link rel="icon" href="{icon}"><style>{STYLE}</style></head><body><main>"#
    );
}

fn header(html: &mut String, report: &Report) {
    let setup = &report.setup;
    let real = report.problems.iter().filter(|p| p.group != SCALE).count();
    let rows = || report.problems.iter().flat_map(|p| &p.rows);
    let solved = rows().filter(|r| r.figures().is_some()).count();
    let total = rows().count();
    let _ = write!(
        html,
        r#"<header><div class="top"><h1>Optimal transport, compared</h1><button id="theme" type="button" aria-label="Switch between light and dark">◐</button></div><p class="lead">{} on {real} real and small problems and a series over n: {solved} of {total} combinations gave an answer, and each refusal says why. Every answer carries a <b>certified bracket</b>: the lower end is the value of dual potentials that break no constraint, the upper end the cost of a plan with exact marginals. The true optimum lies between them whatever the solver did, so their distance is an error bar that trusts nobody.</p><dl>"#,
        counted(report.backends.len(), "backend"),
    );
    let facts = [
        ("date", setup.date.clone()),
        ("machine", setup.machine.clone()),
        ("threads", setup.threads.to_string()),
        (
            "timing",
            format!("median of up to {}", counted(setup.repeat, "solve")),
        ),
    ];
    for (name, value) in facts {
        let _ = write!(
            html,
            "<div><dt>{name}</dt><dd>{}</dd></div>",
            escape(&value)
        );
    }
    html.push_str(r#"</dl><ul class="backends">"#);
    let palette = Palette::new(&report.backends);
    for backend in &report.backends {
        let _ = write!(
            html,
            r#"<li><i class="dot c{}"></i><b>{}</b> <span>{}</span></li>"#,
            palette.slot(&backend.name),
            escape(&backend.name),
            escape(&backend.summary)
        );
    }
    html.push_str("</ul></header>");
}

fn counted(n: usize, what: &str) -> String {
    if n == 1 {
        format!("1 {what}")
    } else {
        format!("{n} {what}s")
    }
}

fn scale(html: &mut String, report: &Report, palette: &Palette) {
    let series = series(report);
    if series.is_empty() {
        return;
    }
    let _ = write!(
        html,
        r#"<section id="{SCALE}"><h2>Time against n</h2><p class="lead">Squared Euclidean cost; random points in the unit cube with equal weights unless said. n^k: how time grows over the last factor of twenty in n.</p><div class="panels">"#
    );
    for name in &series {
        if let Some(chart) = charts::scaling(name, &of_series(report, name), palette) {
            let _ = write!(html, "<figure><h3>{}</h3>{chart}</figure>", escape(name));
        }
    }
    html.push_str("</div>");
    let told: String = series
        .iter()
        .map(|name| (name, tables::of_phases(&of_series(report, name), palette)))
        .filter(|(_, table)| !table.is_empty())
        .map(|(name, table)| format!("<h4>{}</h4>{table}", escape(name)))
        .collect();
    if !told.is_empty() {
        let _ = write!(
            html,
            "<details><summary>Where the time goes: seconds, and how often or in how many steps</summary>{told}</details>"
        );
    }
    html.push_str("<details><summary>All figures of the series</summary>");
    for problem in report.problems.iter().filter(|p| p.series.is_some()) {
        let _ = write!(
            html,
            "<h4>{}</h4>{}",
            escape(&problem.title),
            tables::of_problem(problem, palette)
        );
    }
    html.push_str("</details></section>");
}

fn plans(html: &mut String, report: &Report) {
    if report.plans.is_empty() {
        return;
    }
    html.push_str(r#"<section id="plans"><h2>What a plan looks like</h2><p class="lead">An exact plan is sparse: at most n + m − 1 cells carry mass. An entropic plan spreads around it, the more the larger its regularization, and that spread is its bias. Sources run down and targets across, in the order of their position on the line, or from dark to light; palettes in groups of the same lightness.</p>"#);
    for pair in &report.plans {
        let _ = write!(
            html,
            r#"<h3>{}</h3><div class="plans">{}</div>"#,
            escape(&pair.title),
            plan::figures(pair)
        );
    }
    html.push_str("</section>");
}

fn card(html: &mut String, problem: &ProblemReport, palette: &Palette) {
    let reference = problem.reference.as_ref().map_or_else(
        || "optimum not known".to_owned(),
        |r| {
            format!(
                "optimum <b>{}</b> by {}",
                show::value(r.value),
                escape(&r.by)
            )
        },
    );
    let licence = problem
        .licence
        .as_ref()
        .map_or_else(String::new, |l| format!(" · data: {}", escape(l)));
    let picture = problem.picture.as_ref().map(pictures::html);
    let picture = picture.unwrap_or_default();
    let _ = write!(
        html,
        r#"<article id="{}"><h3>{}</h3><p class="about">{} · {} × {}, {} · {reference}{licence}</p><div class="card"><div class="picture {}">{}</div><div class="plot">{}</div></div>{}</article>"#,
        escape(&problem.name),
        escape(&problem.title),
        escape(&problem.description),
        problem.n,
        problem.m,
        escape(&problem.metric),
        match &problem.picture {
            Some(Picture::Images { .. } | Picture::Matrix { .. }) => "upright",
            _ => "",
        },
        picture,
        charts::accuracy(problem, palette)
            .unwrap_or_else(|| "<p class=\"none\">No backend gave an answer.</p>".to_owned()),
        tables::of_problem(problem, palette),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_page_holds_everything_and_fetches_nothing() {
        let html = render(&sample::report());
        for wanted in [
            "Optimal transport, compared",
            "prefers-color-scheme: dark",
            "data-tip=",
            "KernelUnderflow",
            "id=\"palettes\"",
            "id=\"scale\"",
            "id=\"sweep-palettes\"",
            "made up &lt;for&gt; tests",
        ] {
            assert!(html.contains(wanted), "{wanted}");
        }
        // The namespace in the icon is a name, not an address that is fetched.
        let elsewhere = html.replace("http://www.w3.org/2000/svg", "");
        for forbidden in [
            "http://",
            "https://",
            "@import",
            "url(",
            "<link rel=\"stylesheet",
        ] {
            assert!(!elsewhere.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn every_opened_element_is_closed() {
        let html = render(&sample::report());
        for tag in [
            "section", "article", "table", "svg", "figure", "div", "details", "g", "p", "span",
            "td", "tr",
        ] {
            let opened = html.matches(&format!("<{tag} ")).count()
                + html.matches(&format!("<{tag}>")).count();
            assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }
}
