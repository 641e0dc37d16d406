//! `ot backends`: what is compiled in, what it can do, and its settings.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use kantorovich::{Capability, Factory, Registry};
use serde::Serialize;
use serde_json::Value;

#[derive(Serialize)]
struct Listed {
    name: String,
    summary: String,
    available: bool,
    /// Why it is not available.
    reason: Option<String>,
    capabilities: Vec<&'static str>,
    settings: Vec<Setting>,
}

#[derive(Serialize)]
struct Setting {
    name: &'static str,
    /// A number where it is one, null for no limit.
    default: Value,
    doc: &'static str,
}

impl Listed {
    fn new(factory: &dyn Factory) -> Self {
        let reason = factory.available().err().map(|e| e.to_string());
        let settings = factory.settings().into_iter().map(|s| Setting {
            name: s.name,
            default: typed(s.default),
            doc: s.doc,
        });
        Self {
            name: factory.name().to_owned(),
            summary: factory.summary().to_owned(),
            available: reason.is_none(),
            reason,
            capabilities: factory
                .capabilities()
                .iter()
                .map(Capability::name)
                .collect(),
            settings: settings.collect(),
        }
    }
}

/// A default as a JSON number if it reads as one, null if there is none, and a string otherwise.
fn typed(default: String) -> Value {
    if default == "none" {
        return Value::Null;
    }
    if let Ok(whole) = default.parse::<u64>() {
        return whole.into();
    }
    match default.parse::<f64>() {
        Ok(number) if number.is_finite() => number.into(),
        _ => Value::String(default),
    }
}

/// The listing, as a table or as a JSON array.
pub(crate) fn list(registry: &Registry, json: bool) -> String {
    let all: Vec<_> = registry.iter().map(|f| Listed::new(f.as_ref())).collect();
    if json {
        // Strings, numbers and lists of them have no way to fail.
        return serde_json::to_string_pretty(&all).unwrap_or_default() + "\n";
    }
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(110)
        .set_header(["backend", "available", "what it is", "capabilities"]);
    for backend in all {
        table.add_row([
            backend.name,
            backend.reason.unwrap_or_else(|| "yes".to_owned()),
            backend.summary,
            backend.capabilities.join(", "),
        ]);
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str("\nauto, the default, picks one of them for each problem and says which.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_numbers_where_they_read_as_such() {
        assert_eq!(typed("1000".into()).to_string(), "1000");
        assert_eq!(typed("1e-9".into()).to_string(), "1e-9");
        assert_eq!(typed("none".into()), Value::Null);
        assert_eq!(typed("inf".into()), Value::String("inf".into()));
        assert_eq!(typed("f64".into()), Value::String("f64".into()));
    }
}
