//! The picture of a run: packets per second in 10 ms buckets with the swaps marked, and the blackouts.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::error::{Error, Result};
use crate::load::buckets::BUCKET_NS;

const SIZE: (u32, u32) = (1280, 860);
/// Runs with more swaps show a distribution instead of a bar per swap.
const BARS_MAX: usize = 40;

const RATE: RGBColor = RGBColor(31, 92, 160);
const TO_V2: RGBColor = RGBColor(204, 102, 0);
const TO_V1: RGBColor = RGBColor(0, 128, 96);
const GREY: RGBColor = RGBColor(90, 90, 90);

/// One swap in the picture.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Seconds from the start of the picture.
    pub at_s: f64,
    /// From the request to swap until the old process was gone.
    pub span_s: (f64, f64),
    pub label: String,
    /// Whether it went to the newer layout.
    pub forward: bool,
    pub blackout_us: f64,
}

/// Everything in the picture.
#[derive(Debug, Clone)]
pub struct Picture {
    pub title: String,
    /// (seconds, packets per second).
    pub rate: Vec<(f64, f64)>,
    pub marks: Vec<Mark>,
}

impl Picture {
    pub fn write(&self, path: &Path) -> Result<()> {
        self.draw(path).map_err(|why| Error::File { path: path.to_owned(), why })
    }

    fn draw(&self, path: &Path) -> Result<(), String> {
        let root = SVGBackend::new(path, SIZE).into_drawing_area();
        root.fill(&WHITE).map_err(text)?;
        let title = ("sans-serif", 24).into_font().color(&BLACK);
        let root = root.titled(&self.title, title).map_err(text)?;
        let (top, bottom) = root.split_vertically(500);
        self.rates(&top)?;
        if self.marks.len() <= BARS_MAX {
            self.bars(&bottom)?
        } else {
            self.distribution(&bottom)?
        }
        root.present().map_err(text)
    }

    fn rates<B: DrawingBackend>(&self, area: &Area<B>) -> Result<(), String> {
        let highest = self.rate.iter().map(|point| point.1).fold(1.0, f64::max) * 1.18;
        let end = self.rate.last().map_or(1.0, |point| point.0);
        let caption = format!(
            "Packets per second, both directions, {} ms buckets; line: switch, band: swap from request to end",
            BUCKET_NS / 1_000_000
        );
        let mut chart = ChartBuilder::on(area)
            .caption(caption, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(46)
            .y_label_area_size(86)
            .build_cartesian_2d(0.0..end, 0.0..highest)
            .map_err(text)?;
        chart
            .configure_mesh()
            .x_desc("seconds")
            .y_desc("packets/s")
            .axis_desc_style(("sans-serif", 16))
            .label_style(("sans-serif", 14))
            .light_line_style(WHITE)
            .bold_line_style(RGBColor(228, 228, 228))
            .x_label_formatter(&|seconds| format!("{seconds:.0}"))
            .y_label_formatter(&|&pps| {
                if pps == 0.0 { "0".to_owned() } else { format!("{:.0} k", pps / 1e3) }
            })
            .draw()
            .map_err(text)?;
        let few = self.marks.len() <= BARS_MAX;
        let bands = self.marks.iter().map(|mark| {
            let band = [(mark.span_s.0, 0.0), (mark.span_s.1, highest)];
            Rectangle::new(band, colour(mark).mix(0.12).filled())
        });
        chart.draw_series(bands).map_err(text)?;
        // Many lines over the whole height would hide the rate that they are to explain.
        let foot = if few { 0.0 } else { highest * 0.95 };
        for mark in &self.marks {
            let line = [(mark.at_s, foot), (mark.at_s, highest)];
            chart.draw_series(LineSeries::new(line, colour(mark).stroke_width(1))).map_err(text)?;
        }
        chart.draw_series(LineSeries::new(self.rate.iter().copied(), RATE.stroke_width(1))).map_err(text)?;
        if few {
            let style = |mark: &Mark| label_style(13, colour(mark)).pos(Pos::new(HPos::Left, VPos::Top));
            let labels = self.marks.iter().map(|mark| {
                EmptyElement::at((mark.at_s, highest)) + Text::new(mark.label.clone(), (4, 4), style(mark))
            });
            chart.draw_series(labels).map_err(text)?;
        }
        Ok(())
    }

    /// A bar for each swap.
    fn bars<B: DrawingBackend>(&self, area: &Area<B>) -> Result<(), String> {
        let highest = self.marks.iter().map(|mark| mark.blackout_us).fold(1.0, f64::max) * 1.25;
        let count = self.marks.len().max(1) as f64;
        let mut chart = ChartBuilder::on(area)
            .caption("Blackout of each swap", ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(46)
            .y_label_area_size(86)
            .build_cartesian_2d(0.4..count + 0.6, 0.0..highest)
            .map_err(text)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_desc("swap")
            .y_desc("blackout, µs")
            .axis_desc_style(("sans-serif", 16))
            .label_style(("sans-serif", 14))
            .light_line_style(WHITE)
            .bold_line_style(RGBColor(228, 228, 228))
            .x_labels(self.marks.len().clamp(2, 20))
            .x_label_formatter(&|x| {
                if (x - x.round()).abs() < 0.01 { format!("{x:.0}") } else { String::new() }
            })
            .y_label_formatter(&|us| format!("{us:.0}"))
            .draw()
            .map_err(text)?;
        let numbered = || self.marks.iter().enumerate().map(|(i, mark)| ((i + 1) as f64, mark));
        let bars = numbered().map(|(x, mark)| {
            Rectangle::new([(x - 0.3, 0.0), (x + 0.3, mark.blackout_us)], colour(mark).mix(0.75).filled())
        });
        chart.draw_series(bars).map_err(text)?;
        let style = label_style(13, GREY).pos(Pos::new(HPos::Center, VPos::Bottom));
        let labels = numbered().map(|(x, mark)| {
            let label = format!("{} {:.0}", mark.label, mark.blackout_us);
            EmptyElement::at((x, mark.blackout_us)) + Text::new(label, (0, -4), style.clone())
        });
        chart.draw_series(labels).map_err(text)?;
        Ok(())
    }

    /// How many swaps had at most which blackout, a line for each direction.
    fn distribution<B: DrawingBackend>(&self, area: &Area<B>) -> Result<(), String> {
        let all: Vec<f64> = self.marks.iter().map(|mark| mark.blackout_us).collect();
        let highest = all.iter().copied().fold(1.0, f64::max) * 1.05;
        let mut chart = ChartBuilder::on(area)
            .caption(format!("Blackout of {} swaps, cumulative", all.len()), ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(46)
            .y_label_area_size(86)
            .build_cartesian_2d(0.0..highest, 0.0..100.0)
            .map_err(text)?;
        chart
            .configure_mesh()
            .x_desc("blackout, µs")
            .y_desc("% of swaps")
            .axis_desc_style(("sans-serif", 16))
            .label_style(("sans-serif", 14))
            .light_line_style(WHITE)
            .bold_line_style(RGBColor(228, 228, 228))
            .x_label_formatter(&|us| format!("{us:.0}"))
            .y_label_formatter(&|percent| format!("{percent:.0}"))
            .draw()
            .map_err(text)?;
        for (forward, name, colour) in [(true, "v1→v2", TO_V2), (false, "v2→v1", TO_V1)] {
            let mut values: Vec<f64> =
                self.marks.iter().filter(|m| m.forward == forward).map(|m| m.blackout_us).collect();
            values.sort_by(f64::total_cmp);
            let n = values.len() as f64;
            let steps = values
                .iter()
                .enumerate()
                .flat_map(|(i, &us)| [(us, 100.0 * i as f64 / n), (us, 100.0 * (i + 1) as f64 / n)])
                .collect::<Vec<_>>();
            chart
                .draw_series(LineSeries::new(steps, colour.stroke_width(2)))
                .map_err(text)?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .label_font(("sans-serif", 14))
            .background_style(WHITE.mix(0.9))
            .border_style(RGBColor(200, 200, 200))
            .draw()
            .map_err(text)
    }
}

type Area<B> = DrawingArea<B, plotters::coord::Shift>;

fn colour(mark: &Mark) -> RGBColor {
    if mark.forward { TO_V2 } else { TO_V1 }
}

fn label_style(size: i32, colour: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&colour).into_text_style(&SIZE)
}

fn text<E: std::fmt::Display>(error: E) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(swaps: usize) -> Picture {
        let mark = |i: usize| Mark {
            at_s: i as f64,
            span_s: (i as f64 - 0.2, i as f64 + 0.3),
            label: if i.is_multiple_of(2) { "v1→v2" } else { "v2→v1" }.to_owned(),
            forward: i.is_multiple_of(2),
            blackout_us: 40.0 + i as f64,
        };
        Picture {
            title: "test".to_owned(),
            rate: (0..100).map(|i| (f64::from(i) / 100.0, 40_000.0)).collect(),
            marks: (0..swaps).map(mark).collect(),
        }
    }

    #[test]
    fn pictures_of_no_few_and_many_swaps_can_be_drawn() {
        let dir = tempfile::tempdir().expect("a directory");
        for swaps in [0, 1, 10, 200] {
            let path = dir.path().join("p.svg");
            picture(swaps).write(&path).expect("drawn");
            let svg = std::fs::read_to_string(&path).expect("written");
            assert!(svg.starts_with("<svg") && svg.contains("packets/s") && svg.trim_end().ends_with("</svg>"));
        }
        assert!(picture(1).write(Path::new("/nonexistent/p.svg")).is_err());
    }
}
