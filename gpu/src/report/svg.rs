//! Drawings as SVG text.
//!
//! Owns scales, axes' steps, the elements that charts are made of, and escaping. Must not know what is drawn.

use std::fmt::Write as _;

use serde::Serialize;

/// How wide a chart is drawn: letters keep their size, so a narrow one shows less instead of smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    Wide,
    Narrow,
}

impl Width {
    /// In pixels.
    pub const fn pixels(self) -> f64 {
        self.pick(1040.0, 352.0)
    }

    /// The value for this width.
    pub const fn pick<T: Copy>(self, wide: T, narrow: T) -> T {
        match self {
            Self::Wide => wide,
            Self::Narrow => narrow,
        }
    }
}

/// A chart at both widths; the page shows the one that fits.
#[derive(Debug, Clone, Serialize)]
pub struct Both {
    wide: String,
    narrow: String,
}

/// Draws a chart at both widths.
pub fn both(draw: impl Fn(Width) -> String) -> Both {
    Both { wide: draw(Width::Wide), narrow: draw(Width::Narrow) }
}

/// Values to pixels.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    pub values: (f64, f64),
    pub pixels: (f64, f64),
}

impl Scale {
    /// The pixel of a value.
    pub fn at(&self, value: f64) -> f64 {
        let ((low, high), (from, to)) = (self.values, self.pixels);
        if high > low { from + (value - low) / (high - low) * (to - from) } else { f64::midpoint(from, to) }
    }

    /// Which of `count` places get a label, at most `most` of them: evenly apart, none closer to the next or to the end
    /// of the scale than a label is wide.
    pub fn labelled(&self, count: usize, most: usize, width: f64) -> impl Iterator<Item = usize> + use<> {
        let ((low, high), (from, to)) = (self.values, self.pixels);
        let each = (to - from) / (high - low).max(1.0);
        let step = (1..count.max(1)).find(|step| *step as f64 * each >= width).unwrap_or(count.max(1));
        let step = step.max(count.div_ceil(most.max(1)));
        let scale = *self;
        (0..count).step_by(step.max(1)).filter(move |at| *at == 0 || scale.at(*at as f64) + width <= to)
    }

    /// Round values within the scale, some `count` of them, and the digits after the point that they need.
    pub fn steps(&self, count: f64) -> (Vec<f64>, usize) {
        let (low, high) = self.values;
        if high <= low || count <= 0.0 {
            return (Vec::new(), 0);
        }
        let rough = (high - low) / count;
        let power = libm::floor(libm::log10(rough));
        let unit = libm::pow(10.0, power);
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * unit);
        let step = step.into_iter().find(|step| *step >= rough * 0.999).unwrap_or(10.0 * unit);
        let mut steps = Vec::new();
        let mut at = libm::ceil(low / step);
        while at * step <= high {
            steps.push(at * step);
            at += 1.0;
        }
        let power = libm::floor(libm::log10(step * 1.001));
        // A price or an amount in pips has few digits; more than eight are never asked for.
        let digits = (0..8).find(|digits| power + f64::from(*digits) >= 0.0).unwrap_or(8);
        (steps, usize::try_from(digits).unwrap_or(0))
    }
}

/// A drawing in the making.
#[derive(Debug)]
pub struct Drawing {
    width: f64,
    height: f64,
    body: String,
}

impl Drawing {
    /// An empty one.
    pub const fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        self.add(format_args!(
            "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
            px(from.0),
            px(from.1),
            px(to.0),
            px(to.1)
        ));
    }

    /// A rectangle from a corner to the one across; `tip` is shown when it is pointed at.
    pub fn rect(&mut self, class: &str, one: (f64, f64), other: (f64, f64), tip: Option<&str>) {
        let tip = tip.map_or_else(String::new, |tip| format!(" data-tip=\"{}\"", escape(tip)));
        self.add(format_args!(
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"{tip}/>",
            px(one.0.min(other.0)),
            px(one.1.min(other.1)),
            px((other.0 - one.0).abs()),
            px((other.1 - one.1).abs()),
        ));
    }

    /// A line through points, or, where `closed`, the area within.
    pub fn points(&mut self, class: &str, points: impl IntoIterator<Item = (f64, f64)>, closed: bool) {
        let mut path = String::new();
        for (x, y) in points {
            let _ = write!(path, "{}{} {}", if path.is_empty() { 'M' } else { 'L' }, px(x), px(y));
        }
        if closed {
            path.push('Z');
        }
        self.path(class, &path, None);
    }

    /// A path as SVG writes it.
    pub fn path(&mut self, class: &str, path: &str, tip: Option<&str>) {
        let tip = tip.map_or_else(String::new, |tip| format!(" data-tip=\"{}\"", escape(tip)));
        if !path.is_empty() {
            self.add(format_args!("<path class=\"{class}\" d=\"{path}\"{tip}/>"));
        }
    }

    /// Text whose class says on which side of the point it stands: `start`, `middle` or `end`.
    pub fn text(&mut self, class: &str, at: (f64, f64), text: &str) {
        let (x, y) = (px(at.0), px(at.1));
        self.add(format_args!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>", escape(text)));
    }

    /// Horizontal lines with their values beside them.
    pub fn levels(
        &mut self,
        scale: &Scale,
        (left, right): (f64, f64),
        count: f64,
        label: impl Fn(f64, usize) -> String,
    ) {
        let (steps, digits) = scale.steps(count);
        for step in steps {
            let y = scale.at(step);
            self.line("grid", (left, y), (right, y));
            self.text("axis end", (left - 6.0, y + 4.0), &label(step, digits));
        }
    }

    /// The whole as an element, described for those who cannot see it. Where it has tips it takes the focus, for
    /// keys to walk through them.
    pub fn finish(self, description: &str) -> String {
        let focus = if self.body.contains(" data-tip=") { " data-walk tabindex=\"0\"" } else { "" };
        format!(
            "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\"{focus}>{}</svg>",
            px(self.width),
            px(self.height),
            escape(description),
            self.body
        )
    }

    fn add(&mut self, element: std::fmt::Arguments) {
        // Writing to a string cannot fail.
        let _ = self.body.write_fmt(element);
    }
}

/// A pixel to a tenth.
pub fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    match text.strip_suffix(".0").unwrap_or(&text) {
        "-0" => "0".to_owned(),
        text => text.to_owned(),
    }
}

/// Text that may stand between tags and in attributes.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' => safe.push_str("&#10;"),
            _ => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_within() {
        let scale = |low, high| Scale { values: (low, high), pixels: (0.0, 100.0) };
        assert_eq!(scale(-130.0, 420.0).steps(5.0), (vec![0.0, 200.0, 400.0], 0));
        let (steps, digits) = scale(1.09871, 1.10244).steps(4.0);
        assert_eq!(digits, 3);
        assert_eq!(
            steps.iter().map(|step| format!("{step:.3}")).collect::<Vec<_>>(),
            ["1.099", "1.100", "1.101", "1.102"]
        );
        assert_eq!(scale(3.0, 3.0).steps(4.0), (vec![], 0));
        assert!((scale(0.0, 10.0).at(2.5) - 25.0).abs() < 1e-9);
    }

    #[test]
    fn labels_stand_apart_and_within() {
        for count in [1, 2, 7, 10, 17, 60, 261] {
            for most in [3, 8, 9] {
                let scale = Scale { values: (0.0, count as f64), pixels: (64.0, 1028.0) };
                let places: Vec<f64> =
                    scale.labelled(count, most, 80.0).map(|at| scale.at(at as f64)).collect();
                assert!((1..=most).contains(&places.len()), "{count} {most}: {places:?}");
                assert!(places.windows(2).all(|two| two[1] - two[0] >= 80.0), "{count} {most}: {places:?}");
                assert!(places.iter().all(|place| place + 80.0 <= 1028.0), "{count} {most}: {places:?}");
            }
        }
    }

    #[test]
    fn nothing_that_is_drawn_ends_an_attribute_or_a_tag() {
        let mut drawing = Drawing::new(10.0, 10.0);
        drawing.rect("hit", (0.0, 0.0), (5.0, 5.0), Some("\"><script>alert('x')</script>\nmore"));
        drawing.text("axis", (0.0, -0.04), "<b>&");
        let svg = drawing.finish("a \"chart\"");
        assert_eq!(
            svg,
            "<svg viewBox=\"0 0 10 10\" role=\"img\" aria-label=\"a &quot;chart&quot;\" data-walk tabindex=\"0\"><rect class=\"hit\" x=\"0\" \
             y=\"0\" width=\"5\" height=\"5\" data-tip=\"&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&#10;\
             more\"/><text class=\"axis\" x=\"0\" y=\"0\">&lt;b&gt;&amp;</text></svg>"
        );
    }
}
