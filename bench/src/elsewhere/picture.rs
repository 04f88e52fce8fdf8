//! Throughput and p99 over the time of a run, as an SVG that is readable on light and on dark.

use std::fmt::Write as _;

use super::{figures::Second, systems::System};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
/// The top and the height of the panel of rates, and of that of latencies.
const RATES: (f64, f64) = (60.0, 200.0);
const LATENCIES: (f64, f64) = (310.0, 200.0);
const HEIGHT: f64 = 570.0;

/// Colours that differ in lightness too, on white and on black.
const STYLE: &str = "\
text { font: 13px sans-serif; fill: #24292f } .title { font-weight: bold } \
.axis { stroke: #57606a } .grid { stroke: #d0d7de } \
.line { fill: none; stroke-width: 2 } .pravega { stroke: #0550ae } .kafka { stroke: #bc4c00 } \
.redis { stroke: #1a7f37 } .disk { stroke: #6e7781; stroke-dasharray: 4 3 } \
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .axis { stroke: #8b949e } \
.grid { stroke: #30363d } .pravega { stroke: #79c0ff } .kafka { stroke: #ffa657 } \
.redis { stroke: #7ee787 } .disk { stroke: #8b949e } }";

/// The seconds of a system.
pub(super) type Curve<'a> = (System, &'a [Second]);

/// Draws the seconds of all systems.
pub(super) fn draw(title: &str, curves: &[Curve<'_>]) -> String {
    let seconds = curves.iter().map(|(_, seconds)| seconds.len()).max().unwrap_or(0).max(2);
    let all = || curves.iter().flat_map(|(_, seconds)| seconds.iter());
    let most = nice(all().map(|second| second.events as f64).fold(1.0, f64::max));
    // Latencies are drawn by their logarithm: from 0.1 ms to the power of ten above the highest.
    let highest = all().map(|second| second.p99_us).fold(1000.0, f64::max);
    let decades = (highest / 100.0).log10().ceil().max(1.0);
    let x = |second: f64| LEFT + second * (WIDTH - LEFT - RIGHT) / (seconds - 1) as f64;
    let rate_y = |events: f64| RATES.0 + RATES.1 * (1.0 - events / most);
    let latency_y = |micros: f64| {
        let share = (micros.max(100.0) / 100.0).log10() / decades;
        LATENCIES.0 + LATENCIES.1 * (1.0 - share)
    };
    let mut svg = String::new();
    let out = &mut svg;
    write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         role=\"img\" aria-label=\"{title}\">\n<style>{STYLE}</style>\n\
         <text x=\"{LEFT}\" y=\"20\" class=\"title\">{title}</text>\n"
    )
    .ok();
    legend(out, curves);
    for part in 0..=4 {
        let events = most * f64::from(part) / 4.0;
        grid(out, rate_y(events), &format!("{:.0} k", events / 1000.0));
    }
    for decade in 0..=decades as i32 {
        let micros = 100.0 * 10_f64.powi(decade);
        let text = match micros {
            ..1e6 => format!("{} ms", micros / 1e3),
            _ => format!("{} s", micros / 1e6),
        };
        grid(out, latency_y(micros), &text);
    }
    for (text, (top, height)) in [("events/s", RATES), ("p99 of each second", LATENCIES)] {
        writeln!(out, "<text x=\"{LEFT}\" y=\"{}\">{text}</text>", top - 8.0).ok();
        let bottom = top + height;
        line(out, "axis", (LEFT, bottom), (WIDTH - RIGHT, bottom));
        for second in (0..seconds).step_by((seconds / 6).max(1)) {
            let (x, y) = (x(second as f64), bottom + 18.0);
            writeln!(out, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{second} s</text>")
                .ok();
        }
    }
    for (system, curve) in curves {
        let points = |y: &dyn Fn(&Second) -> Option<f64>| -> String {
            let points = curve.iter().enumerate();
            points
                .filter_map(|(at, second)| Some(format!("{:.1},{:.1} ", x(at as f64), y(second)?)))
                .collect()
        };
        let rates = points(&|second| Some(rate_y(second.events as f64)));
        // A second without acknowledgements has no latency.
        let latencies = points(&|second| (second.events > 0).then(|| latency_y(second.p99_us)));
        for points in [rates, latencies] {
            let class = system.name();
            let points = points.trim_end();
            writeln!(out, "<polyline class=\"line {class}\" points=\"{points}\"/>").ok();
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn legend(out: &mut String, curves: &[Curve<'_>]) {
    for (at, (system, _)) in curves.iter().enumerate() {
        let (x, name) = (WIDTH - RIGHT - 100.0 * (curves.len() - at) as f64, system.name());
        line(out, &format!("line {name}"), (x, 16.0), (x + 22.0, 16.0));
        writeln!(out, "<text x=\"{}\" y=\"20\">{name}</text>", x + 28.0).ok();
    }
}

fn grid(out: &mut String, y: f64, text: &str) {
    line(out, "grid", (LEFT, y), (WIDTH - RIGHT, y));
    let (x, y) = (LEFT - 8.0, y + 4.0);
    writeln!(out, "<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{text}</text>").ok();
}

fn line(out: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    writeln!(
        out,
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    )
    .ok();
}

/// Returns the next number that is 1, 2, 4 or 8 times a power of ten, which four parts divide well.
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let times = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0].into_iter().find(|times| times * power >= value);
    times.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_within_the_picture_and_a_silent_second_has_no_latency() {
        let second = |events, p99_us| Second { events, p99_us };
        let own = [second(300_000, 90_000.0), second(0, 0.0), second(1, 5e6)];
        let svg = draw("1 KiB", &[(System::Own, &own), (System::Redis, &own[..1])]);
        let lines: Vec<&str> = svg.lines().filter(|line| line.contains("<polyline")).collect();
        assert_eq!(lines.len(), 4);
        let mut points = 0;
        for line in lines {
            let values = line.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
            for point in values.split_whitespace() {
                let (x, y) = point.split_once(',').unwrap();
                let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                assert!((LEFT..=WIDTH - RIGHT).contains(&x), "{x}");
                assert!((RATES.0..=HEIGHT - 50.0).contains(&y), "{y}");
                points += 1;
            }
        }
        assert_eq!(points, 3 + 2 + 1 + 1);
        assert!(svg.contains("prefers-color-scheme: dark"));
    }
}
