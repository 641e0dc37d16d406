//! What a problem's data look like, as HTML.

use std::fmt::Write as _;

use super::svg::{Canvas, escape};
use crate::picture::{Picture, Pixels};

/// Width and height of a drawing, in the units of its view box.
const SIDE: f64 = 220.0;

/// The drawing of a problem's data.
pub(crate) fn html(picture: &Picture) -> String {
    match picture {
        Picture::Images {
            width,
            source,
            target,
        } => format!(
            r#"<div class="pair">{}{}</div>"#,
            image(source, *width, "source"),
            image(target, *width, "target")
        ),
        Picture::Matrix { width, cells } => image(cells, *width, "cost, dark is cheap"),
        Picture::Points {
            source,
            target,
            axes,
        } => scatter(source, target, axes),
        Picture::Line { source, target } => stems(source, target),
        Picture::Swatches { source, target } => {
            format!(
                "{}{}",
                swatches(source, "source"),
                swatches(target, "target")
            )
        }
        Picture::Words { source, target } => format!(
            r#"<div class="pair">{}{}</div>"#,
            words(source, "source"),
            words(target, "target")
        ),
    }
}

/// Grey pixels as an embedded PNG.
fn image(cells: &[u8], width: usize, caption: &str) -> String {
    pixels(
        &Pixels {
            width,
            channels: 1,
            values: cells.to_vec(),
        },
        caption,
    )
}

/// Pixels as an embedded PNG, enlarged by the browser without smoothing.
pub(super) fn pixels(image: &Pixels, caption: &str) -> String {
    let Pixels {
        width,
        channels,
        ref values,
    } = *image;
    let height = values.len() / (width * channels).max(1);
    let caption = escape(caption);
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, width as u32, height as u32);
    encoder.set_color(match channels {
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Grayscale,
    });
    encoder.set_compression(png::Compression::High);
    // Writing to memory fails only for sizes that don't match; then there is simply no image.
    let written = encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(values));
    if written.is_err() {
        return String::new();
    }
    format!(
        r#"<figure class="pixels"><img alt="{caption}" width="{width}" height="{height}" src="data:image/png;base64,{}"><figcaption>{caption}</figcaption></figure>"#,
        base64(&png)
    )
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len() * 4 / 3 + 4);
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0_u32, |word, &b| word << 8 | u32::from(b))
            << (8 * (3 - chunk.len()));
        for k in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * k) & 63) as usize];
            text.push(if k <= chunk.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

fn key() -> &'static str {
    r#"<figcaption><i class="dot source"></i>source <i class="dot target"></i>target"#
}

fn scatter(source: &[[f64; 3]], target: &[[f64; 3]], axes: &str) -> String {
    let mut canvas = Canvas::new(SIDE, SIDE);
    let range = |k: usize| {
        let values = source.iter().chain(target).map(move |p| p[k]);
        let low = values.clone().fold(f64::INFINITY, f64::min);
        (low, values.fold(f64::NEG_INFINITY, f64::max))
    };
    let ((x0, x1), (y0, y1)) = (range(0), range(1));
    // One scale for both axes: distances are what is paid for.
    let scale = (SIDE - 12.0) / (x1 - x0).max(y1 - y0).max(f64::MIN_POSITIVE);
    let (mid_x, mid_y) = (0.5 * (x0 + x1), 0.5 * (y0 + y1));
    let radius = |w: f64| (2.1 * w.sqrt()).clamp(0.8, 5.0);
    for (class, points) in [("point source", source), ("point target", target)] {
        for [x, y, w] in points {
            let at = (
                SIDE / 2.0 + scale * (x - mid_x),
                SIDE / 2.0 - scale * (y - mid_y),
            );
            canvas.circle(class, at, radius(*w));
        }
    }
    let axes = if axes.is_empty() {
        String::new()
    } else {
        format!("<br>{}", escape(axes))
    };
    format!(
        r#"<figure class="cloud">{}{}{axes}</figcaption></figure>"#,
        canvas.finish("chart", "both clouds of points"),
        key()
    )
}

fn stems(source: &[[f64; 2]], target: &[[f64; 2]]) -> String {
    let (width, half) = (SIDE, 70.0);
    let mut canvas = Canvas::new(width, 2.0 * half + 4.0);
    let all = || source.iter().chain(target);
    let low = all().map(|p| p[0]).fold(f64::INFINITY, f64::min);
    let high = all().map(|p| p[0]).fold(f64::NEG_INFINITY, f64::max);
    let tallest = all().map(|p| p[1]).fold(0.0, f64::max);
    let across = |x: f64| 4.0 + (width - 8.0) * (x - low) / (high - low).max(f64::MIN_POSITIVE);
    let middle = half + 2.0;
    canvas.line("axis", (0.0, middle), (width, middle));
    for (class, points, sign) in [("stem source", source, -1.0), ("stem target", target, 1.0)] {
        for [x, w] in points {
            let end = middle + sign * half * w / tallest;
            canvas.line(class, (across(*x), middle), (across(*x), end));
        }
    }
    format!(
        r#"<figure class="cloud">{}{}</figcaption></figure>"#,
        canvas.finish("chart", "weights along the line"),
        key()
    )
}

fn swatches(colours: &[([f64; 3], f64)], caption: &str) -> String {
    let mut html = r#"<figure class="swatches"><div>"#.to_owned();
    for ([r, g, b], share) in colours {
        let byte = |v: &f64| (255.0 * v.clamp(0.0, 1.0)).round() as u8;
        let _ = write!(
            html,
            r#"<i style="flex-grow:{:.2};background:rgb({},{},{})"></i>"#,
            1000.0 * share,
            byte(r),
            byte(g),
            byte(b)
        );
    }
    let _ = write!(
        html,
        "</div><figcaption>{caption}: {} colours</figcaption></figure>",
        colours.len()
    );
    html
}

fn words(list: &[(String, f64)], caption: &str) -> String {
    let mut html = format!(r#"<figure class="words"><figcaption>{caption}</figcaption><ol>"#);
    let heaviest = list.first().map_or(1.0, |w| w.1);
    for (word, share) in list {
        let _ = write!(
            html,
            r#"<li style="--share:{:.3}"><span>{}</span><b>{:.1} %</b></li>"#,
            share / heaviest,
            escape(word),
            100.0 * share
        );
    }
    html + "</ol></figure>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_its_standard() {
        let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|t| base64(t.as_bytes()));
        assert_eq!(
            texts,
            [
                "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"
            ]
        );
    }
}
