//! A scale from numbers to places, with marks that people read.

/// Numbers that spread further than this are shown on a logarithmic scale.
const LINEAR_SPREAD_MAX: f64 = 20.0;

/// Steps of a linear scale, about.
const STEPS: f64 = 5.0;

/// One side of a drawing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    from: f64,
    to: f64,
    pub(super) is_log: bool,
    /// Where a mark is, and what it says.
    pub(super) marks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis for these numbers, which begins at 0 unless it is logarithmic; `None` when there are none.
    pub(super) fn over(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        let least = values.iter().copied().reduce(f64::min)?;
        let most = values.iter().copied().reduce(f64::max)?;
        Some(if least > 0.0 && most / least > LINEAR_SPREAD_MAX {
            Self::logarithmic(least, most)
        } else {
            Self::linear(most)
        })
    }

    /// From the power of ten below the least, so that even its bar has a length.
    fn logarithmic(least: f64, most: f64) -> Self {
        let first = least.log10().ceil() as i32 - 1;
        let last = most.log10().ceil() as i32;
        let powers = (first..=last).map(|power| 10_f64.powi(power));
        Self {
            from: 10_f64.powi(first),
            to: 10_f64.powi(last),
            is_log: true,
            marks: powers.map(|power| (power, short(power))).collect(),
        }
    }

    fn linear(most: f64) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        let rough = most / STEPS;
        let power = 10_f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|factor| factor * power);
        let step = steps.into_iter().find(|step| *step >= rough).unwrap_or(rough);
        let count = (most / step - 1e-9).ceil().max(1.0);
        let marks = (0..=count as u32).map(|index| f64::from(index) * step);
        Self {
            from: 0.0,
            to: count * step,
            is_log: false,
            marks: marks.map(|mark| (mark, short(mark))).collect(),
        }
    }

    /// For shares of all messages: each mark leaves a tenth of what the one before leaves.
    pub(super) fn nines(most: f64) -> Self {
        let marks = [
            "0 %",
            "90 %",
            "99 %",
            "99.9 %",
            "99.99 %",
            "99.999 %",
            "99.9999 %",
        ];
        let to = nines(most).ceil().clamp(1.0, 6.0);
        let marks = marks.iter().zip(0..=to as u32);
        Self {
            from: 0.0,
            to,
            is_log: false,
            marks: marks
                .map(|(text, place)| (f64::from(place), (*text).to_owned()))
                .collect(),
        }
    }

    /// From 0 at the beginning to 1 at the end; what lies beyond is at the end.
    pub(super) fn place(&self, value: f64) -> f64 {
        let share = if self.is_log {
            (value / self.from).log10() / (self.to / self.from).log10()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        share.clamp(0.0, 1.0)
    }
}

/// How many nines a share has: 0.9 has one, 0.999 three.
pub(super) fn nines(share: f64) -> f64 {
    -(1.0 - share).log10()
}

/// A number with few digits and a letter for its thousands.
pub(super) fn short(value: f64) -> String {
    let letters = [(1e9, " G"), (1e6, " M"), (1e3, " k")];
    let found = letters.into_iter().find(|(unit, _)| value.abs() >= *unit);
    let (value, letter) = found.map_or((value, ""), |(unit, letter)| (value / unit, letter));
    let size = value.abs();
    let decimals = if size == 0.0 {
        0
    } else {
        (2 - size.log10().floor() as i32).clamp(0, 9) as usize
    };
    let text = format!("{value:.decimals$}");
    let text = if decimals > 0 {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{letter}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<&str> {
        axis.marks.iter().map(|(_, text)| &**text).collect()
    }

    #[test]
    fn near_numbers_stand_on_a_linear_scale_from_zero() {
        let axis = Axis::over([3.0, 9.5]).unwrap();
        assert_eq!(texts(&axis), ["0", "2", "4", "6", "8", "10"]);
        assert!((axis.place(5.0) - 0.5).abs() < 1e-9);
        assert_eq!(
            texts(&Axis::over([0.0]).unwrap()),
            ["0", "0.2", "0.4", "0.6", "0.8", "1"]
        );
    }

    #[test]
    fn far_numbers_stand_on_a_logarithmic_scale_with_room_below_the_least() {
        let axis = Axis::over([0.1, 80.0]).unwrap();
        assert_eq!(texts(&axis), ["0.01", "0.1", "1", "10", "100"]);
        assert!((axis.place(1.0) - 0.5).abs() < 1e-9);
        assert!(axis.place(0.1) > 0.0);
    }

    #[test]
    fn nothing_has_no_axis() {
        assert_eq!(Axis::over([]), None);
        assert_eq!(Axis::over([f64::NAN]), None);
    }

    #[test]
    fn each_nine_is_one_step() {
        let axis = Axis::nines(0.9995);
        assert_eq!(texts(&axis), ["0 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
        assert!((axis.place(nines(0.99)) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.0, "0"),
            (0.211, "0.211"),
            (12.0, "12"),
            (1500.0, "1.5 k"),
            (2e6, "2 M"),
            (0.00012, "0.00012"),
            (123.4, "123"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
    }
}
