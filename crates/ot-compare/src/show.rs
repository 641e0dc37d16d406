//! Numbers as people read them.

/// `850 ns`, `3.2 µs`, `41 ms`, `1.52 s`: three digits at most.
#[must_use]
pub fn seconds(s: f64) -> String {
    let (value, unit) = match s {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s if s >= 1e-6 => (s * 1e6, "µs"),
        s => (s * 1e9, "ns"),
    };
    format!("{} {unit}", three_digits(value))
}

/// `912 B`, `3.1 KiB`, `40.2 MiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    let mut value = count as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" {
        format!("{count} B")
    } else {
        format!("{} {unit}", three_digits(value))
    }
}

/// A value with ten significant digits, as short as they allow.
#[must_use]
pub fn value(v: f64) -> String {
    if v == 0.0 {
        return "0".to_owned();
    }
    let magnitude = v.abs().log10().floor();
    if (-4.0..12.0).contains(&magnitude) {
        let decimals = (9.0 - magnitude).max(0.0) as usize;
        let text = format!("{v:.decimals$}");
        return match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text,
        };
    }
    format!("{v:.9e}")
}

/// A relative size: `0`, `3.1e-12`, or a percentage from a thousandth on.
#[must_use]
pub fn relative(v: f64) -> String {
    let size = v.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if (1e-3..10.0).contains(&size) {
        format!("{} %", three_digits(100.0 * v))
    } else {
        format!("{v:.1e}")
    }
}

/// A count with thin spaces between its thousands.
#[must_use]
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (k, digit) in digits.chars().enumerate() {
        if k > 0 && (digits.len() - k).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A ratio of times: `12.3×`.
#[must_use]
pub fn ratio(r: f64) -> String {
    format!("{}×", three_digits(r))
}

fn three_digits(v: f64) -> String {
    let size = v.abs();
    if size >= 99.95 {
        format!("{v:.0}")
    } else if size >= 9.995 {
        format!("{v:.1}")
    } else {
        format!("{v:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_unit() {
        let texts = [8.5e-7, 3.2e-6, 0.0414, 1.516, 123.4].map(seconds);
        assert_eq!(texts, ["850 ns", "3.20 µs", "41.4 ms", "1.52 s", "123 s"]);
        assert_eq!(
            [912, 3200, 42 << 20].map(bytes),
            ["912 B", "3.12 KiB", "42.0 MiB"]
        );
        assert_eq!(
            [7, 1234, 1_000_000].map(count),
            ["7", "1\u{202f}234", "1\u{202f}000\u{202f}000"]
        );
        assert_eq!(
            [0.0, 3.14e-12, 0.0123].map(relative),
            ["0", "3.1e-12", "1.23 %"]
        );
        let values = [0.0, 21.154_815_268_8, 2_004_579_706.0, 1e30, 0.25].map(value);
        assert_eq!(
            values,
            ["0", "21.15481527", "2004579706", "1.000000000e30", "0.25"]
        );
    }
}
