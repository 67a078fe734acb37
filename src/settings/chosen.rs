//! `authenticators` of a listener, MQTT or not: which of those that there are judge who comes in.

use plugin_api::{Check, Problem};

/// Authenticators as they were typed at a listener, and the key of the section.
pub(super) struct Chosen {
    section: String,
    names: Vec<String>,
}

impl Chosen {
    /// All that were typed in a list of sections of this name.
    pub(super) fn of<'a>(
        section: &'static str,
        typed: impl Iterator<Item = &'a Option<Vec<String>>>,
    ) -> impl Iterator<Item = Self> {
        let chosen = move |(place, names): (usize, &Option<Vec<String>>)| {
            let section = format!("{section}[{place}]");
            names.clone().map(|names| Self { section, names })
        };
        typed.enumerate().filter_map(chosen)
    }

    /// Each has to be one that there is.
    pub(super) fn check(self, there_are: &[&str], problems: &mut Vec<Problem>) {
        const KEY: &str = "authenticators";
        let mut check = Check::of(&self.section, problems);
        let allowed = match there_are {
            [] => "no such key: [auth] has none that can let somebody in".to_owned(),
            some => format!("some of those that [auth] has: {some:?}"),
        };
        if self.names.is_empty() {
            check.problem(KEY, "none", allowed.clone());
        }
        for (place, name) in self.names.iter().enumerate() {
            if self.names.iter().take(place).any(|before| before == name) {
                check.problem(KEY, format!("{name:?} again"), "each once");
            } else if !there_are.contains(&name.as_str()) {
                check.problem(KEY, format!("{name:?}"), allowed.clone());
            }
        }
    }
}
