//! A drawing of bars in groups: one figure, by scenario and target.

use maud::{Markup, html};

use super::axis::{Axis, short};
use super::chart::{at, axis_name, color};
use crate::rounds::Rounds;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 76.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 44.0;

/// From one bar to the next, and its thickness; and what a group takes beside its bars.
const PITCH: f64 = 20.0;
const THICKNESS: f64 = 14.0;
const HEADING: f64 = 30.0;

#[derive(Debug, Clone)]
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) color: usize,
    pub(super) rounds: Rounds,
    pub(super) facts: String,
}

/// Groups of bars over one axis.
#[derive(Debug)]
pub(super) struct Bars {
    pub(super) title: String,
    pub(super) groups: Vec<(String, Vec<Bar>)>,
}

impl Bars {
    /// Nothing where there is no bar.
    pub(super) fn draw(&self) -> Markup {
        let bars = self.groups.iter().flat_map(|(_, bars)| bars);
        let values = bars.flat_map(|bar| [bar.rounds.least, bar.rounds.most]);
        let Some(axis) = Axis::over(values) else {
            return html! {};
        };
        let mut height = TOP;
        let mut groups = Vec::new();
        for (label, bars) in &self.groups {
            groups.push((height, label, bars));
            height += HEADING + PITCH * bars.len() as f64;
        }
        let across = |value| LEFT + axis.place(value) * (WIDTH - LEFT - RIGHT);
        html! {
            figure.wide {
                figcaption { (self.title) }
                svg viewBox=(format!("0 0 {WIDTH} {}", at(height + BOTTOM))) role="img" aria-label=(self.title) {
                    @for (value, text) in &axis.marks {
                        @let x = at(across(*value));
                        line.grid x1=(x) x2=(x) y1=(at(TOP)) y2=(at(height)) {}
                        text x=(x) y=(at(height + 16.0)) text-anchor="middle" { (text) }
                    }
                    text.name x=(at(LEFT + (WIDTH - LEFT - RIGHT) / 2.0)) y=(at(height + 36.0)) text-anchor="middle" {
                        (axis_name(&self.title, &axis))
                    }
                    @for (top, label, bars) in groups {
                        text.label x="4" y=(at(top + 20.0)) { (label) }
                        @for (bar, index) in bars.iter().zip(0_u32..) {
                            (draw_bar(bar, top + HEADING + PITCH * f64::from(index), &across))
                        }
                    }
                }
            }
        }
    }
}

/// The median as a bar, the spread over the rounds as a line through its end.
fn draw_bar(bar: &Bar, top: f64, across: &impl Fn(f64) -> f64) -> Markup {
    let Rounds {
        median, least, most, ..
    } = bar.rounds;
    let middle = at(top + THICKNESS / 2.0);
    html! {
        g class=(color(bar.color)) {
            title { (bar.facts) }
            text x=(at(LEFT - 8.0)) y=(at(top + 11.5)) text-anchor="end" { (bar.name) }
            rect x=(at(LEFT)) y=(at(top)) width=(at((across(median) - LEFT).max(1.0))) height=(at(THICKNESS)) rx="2" {}
            line.spread x1=(at(across(least))) x2=(at(across(most))) y1=(middle) y2=(middle) {}
            text.value x=(at(across(most) + 6.0)) y=(at(top + 11.5)) { (short(median)) }
        }
    }
}
