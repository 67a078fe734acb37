//! Checks one section of the settings: what was typed against what is allowed.

use std::{net::SocketAddr, ops::RangeInclusive, time::Duration};

use crate::Problem;

mod quantity;

use quantity::{SIZES, TIMES, parse, show};

/// A section under check. What was not typed is its default; what is not allowed is noted with its key and replaced by
/// its default, so that the other mistakes are found as well.
#[derive(Debug)]
pub struct Check<'a> {
    section: &'a str,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Check<'a> {
    /// Checks the section of this name, such as `twin.limits`; mistakes go to `problems`.
    pub fn of(section: &'a str, problems: &'a mut Vec<Problem>) -> Self {
        Self { section, problems }
    }

    /// A count: a plain number.
    pub fn number<T: TryFrom<i64>>(
        &mut self,
        key: &str,
        typed: Option<i64>,
        default: T,
        allowed: RangeInclusive<i64>,
    ) -> T {
        let Some(number) = typed else { return default };
        let fits = allowed.contains(&number).then(|| T::try_from(number).ok());
        fits.flatten().unwrap_or_else(|| {
            let allowed = format!("{} to {}", allowed.start(), allowed.end());
            self.problem(key, number.to_string(), allowed);
            default
        })
    }

    /// A text that `fits`, if one was typed.
    pub fn text(
        &mut self,
        key: &str,
        typed: Option<String>,
        allowed: &str,
        fits: impl FnOnce(&str) -> bool,
    ) -> Option<String> {
        let text = typed?;
        if fits(&text) {
            return Some(text);
        }
        self.problem(key, format!("{text:?}"), allowed);
        None
    }

    /// A size with its unit, as in `"64KiB"`. The range is in bytes.
    pub fn size<T: TryFrom<u64>>(
        &mut self,
        key: &str,
        typed: Option<String>,
        default: T,
        allowed: RangeInclusive<u64>,
    ) -> T {
        let Some(text) = typed else { return default };
        let bytes = parse(&text, &SIZES).filter(|bytes| allowed.contains(bytes));
        let fits = bytes.and_then(|bytes| T::try_from(bytes).ok());
        fits.unwrap_or_else(|| {
            self.problem(key, format!("{text:?}"), sizes(&allowed));
            default
        })
    }

    /// A size with its unit, or `"none"`.
    pub fn size_or_none(
        &mut self,
        key: &str,
        typed: Option<String>,
        default: Option<u64>,
        allowed: RangeInclusive<u64>,
    ) -> Option<u64> {
        let Some(text) = typed else { return default };
        if text == "none" {
            return None;
        }
        let fits = parse(&text, &SIZES).filter(|bytes| allowed.contains(bytes));
        if fits.is_none() {
            let allowed = format!("\"none\", or {}", sizes(&allowed));
            self.problem(key, format!("{text:?}"), allowed);
            return default;
        }
        fits
    }

    /// A time with its unit, as in `"500ms"` or `"7d"`.
    pub fn duration(
        &mut self,
        key: &str,
        typed: Option<String>,
        default: Duration,
        allowed: RangeInclusive<Duration>,
    ) -> Duration {
        let Some(text) = typed else { return default };
        time(&text, &allowed).unwrap_or_else(|| {
            self.problem(key, format!("{text:?}"), times(&allowed));
            default
        })
    }

    /// A time with its unit, or `"never"`.
    pub fn interval(
        &mut self,
        key: &str,
        typed: Option<String>,
        default: Duration,
        allowed: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let Some(text) = typed else { return Some(default) };
        if text == "never" {
            return None;
        }
        let fits = time(&text, &allowed);
        if fits.is_none() {
            self.problem(
                key,
                format!("{text:?}"),
                format!("\"never\", or {}", times(&allowed)),
            );
        }
        fits
    }

    /// One of a few words.
    pub fn choice<T: Copy>(
        &mut self,
        key: &str,
        typed: Option<String>,
        default: T,
        choices: &[(&str, T)],
    ) -> T {
        let Some(text) = typed else { return default };
        let chosen = choices.iter().find(|(word, _)| *word == text);
        chosen.map_or_else(
            || {
                let words: Vec<_> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
                self.problem(key, format!("{text:?}"), words.join(", "));
                default
            },
            |(_, choice)| *choice,
        )
    }

    /// An address to listen on. `None` if it is none.
    pub fn address(&mut self, key: &str, typed: &str) -> Option<SocketAddr> {
        let address = typed.parse().ok();
        if address.is_none() {
            let allowed = "an IP address and a port, for example \"127.0.0.1:1883\" or \"[::]:8883\"";
            self.problem(key, format!("{typed:?}"), allowed);
        }
        address
    }

    /// Notes a mistake at a key of this section.
    pub fn problem(&mut self, key: &str, found: impl Into<String>, allowed: impl Into<String>) {
        let path = format!("{}.{key}", self.section);
        self.problems.push(Problem::new(path, found, allowed));
    }
}

fn sizes(allowed: &RangeInclusive<u64>) -> String {
    let (from, to) = (show(*allowed.start(), &SIZES), show(*allowed.end(), &SIZES));
    format!("a size with its unit, from \"{from}\" to \"{to}\"")
}

fn time(text: &str, allowed: &RangeInclusive<Duration>) -> Option<Duration> {
    let time = Duration::from_millis(parse(text, &TIMES)?);
    allowed.contains(&time).then_some(time)
}

fn times(allowed: &RangeInclusive<Duration>) -> String {
    let show = |time: &Duration| show(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), &TIMES);
    let (from, to) = (show(allowed.start()), show(allowed.end()));
    format!("a time with its unit, from \"{from}\" to \"{to}\"")
}

#[cfg(test)]
mod tests;
