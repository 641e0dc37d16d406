//! `cargo xtask new-solver NAME`: a crate with all rooms, wired into workspace, facade, registry and README.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use crate::{Outcome, workspace};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The backend's name, in lower case with hyphens, such as `sinkhorn-greedy`
    name: String,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let written = generate(&workspace::root(), &args.name)?;
    for path in written {
        println!("{path}");
    }
    println!(
        "\nNow write crates/solver-{0}/src/algorithm.rs; `cargo test -p solver-{0}` says when it is right.",
        args.name
    );
    Ok(ExitCode::SUCCESS)
}

/// Where each template goes, under `crates/solver-NAME`.
const ROOMS: [(&str, &str); 8] = [
    (
        "Cargo.toml",
        include_str!("../templates/solver/Cargo.toml.txt"),
    ),
    (
        "README.md",
        include_str!("../templates/solver/README.md.txt"),
    ),
    ("src/lib.rs", include_str!("../templates/solver/lib.rs.txt")),
    (
        "src/settings.rs",
        include_str!("../templates/solver/settings.rs.txt"),
    ),
    (
        "src/algorithm.rs",
        include_str!("../templates/solver/algorithm.rs.txt"),
    ),
    (
        "src/solve.rs",
        include_str!("../templates/solver/solve.rs.txt"),
    ),
    (
        "src/factory.rs",
        include_str!("../templates/solver/factory.rs.txt"),
    ),
    (
        "tests/conformance.rs",
        include_str!("../templates/solver/conformance.rs.txt"),
    ),
];

/// Makes the crate in the workspace at `root` and returns the paths that were written. Nothing is written unless
/// everything can be.
fn generate(root: &Path, name: &str) -> Result<Vec<String>, String> {
    let kind = type_name(name)?;
    let folder = format!("crates/solver-{name}");
    if root.join(&folder).exists() {
        return Err(format!("`{name}`: {folder} is there already"));
    }
    let mut files = edits(root, name, &kind)?;
    for (place, template) in ROOMS {
        let text = template
            .replace("{{name}}", name)
            .replace("{{snake}}", &name.replace('-', "_"))
            .replace("{{Type}}", &kind);
        files.push((format!("{folder}/{place}"), text));
    }
    for (path, text) in &files {
        let path = root.join(path);
        let fail = |e: std::io::Error| format!("{}: {e}", path.display());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(fail)?;
        }
        fs::write(&path, text).map_err(fail)?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

/// `sinkhorn-greedy` → `SinkhornGreedy`, or why it is no name.
fn type_name(name: &str) -> Result<String, String> {
    let part = |p: &str| {
        let mut letters = p.chars();
        let first = letters.next()?;
        let rest = letters.as_str();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        (plain(first) && rest.chars().all(plain))
            .then(|| first.to_ascii_uppercase().to_string() + rest)
    };
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    let parts: Option<String> = name.split('-').map(part).collect();
    match parts.filter(|_| starts) {
        Some(_) if name == "auto" => Err("`auto` stands for a choice among the others".to_owned()),
        Some(_) if name.starts_with("solver-") => Err(format!(
            "`{name}`: leave out `solver-`, it is added to the crate's name"
        )),
        Some(kind) if is_used(&kind) => Err(format!(
            "`{name}`: the new crate's code uses the name `{kind}` for something else; choose another"
        )),
        Some(kind) => Ok(kind),
        None => Err(format!(
            "`{name}`: a name is lower-case letters and digits, begins with a letter, and its words are joined by single hyphens"
        )),
    }
}

/// Whether the templates' code has that name already: a type `Box` or `Self` would not compile there. Keywords as such
/// do no harm, since no name is used without an ending or a capital.
fn is_used(kind: &str) -> bool {
    let code = ROOMS.iter().filter(|(place, _)| place.ends_with(".rs"));
    code.flat_map(|(_, template)| template.lines())
        .filter(|line| !line.trim_start().starts_with("//"))
        // Where the new name goes, none stands yet.
        .map(|line| line.replace("{{Type}}", ""))
        .any(|line| {
            let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            words.any(|word| word == kind)
        })
}

/// The files that exist and must know of the new crate, as they will read.
fn edits(root: &Path, name: &str, kind: &str) -> Result<Vec<(String, String)>, String> {
    let snake = name.replace('-', "_");
    let mut files = Vec::new();
    let mut edit = |path: &str, change: &dyn Fn(&str) -> Option<String>| {
        let text = fs::read_to_string(root.join(path)).map_err(|e| format!("{path}: {e}"))?;
        let new = change(&text).ok_or_else(|| {
            format!("{path}: no place found for `{name}`; has its layout changed?")
        })?;
        files.push((path.to_owned(), new));
        Ok::<(), String>(())
    };
    edit("Cargo.toml", &|text| {
        let line =
            format!("solver-{name} = {{ path = \"crates/solver-{name}\", version = \"0.1.0\" }}");
        after_last(
            text,
            |l| l.starts_with("solver-") && l.contains("path ="),
            &line,
        )
    })?;
    edit("crates/kantorovich/Cargo.toml", &|text| {
        if text.contains(&format!("\n{name} = ")) {
            return None;
        }
        let text = feature(text, name, &format!("dep:solver-{name}"))?;
        let line = format!("solver-{name} = {{ workspace = true, optional = true }}");
        after_last(
            &text,
            // Not one of the tests' dependencies.
            |l| l.starts_with("solver-") && l.contains("optional"),
            &line,
        )
    })?;
    for path in ["crates/ot-cli/Cargo.toml", "xtask/Cargo.toml"] {
        edit(path, &|text| {
            feature(text, name, &format!("kantorovich/{name}"))
        })?;
    }
    edit("crates/kantorovich/src/backends.rs", &|text| {
        let (before, after) = text.split_once("\n    ]\n}")?;
        let line = format!(
            "\n        #[cfg(feature = \"{name}\")]\n        Arc::new(solver_{snake}::{kind}Factory),"
        );
        Some(format!("{before}{line}\n    ]\n}}{after}"))
    })?;
    edit("README.md", &|text| {
        let line = format!("| `{name}` | not written yet | |\n");
        let at = text.find("| `auto` |")?;
        Some(format!("{}{line}{}", &text[..at], &text[at..]))
    })?;
    Ok(files)
}

/// A feature that switches `what` on, on by default.
fn feature(manifest: &str, name: &str, what: &str) -> Option<String> {
    let start = manifest.find("\ndefault = [")?;
    let close = start + manifest[start..].find(']')?;
    let list = manifest[..close].trim_end().trim_end_matches(',');
    let many_lines = manifest[start..close].trim_end().contains('\n')
        && manifest[start + 1..close].contains('\n');
    let default = if many_lines {
        format!("{list},\n    \"{name}\",\n")
    } else {
        format!("{list}, \"{name}\"")
    };
    let text = format!("{default}{}", &manifest[close..]);
    // After the last line of the features' table.
    let table = text.find("[features]")?;
    let end = text[table..].find("\n\n").map_or(text.len(), |k| table + k);
    Some(format!(
        "{}\n{name} = [\"{what}\"]{}",
        &text[..end],
        &text[end..]
    ))
}

/// `line` after the last line of `text` that `like` accepts.
fn after_last(text: &str, like: impl Fn(&str) -> bool, line: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().rposition(|l| like(l))?;
    let mut new = lines[..=at].join("\n");
    new = format!("{new}\n{line}\n");
    Some(new + &lines[at + 1..].join("\n") + "\n")
}

#[cfg(test)]
mod tests;
