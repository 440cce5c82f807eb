//! The curves as a picture: recall across, queries a second up, by powers of ten.

use std::fmt::Write;

use super::curve::System;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 170.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 50.0;
/// Curves begin at this recall.
const RECALL_MIN: f64 = 0.8;
const COLORS: [&str; 8] =
    ["#c0392b", "#2c3e50", "#2980b9", "#27ae60", "#8e44ad", "#d68910", "#16a085", "#7f8c8d"];

/// An SVG document.
pub(super) fn draw(systems: &[System]) -> String {
    let speeds = systems.iter().flat_map(|system| &system.curve).map(|point| point.per_second);
    let (low, high) = speeds.fold((f64::MAX, 1.0f64), |(low, high), x| (low.min(x), high.max(x)));
    let (low, high) = (low.log10().floor(), high.log10().ceil());
    let x =
        |recall: f64| LEFT + (recall - RECALL_MIN) / (1.0 - RECALL_MIN) * (WIDTH - LEFT - RIGHT);
    let y = |speed: f64| {
        HEIGHT - BOTTOM - (speed.log10() - low) / (high - low) * (HEIGHT - TOP - BOTTOM)
    };
    let mut svg = String::new();
    let mut put = |line: String| {
        let _ = writeln!(svg, "{line}"); // writing to a string succeeds
    };
    put(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">"
    ));
    put(format!("<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>"));
    for step in 0..=4 {
        let recall = RECALL_MIN + 0.05 * f64::from(step);
        let at = x(recall);
        put(line(at, TOP, at, HEIGHT - BOTTOM));
        put(text(at, HEIGHT - BOTTOM + 16.0, "middle", &format!("{recall:.2}")));
    }
    let mut power = low;
    while power <= high {
        let at = y(10f64.powf(power));
        put(line(LEFT, at, WIDTH - RIGHT, at));
        put(text(LEFT - 8.0, at + 4.0, "end", &format!("{:.0}", 10f64.powf(power))));
        power += 1.0;
    }
    put(text((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 12.0, "middle", "recall of the 10 nearest"));
    put(text(LEFT, TOP - 6.0, "middle", "queries/s"));
    for (system, color) in systems.iter().zip(COLORS.iter().cycle()) {
        let points: Vec<(f64, f64)> = system
            .curve
            .iter()
            .filter(|point| point.recall >= RECALL_MIN)
            .map(|point| (x(point.recall), y(point.per_second)))
            .collect();
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        put(format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>",
            path.join(" ")
        ));
        for (x, y) in &points {
            put(format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"{color}\"/>"));
        }
    }
    for (row, (system, color)) in systems.iter().zip(COLORS.iter().cycle()).enumerate() {
        let at = TOP + 14.0 + 18.0 * row as f64;
        let left = WIDTH - RIGHT + 14.0;
        put(format!(
            "<rect x=\"{left}\" y=\"{}\" width=\"12\" height=\"4\" fill=\"{color}\"/>",
            at - 6.0
        ));
        put(text(left + 18.0, at, "start", &system.system));
    }
    put("</svg>".to_owned());
    svg
}

fn line(x1: f64, y1: f64, x2: f64, y2: f64) -> String {
    format!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#ddd\"/>")
}

fn text(x: f64, y: f64, anchor: &str, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>")
}
