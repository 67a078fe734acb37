//! Numbers: compared by value on their literals, never through a float.

use serde_json::Number;

/// Whether two numbers are the same value: `1`, `1.0` and `10e-1` are.
pub(crate) fn same_number(left: &Number, right: &Number) -> bool {
    left.as_str() == right.as_str()
        || matches!((Decimal::read(left), Decimal::read(right)), (Some(l), Some(r)) if l == r)
}

/// Whether the number's exponent is small enough to be compared exactly.
pub(crate) fn is_comparable(number: &Number) -> bool {
    Decimal::read(number).is_some()
}

/// A number as `digits * 10^exponent`, with no zero at either end of `digits`; zero has no digits at all.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn read(number: &Number) -> Option<Self> {
        let literal = number.as_str();
        let (negative, literal) = literal
            .strip_prefix('-')
            .map_or((false, literal), |rest| (true, rest));
        let (mantissa, exponent) = literal.split_once(['e', 'E']).unwrap_or((literal, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = [whole, fraction].concat();
        let without_tail = digits.trim_end_matches('0');
        let dropped = i64::try_from(digits.len() - without_tail.len()).ok()?;
        let shift = dropped - i64::try_from(fraction.len()).ok()?;
        match without_tail.trim_start_matches('0') {
            "" => Some(Self {
                negative: false,
                digits: String::new(),
                exponent: 0,
            }),
            digits => {
                let exponent = exponent.parse::<i64>().ok()?.checked_add(shift)?;
                Some(Self {
                    negative,
                    digits: digits.to_owned(),
                    exponent,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(left: &str, right: &str) -> bool {
        let read = |text: &str| text.parse::<Number>().expect("a JSON number");
        same_number(&read(left), &read(right))
    }

    #[test]
    fn one_value_has_many_literals() {
        for other in [
            "1", "1.0", "1.00", "1e0", "1E0", "10e-1", "0.1e1", "0.001e+3", "100e-2",
        ] {
            assert!(same("1", other), "1 = {other}");
        }
        assert!(same("0", "-0.0e7"));
        assert!(same("-12.50", "-125e-1"));
    }

    #[test]
    fn values_that_a_float_would_confuse_are_told_apart() {
        assert!(!same("9007199254740993", "9007199254740992"));
        assert!(!same("0.1", "0.1000000000000000055511151231257827"));
        assert!(!same("1e400", "1e401"));
        assert!(!same("1", "-1"));
        assert!(!same("1", "10"));
    }

    #[test]
    fn an_exponent_beyond_counting_is_not_comparable_but_equals_itself() {
        let huge: Number = "1e99999999999999999999".parse().expect("a JSON number");
        assert!(!is_comparable(&huge));
        assert!(same("1e99999999999999999999", "1e99999999999999999999"));
    }
}
