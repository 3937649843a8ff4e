//! A picture of a work: a dot for each system's median, a line for its range. The axis is logarithmic: the floors are a hundred
//! times as fast as some.

use plotters::{
    prelude::{
        BLACK, ChartBuilder, Circle, Color, IntoDrawingArea, IntoFont, IntoLogRange, PathElement, RGBColor, SVGBackend,
        Text, WHITE,
    },
    style::text_anchor::{HPos, Pos, VPos},
};

use super::numbers::shown;
use crate::{Result, figures::Line};

const WIDTH: u32 = 900;

/// Of one system.
const ROW: u32 = 24;

/// Above and below the rows.
const HEAD: u32 = 40;
const FOOT: u32 = 45;

/// Left of the rows, for names.
const NAMES: u32 = 160;

/// Right of them: a figure may stand behind the last dot.
const FIGURES: u32 = 110;

const OURS: RGBColor = RGBColor(0xc0, 0x39, 0x2b);
const PEERS: RGBColor = RGBColor(0x2c, 0x5f, 0x8a);
const FLOORS: RGBColor = RGBColor(0x8a, 0x8a, 0x8a);

/// The picture as SVG.
///
/// # Errors
///
/// What plotters says; nothing that depends on the figures.
pub(super) fn of(work: &str, lines: &[&Line]) -> Result<String> {
    let mut svg = String::new();
    draw(work, lines, &mut svg).map_err(|error| format!("could not draw {work}: {error}"))?;
    Ok(svg)
}

fn draw(work: &str, lines: &[&Line], svg: &mut String) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let rows = u32::try_from(lines.len())?;
    let root = SVGBackend::with_string(svg, (WIDTH, HEAD + rows * ROW + FOOT)).into_drawing_area();
    root.fill(&WHITE)?;
    let (unit, meaning) = lines.first().map_or(("", ""), |line| (line.unit, line.meaning));
    let unit = if unit == "us" { "µs" } else { unit };
    let (least, most) = range(lines);
    let mut chart = ChartBuilder::on(&root)
        .margin_right(FIGURES)
        .caption(format!("{work}: {meaning}"), ("sans-serif", 16))
        .y_label_area_size(NAMES)
        .x_label_area_size(FOOT)
        .build_cartesian_2d((least..most).log_scale(), f64::from(rows)..0.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(0)
        .x_labels(6)
        .x_label_formatter(&|value| shown(*value))
        .x_desc(unit)
        .light_line_style(WHITE)
        .draw()?;
    let names = ("sans-serif", 14).into_font().color(&BLACK);
    let left = names.pos(Pos::new(HPos::Right, VPos::Center));
    let right = ("sans-serif", 12).into_font().color(&BLACK).pos(Pos::new(HPos::Left, VPos::Center));
    for (row, line) in (0..).zip(lines) {
        let y = f64::from(row) + 0.5;
        let colour = colour(&line.system);
        let [min, median, max] = [line.min, line.median, line.max].map(|value| value.clamp(least, most));
        chart.draw_series([PathElement::new(vec![(min, y), (max, y)], colour.stroke_width(3))])?;
        chart.draw_series([Circle::new((median, y), 5, colour.filled())])?;
        let (x0, y0) = chart.backend_coord(&(least, y));
        root.draw(&Text::new(format!("{} to {}", line.system, line.receivers), (x0 - 8, y0), left.clone()))?;
        let (x1, y1) = chart.backend_coord(&(max, y));
        root.draw(&Text::new(shown(line.median), (x1 + 10, y1), right.clone()))?;
    }
    root.present()?;
    Ok(())
}

/// From half the least to the most, with room for nothing less than a tenth: a logarithm wants something.
fn range(lines: &[&Line]) -> (f64, f64) {
    let least = lines.iter().map(|line| line.min).filter(|value| *value > 0.0).reduce(f64::min).unwrap_or(1.0);
    let most = lines.iter().map(|line| line.max).reduce(f64::max).unwrap_or(1.0).max(least);
    (least / 2.0, most * 1.1)
}

fn colour(system: &str) -> RGBColor {
    match system {
        "daffi" | "daffi-alone" => OURS,
        _ if system.starts_with("raw-") => FLOORS,
        _ => PEERS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{Heading, Run};

    fn line(system: &str, value: f64) -> Line {
        let parts = ["sender", "router", "receivers"];
        let heading = Heading { work: "live", receivers: 2, count: 1, in_flight: None, unit: "us", meaning: "", parts };
        Line::new(&heading, system.into(), false, "", &[Run { value, ..Run::default() }])
    }

    #[test]
    fn all_systems_are_in_the_picture_with_their_figures() {
        let lines = [line("daffi", 1_550.0), line("zenoh-tcp", 0.0), line("raw-tcp", 18_800_000.0)];
        let svg = of("live", &lines.iter().collect::<Vec<_>>()).unwrap();
        for text in ["daffi to 2", "zenoh-tcp to 2", "1,550", "18.8 million", "µs"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
        assert_eq!(svg.matches("<circle").count(), 3);
    }

    #[test]
    fn nothing_is_no_error() {
        of("live", &[]).unwrap();
        of("live", &[&line("daffi", 0.0)]).unwrap();
    }
}
