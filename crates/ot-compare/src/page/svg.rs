//! Drawing in inline SVG that takes its colours from the page: every mark carries a class, never a colour.

use std::fmt::Write as _;

/// Average width of a character of the charts' labels, in pixels at their size of 11.5.
const CHAR: f64 = 6.1;
const LINE: f64 = 14.0;

/// Text for HTML and SVG.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

/// 10^k as people write it.
pub(crate) fn power_of_ten(k: i32) -> String {
    let digit = |c: char| match c {
        '-' => '⁻',
        '0' => '⁰',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        c => char::from_u32('⁰' as u32 + (c as u32 - '0' as u32)).unwrap_or(c),
    };
    match k {
        0 => "1".to_owned(),
        1 => "10".to_owned(),
        k => format!("10{}", k.to_string().chars().map(digit).collect::<String>()),
    }
}

/// A logarithmic axis: values between two powers of ten, laid over a stretch of pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogAxis {
    pub(crate) from: i32,
    pub(crate) to: i32,
    start: f64,
    end: f64,
}

impl LogAxis {
    /// The smallest whole decades around `values` (all positive), at least `least` of them.
    pub(crate) fn around(values: impl Iterator<Item = f64>, least: i32) -> Option<Self> {
        let logs = values.filter(|v| *v > 0.0 && v.is_finite()).map(f64::log10);
        let (low, high) = logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
            (l.min(v), h.max(v))
        });
        if low > high {
            return None;
        }
        // A little air, so that no mark sits on the frame.
        let (from, mut to) = ((low - 0.08).floor() as i32, (high + 0.08).ceil() as i32);
        to = to.max(from + least);
        Some(Self {
            from,
            to,
            start: 0.0,
            end: 1.0,
        })
    }

    /// Between two given powers.
    pub(crate) fn between(from: i32, to: i32) -> Self {
        Self {
            from,
            to,
            start: 0.0,
            end: 1.0,
        }
    }

    /// The same values over other pixels; `end` may lie before `start`.
    pub(crate) fn over(self, start: f64, end: f64) -> Self {
        Self { start, end, ..self }
    }

    /// The pixel of a value; what lies outside is drawn on the edge.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let log = if value > 0.0 {
            value.log10()
        } else {
            f64::from(self.from)
        };
        let share = (log - f64::from(self.from)) / f64::from(self.to - self.from);
        self.start + share.clamp(0.0, 1.0) * (self.end - self.start)
    }

    /// Every decade, or every few where they would crowd: at most `most`.
    pub(crate) fn decades(&self, most: i32) -> Vec<i32> {
        let most = most.max(1);
        let step = match (self.to - self.from + most - 1) / most {
            ..=1 => 1,
            3 => 4,
            step => step,
        };
        let first = self.from.div_euclid(step) * step;
        (0..)
            .map(|k| first + k * step)
            .skip_while(|k| *k < self.from)
            .take_while(|k| *k <= self.to)
            .collect()
    }
}

/// An axis-parallel box, for keeping labels apart.
#[derive(Debug, Clone, Copy)]
struct Area {
    x: f64,
    y: f64,
    w: f64,
    h: f64,
}

impl Area {
    fn overlap(&self, other: &Self) -> f64 {
        let along = |a: f64, aw: f64, b: f64, bw: f64| (a + aw).min(b + bw) - a.max(b);
        let w = along(self.x, self.w, other.x, other.w);
        let h = along(self.y, self.h, other.y, other.h);
        if w > 0.0 && h > 0.0 { w * h } else { 0.0 }
    }
}

/// An SVG under construction.
pub(crate) struct Canvas {
    pub(crate) width: f64,
    pub(crate) height: f64,
    body: String,
    taken: Vec<Area>,
}

impl Canvas {
    pub(crate) fn new(width: f64, height: f64) -> Self {
        Self {
            width,
            height,
            body: String::new(),
            taken: Vec::new(),
        }
    }

    pub(crate) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let _ = write!(
            self.body,
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        );
    }

    pub(crate) fn polyline(&mut self, class: &str, points: &[(f64, f64)]) {
        let _ = write!(self.body, r#"<polyline class="{class}" points=""#);
        for (x, y) in points {
            let _ = write!(self.body, "{x:.1},{y:.1} ");
        }
        self.body.push_str("\"/>");
    }

    pub(crate) fn path(&mut self, class: &str, style: &str, d: &str) {
        let _ = write!(
            self.body,
            r#"<path class="{class}" style="{style}" d="{d}"/>"#
        );
    }

    pub(crate) fn rect(&mut self, class: &str, style: &str, at: (f64, f64), size: (f64, f64)) {
        let ((x, y), (w, h)) = (at, size);
        let _ = write!(
            self.body,
            r#"<rect class="{class}" style="{style}" x="{x:.2}" y="{y:.2}" width="{w:.2}" height="{h:.2}"/>"#
        );
    }

    pub(crate) fn circle(&mut self, class: &str, (x, y): (f64, f64), r: f64) {
        let _ = write!(
            self.body,
            r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{r:.2}"/>"#
        );
    }

    /// `anchor` is `start`, `middle` or `end`.
    pub(crate) fn text(&mut self, class: &str, anchor: &str, (x, y): (f64, f64), text: &str) {
        let _ = write!(
            self.body,
            r#"<text class="{class}" text-anchor="{anchor}" x="{x:.1}" y="{y:.1}">{}</text>"#,
            escape(text)
        );
    }

    /// A mark that shows `tip` when pointed at or focused; its shape belongs to the colour `slot`.
    pub(crate) fn mark(&mut self, slot: usize, hollow: bool, (x, y): (f64, f64), tip: &str) {
        let r = 5.5;
        let shape = match slot % 4 {
            0 => format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="{r}"/>"#),
            1 => format!(
                r#"<path d="M{x:.1} {:.1}l6.6 6.6 -6.6 6.6 -6.6 -6.6z"/>"#,
                y - 6.6
            ),
            2 => format!(
                r#"<rect x="{:.1}" y="{:.1}" width="9.6" height="9.6"/>"#,
                x - 4.8,
                y - 4.8
            ),
            _ => format!(r#"<path d="M{x:.1} {:.1}l6.2 10.8h-12.4z"/>"#, y - 6.6),
        };
        let hollow = if hollow { " hollow" } else { "" };
        let _ = write!(
            self.body,
            r#"<g class="mark c{slot}{hollow}" tabindex="0" data-tip="{}"><circle class="hit" cx="{x:.1}" cy="{y:.1}" r="13"/>{shape}</g>"#,
            escape(tip)
        );
        self.taken.push(Area {
            x: x - 7.0,
            y: y - 7.0,
            w: 14.0,
            h: 14.0,
        });
    }

    /// A cross that shows `tip`: where there is nothing to draw, and why.
    pub(crate) fn cross(&mut self, slot: usize, (x, y): (f64, f64), tip: &str) {
        let _ = write!(
            self.body,
            r#"<g class="mark c{slot}" tabindex="0" data-tip="{}"><circle class="hit" cx="{x:.1}" cy="{y:.1}" r="13"/><path class="cross" d="M{:.1} {:.1}l7 7m0 -7l-7 7"/></g>"#,
            escape(tip),
            x - 3.5,
            y - 3.5
        );
    }

    /// A label beside a mark at (x, y), on whichever side is free.
    pub(crate) fn label(&mut self, class: &str, (x, y): (f64, f64), text: &str, frame: Frame) {
        let w = text.chars().count() as f64 * CHAR;
        let right = |dy: f64| (x + 11.0, y - LINE / 2.0 + dy, "start");
        let left = |dy: f64| (x - 11.0 - w, y - LINE / 2.0 + dy, "end");
        let middle = |dy: f64| (x - w / 2.0, y - LINE / 2.0 + dy, "middle");
        let mut best = (f64::INFINITY, right(0.0));
        for k in 0..7 {
            for sign in [1.0, -1.0] {
                let dy = sign * 7.0 * f64::from(k);
                for (rank, place) in [right(dy), left(dy), middle(dy + sign * 16.0)]
                    .into_iter()
                    .enumerate()
                {
                    let area = Area {
                        x: place.0,
                        y: place.1,
                        w,
                        h: LINE,
                    };
                    let outside = (frame.left - area.x).max(0.0)
                        + (area.x + w - frame.right).max(0.0)
                        + (frame.top - area.y).max(0.0)
                        + (area.y + LINE - frame.bottom).max(0.0);
                    let covered: f64 = self.taken.iter().map(|t| t.overlap(&area)).sum();
                    let cost = 60.0 * outside
                        + 20.0 * covered
                        + dy.abs()
                        + if rank == 2 { 3.0 } else { rank as f64 };
                    if cost < best.0 {
                        best = (cost, place);
                    }
                }
            }
        }
        let (left_edge, top, anchor) = best.1;
        self.taken.push(Area {
            x: left_edge,
            y: top,
            w,
            h: LINE,
        });
        let at = match anchor {
            "start" => left_edge,
            "end" => left_edge + w,
            _ => left_edge + w / 2.0,
        };
        self.text(class, anchor, (at, top + 10.8), text);
    }

    /// The drawing, to be scaled to the width of its place. `about` is read to those who can't see it.
    pub(crate) fn finish(self, class: &str, about: &str) -> String {
        format!(
            r#"<svg class="{class}" viewBox="0 0 {:.0} {:.0}" role="img" aria-label="{}">{}</svg>"#,
            self.width,
            self.height,
            escape(about),
            self.body
        )
    }
}

/// The part of a chart that holds its data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) right: f64,
    pub(crate) bottom: f64,
}

/// Grid lines and ticks of a chart with two logarithmic axes, laid over `frame`.
pub(crate) fn grid(
    canvas: &mut Canvas,
    frame: Frame,
    x: LogAxis,
    y: LogAxis,
    x_tick: impl Fn(i32) -> String,
    y_tick: impl Fn(i32) -> String,
) -> (LogAxis, LogAxis) {
    let (x, y) = (
        x.over(frame.left, frame.right),
        y.over(frame.bottom, frame.top),
    );
    let x_room = ((frame.right - frame.left) / 58.0) as i32;
    let y_room = ((frame.bottom - frame.top) / 30.0) as i32;
    for k in y.decades(y_room) {
        let at = y.at(10f64.powi(k));
        canvas.line("grid", (frame.left, at), (frame.right, at));
        canvas.text("tick", "end", (frame.left - 7.0, at + 3.8), &y_tick(k));
    }
    for k in x.decades(x_room) {
        let at = x.at(10f64.powi(k));
        canvas.line("grid", (at, frame.top), (at, frame.bottom));
        canvas.text("tick", "middle", (at, frame.bottom + 16.0), &x_tick(k));
    }
    canvas.line(
        "axis",
        (frame.left, frame.bottom),
        (frame.right, frame.bottom),
    );
    (x, y)
}

/// A power of ten of seconds: `10 µs`, `1 ms`, `100 s`.
pub(crate) fn time_tick(k: i32) -> String {
    let (unit, shift) = match k {
        ..=-7 => ("ns", 9),
        -6..=-4 => ("µs", 6),
        -3..=-1 => ("ms", 3),
        _ => ("s", 0),
    };
    format!("{:.0} {unit}", 10f64.powi(k + shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_readable() {
        let ticks = [-8, -6, -5, -3, -1, 0, 2].map(time_tick);
        assert_eq!(
            ticks,
            ["10 ns", "1 µs", "10 µs", "1 ms", "100 ms", "1 s", "100 s"]
        );
        assert_eq!(
            [-16, 0, 1, 3].map(power_of_ten),
            ["10⁻¹⁶", "1", "10", "10³"]
        );
    }

    #[test]
    fn an_axis_holds_its_values() {
        let axis = LogAxis::around([3e-5, 0.2, 0.0, f64::NAN].into_iter(), 1).unwrap();
        assert_eq!((axis.from, axis.to), (-5, 0));
        let axis = axis.over(0.0, 100.0);
        assert!((axis.at(1e-4) - 20.0).abs() < 1e-9);
        assert_eq!(
            (axis.at(1e-9), axis.at(0.0), axis.at(50.0)),
            (0.0, 0.0, 100.0)
        );
        assert!(LogAxis::around([0.0].into_iter(), 1).is_none());
        assert_eq!(LogAxis::between(-16, 0).decades(4), [-16, -12, -8, -4, 0]);
    }

    #[test]
    fn labels_keep_apart() {
        let mut canvas = Canvas::new(400.0, 200.0);
        let frame = Frame {
            left: 0.0,
            top: 0.0,
            right: 400.0,
            bottom: 200.0,
        };
        for k in 0..4 {
            let at = (100.0, 100.0 + f64::from(k));
            canvas.mark(0, false, at, "");
            canvas.label("label", at, "network-simplex", frame);
        }
        let labels = &canvas.taken;
        for (i, p) in labels.iter().enumerate().filter(|(_, p)| p.w > 14.0) {
            for q in labels[..i].iter().filter(|q| q.w > 14.0) {
                assert_eq!(p.overlap(q), 0.0, "{p:?} {q:?}");
            }
        }
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }
}
