//! A drawing of points and lines over two axes.

use maud::{Markup, html};

use super::axis::Axis;

const WIDTH: f64 = 540.0;
const HEIGHT: f64 = 330.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 48.0;

/// Colors that the style knows; further ones begin again.
const COLORS: usize = 8;

/// What is drawn in one color.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) color: usize,
    pub(super) points: Vec<Point>,
    pub(super) lines: Vec<Line>,
}

#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) facts: String,
}

#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) points: Vec<(f64, f64)>,
    pub(super) facts: String,
}

/// Two axes with their names, and what stands between them.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x: (&'static str, Axis),
    pub(super) y: (String, Axis),
    pub(super) series: Vec<Series>,
}

/// The class that gives a series its color.
pub(super) fn color(index: usize) -> String {
    format!("c{}", index % COLORS)
}

/// A coordinate with as many digits as a screen shows.
pub(super) fn at(place: f64) -> String {
    format!("{place:.1}")
}

/// The name of an axis; a logarithmic scale says so.
pub(super) fn axis_name(name: &str, axis: &Axis) -> String {
    if axis.is_log {
        format!("{name} (log scale)")
    } else {
        name.to_owned()
    }
}

impl Chart {
    pub(super) fn draw(&self) -> Markup {
        let name = axis_name(&self.y.0, &self.y.1);
        html! {
            figure {
                figcaption { (self.title) }
                (self.legend())
                svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(self.title) {
                    (self.grid())
                    text.name x=(at(LEFT + (WIDTH - LEFT - RIGHT) / 2.0)) y=(at(HEIGHT - 8.0)) text-anchor="middle" {
                        (axis_name(self.x.0, &self.x.1))
                    }
                    text.name transform=(format!("translate(14 {}) rotate(-90)", at(TOP + (HEIGHT - TOP - BOTTOM) / 2.0))) text-anchor="middle" {
                        (name)
                    }
                    @for series in &self.series { (self.draw_series(series)) }
                }
            }
        }
    }

    fn legend(&self) -> Markup {
        html! {
            p.legend {
                @for series in &self.series {
                    span class=(color(series.color)) { (series.name) }
                }
            }
        }
    }

    fn grid(&self) -> Markup {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        html! {
            @for (value, text) in &self.x.1.marks {
                @let x = at(self.across(*value));
                line.grid x1=(x) x2=(x) y1=(at(TOP)) y2=(at(bottom)) {}
                text x=(x) y=(at(bottom + 16.0)) text-anchor="middle" { (text) }
            }
            @for (value, text) in &self.y.1.marks {
                @let y = self.up(*value);
                line.grid x1=(at(LEFT)) x2=(at(right)) y1=(at(y)) y2=(at(y)) {}
                text x=(at(LEFT - 6.0)) y=(at(y + 4.0)) text-anchor="end" { (text) }
            }
        }
    }

    fn draw_series(&self, series: &Series) -> Markup {
        html! {
            g class=(color(series.color)) {
                @for line in &series.lines {
                    polyline points=(self.path(line)) { title { (line.facts) } }
                }
                @for point in &series.points {
                    circle cx=(at(self.across(point.x))) cy=(at(self.up(point.y))) r="4.5" { title { (point.facts) } }
                }
            }
        }
    }

    fn path(&self, line: &Line) -> String {
        let place = |(x, y): &(f64, f64)| format!("{},{}", at(self.across(*x)), at(self.up(*y)));
        line.points.iter().map(place).collect::<Vec<_>>().join(" ")
    }

    fn across(&self, value: f64) -> f64 {
        LEFT + self.x.1.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn up(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.1.place(value) * (HEIGHT - TOP - BOTTOM)
    }
}
