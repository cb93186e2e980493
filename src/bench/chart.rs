//! The charts of docs/performance.md, as SVG.

use std::path::Path;

use anyhow::{Context, anyhow};
use plotters::prelude::*;

use super::report::{BenchReport, Figure};

const SIZE: (u32, u32) = (760, 360);
const LETHE: RGBColor = RGBColor(31, 119, 180);
const FLOOR: RGBColor = RGBColor(170, 170, 170);

/// Draws every chart for which the report has figures into `folder`.
pub fn draw(report: &BenchReport, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for (case, unit) in [
        ("queue", "tasks/s"),
        ("single samples", "samples/s"),
        ("one user", "images/s"),
        ("enqueue", "commits/s"),
        ("wake-up", "ms"),
        ("webhook", "ms"),
        ("small users", "users/s"),
        ("shapes", "rows/s"),
    ] {
        let figures: Vec<&Figure> = report
            .figures
            .iter()
            .filter(|figure| figure.case == case && figure.unit == unit && figure.floor.is_some())
            .collect();
        if !figures.is_empty() {
            bars(
                &figures,
                &format!("{case}, {unit} (grey: the floor)"),
                &file(folder, case),
            )?;
        }
    }
    for case in ["held snapshot", "backlog"] {
        let figures: Vec<&Figure> = report
            .figures
            .iter()
            .filter(|figure| figure.case == case && figure.series.len() > 1)
            .collect();
        if !figures.is_empty() {
            lines(
                &figures,
                &format!("{case}: tasks/s over the run"),
                &file(folder, case),
            )?;
        }
    }
    Ok(())
}

fn file(folder: &Path, case: &str) -> std::path::PathBuf {
    folder.join(format!("{}.svg", case.replace(' ', "-")))
}

/// Pairs of bars: what was measured, and its floor.
fn bars(figures: &[&Figure], title: &str, path: &Path) -> anyhow::Result<()> {
    let most = figures
        .iter()
        .flat_map(|figure| [figure.value, figure.floor.unwrap_or_default()])
        .fold(0.0, f64::max);
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| anyhow!("cannot draw {}: {error}", path.display());
    root.fill(&WHITE).map_err(|error| failed(&error))?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(34)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..figures.len() as f64, 0.0..most * 1.1)
        .map_err(|error| failed(&error))?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(0)
        .y_label_formatter(&|value| super::report::short(*value))
        .draw()
        .map_err(|error| failed(&error))?;
    for (at, figure) in figures.iter().enumerate() {
        let left = at as f64;
        for (from, value, color) in [
            (0.12, figure.value, LETHE),
            (0.5, figure.floor.unwrap_or_default(), FLOOR),
        ] {
            let corners = [(left + from, 0.0), (left + from + 0.36, value)];
            chart
                .draw_series([Rectangle::new(corners, color.filled())])
                .map_err(|error| failed(&error))?;
        }
        let width = f64::from(SIZE.0 - 94) / figures.len() as f64;
        let style = ("sans-serif", 12).into_text_style(&root);
        let place = (82 + ((left + 0.08) * width) as i32, SIZE.1 as i32 - 38);
        root.draw_text(&figure.variant, &style, place)
            .map_err(|error| failed(&error))?;
    }
    root.present().map_err(|error| failed(&error))
}

/// A line for each figure's series, over its own run from 0 to 1.
fn lines(figures: &[&Figure], title: &str, path: &Path) -> anyhow::Result<()> {
    let most = figures
        .iter()
        .flat_map(|figure| figure.series.iter().map(|(_, rate)| *rate))
        .fold(0.0, f64::max);
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| anyhow!("cannot draw {}: {error}", path.display());
    root.fill(&WHITE).map_err(|error| failed(&error))?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(34)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..1.0, 0.0..most * 1.1)
        .map_err(|error| failed(&error))?;
    chart
        .configure_mesh()
        .x_desc("part of the run")
        .y_label_formatter(&|value| super::report::short(*value))
        .draw()
        .map_err(|error| failed(&error))?;
    for (at, figure) in figures.iter().enumerate() {
        let end = figure.series.last().map_or(1.0, |(at, _)| *at);
        let color = Palette99::pick(at).to_rgba();
        let points = figure.series.iter().map(|(at, rate)| (at / end, *rate));
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(2)))
            .map_err(|error| failed(&error))?
            .label(&figure.variant)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .draw()
        .map_err(|error| failed(&error))?;
    root.present().map_err(|error| failed(&error))
}
