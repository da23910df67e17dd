//! What a chart is made of. The template draws it: lines and areas as SVG that is stretched to
//! the room there is, labels as text beside it, so that these are legible at any width.

use std::fmt::Write as _;

use super::axis::{Percent, Tick};
use crate::load::numbers;

/// A chart, with places in percent of its width and height.
#[derive(Debug, Default)]
pub(super) struct Chart {
    pub(super) title: &'static str,
    /// How to read it.
    pub(super) about: String,
    /// What it shows, for those who do not see it.
    pub(super) alternative: String,
    /// Whether it takes the whole width.
    pub(super) is_wide: bool,
    pub(super) x_title: &'static str,
    pub(super) x_ticks: Vec<Tick>,
    pub(super) y_ticks: Vec<Tick>,
    pub(super) bands: Vec<Band>,
    pub(super) bars: Vec<Bar>,
    pub(super) lines: Vec<Line>,
    pub(super) bounds: Vec<Bound>,
    /// Where the knee is.
    pub(super) knee: Option<Percent>,
    pub(super) legend: Vec<Key>,
}

/// A part of the time that belongs to a stage.
#[derive(Debug)]
pub(super) struct Band {
    pub(super) x: Percent,
    pub(super) width: Percent,
    pub(super) middle: Percent,
    pub(super) label: String,
    pub(super) is_even: bool,
    pub(super) is_minor: bool,
}

/// A bar, or a part of one.
#[derive(Debug)]
pub(super) struct Bar {
    /// How it looks.
    pub(super) class: String,
    pub(super) x: Percent,
    pub(super) width: Percent,
    /// From the top.
    pub(super) y: Percent,
    pub(super) height: Percent,
}

impl Bar {
    /// From `bottom` to `top`, both from the bottom of the chart.
    pub(super) fn new(
        class: impl Into<String>,
        (x, width): (Percent, Percent),
        bottom: Percent,
        top: Percent,
    ) -> Self {
        let (y, height) = (Percent(100.0 - top.0), Percent(top.0 - bottom.0));
        Self { class: class.into(), x, width, y, height }
    }
}

/// A line through points.
#[derive(Debug)]
pub(super) struct Line {
    /// How it looks.
    pub(super) class: String,
    /// The line, as the data of an SVG path.
    pub(super) path: String,
    /// Its points as dots, likewise; empty if there are too many.
    pub(super) dots: String,
}

impl Line {
    /// Through these points, x from the left and y from the bottom; interrupted where there is none.
    pub(super) fn new(
        class: impl Into<String>,
        points: impl Iterator<Item = Option<(Percent, Percent)>>,
        has_dots: bool,
    ) -> Self {
        let mut line = Self { class: class.into(), path: String::new(), dots: String::new() };
        let mut is_drawing = false;
        for point in points {
            let Some((x, y)) = point else {
                is_drawing = false;
                continue;
            };
            let (y, to) = (Percent(100.0 - y.0), if is_drawing { 'L' } else { 'M' });
            // Writing to a string cannot fail. A line to itself makes a lone point a dot.
            let _ = write!(line.path, "{to}{x} {y}{}", if is_drawing { "" } else { "h0" });
            if has_dots {
                let _ = write!(line.dots, "M{x} {y}h0");
            }
            is_drawing = true;
        }
        line
    }
}

/// A value that must not be exceeded.
#[derive(Debug)]
pub(super) struct Bound {
    /// From the top.
    pub(super) y: Percent,
    pub(super) label: String,
}

/// An entry of the legend.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) class: String,
    pub(super) label: String,
    /// Whether it is an area, not a line.
    pub(super) is_area: bool,
}

impl Key {
    pub(super) fn line(class: impl Into<String>, label: impl Into<String>) -> Self {
        Self { class: class.into(), label: label.into(), is_area: false }
    }

    pub(super) fn area(class: impl Into<String>, label: impl Into<String>) -> Self {
        Self { class: class.into(), label: label.into(), is_area: true }
    }
}

/// A duration in nanoseconds at an axis: `500 µs`, `20 ms`, `2 s`.
pub(super) fn time_label(nanoseconds: f64) -> String {
    let (number, unit) = match nanoseconds {
        ..999_999.0 => (nanoseconds / 1e3, "µs"),
        ..999_999_999.0 => (nanoseconds / 1e6, "ms"),
        _ => (nanoseconds / 1e9, "s"),
    };
    format!("{} {unit}", numbers::grouped(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_interrupted_where_nothing_is_known() {
        let at = |x, y| Some((Percent(x), Percent(y)));
        let points = [at(0.0, 0.0), at(10.0, 50.0), None, at(30.0, 100.0)];
        let line = Line::new("a", points.into_iter(), true);
        assert_eq!(line.path, "M0.00 100.00h0L10.00 50.00M30.00 0.00h0");
        assert_eq!(line.dots, "M0.00 100.00h0M10.00 50.00h0M30.00 0.00h0");
        assert_eq!([5e5, 2e7, 2e9].map(time_label), ["500 µs", "20 ms", "2 s"]);
    }
}
