//! The text of an ACL file: one rule a line.

use std::path::Path;

use plugin_api::Problem;

use super::{
    pattern::{DevicePattern, FilterPattern, Flaw},
    rules::{Reach, Rule, Rules},
};
use crate::name;

const LINES: &str =
    "user, topic, pattern, twin, fleet or operate at the beginning of a line, or # and a comment";
const TOPIC: &str = "[read|write|readwrite|deny] and a topic filter";
const TWIN: &str = "[read|write|readwrite|deny] and a device: its name, or + for all";
const WHOLE_LEVELS: &str = "%u, %c and %d as whole levels only";
const ONLY_PATTERNS: &str = "placeholders in `pattern` lines only";

/// What was found, and what is allowed there.
type Fault = (String, &'static str);

/// Reads the text of a file, or says everything that is wrong with it.
pub(crate) fn rules(path: &Path, text: &str) -> Result<Rules, Vec<Problem>> {
    let mut reader = Reader::default();
    let mut problems = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if let Err((found, allowed)) = reader.line(line.trim()) {
            problems.push(Problem::new(
                format!("{}:{number}", path.display()),
                found,
                allowed,
            ));
        }
    }
    if problems.is_empty() {
        Ok(reader.rules)
    } else {
        Err(problems)
    }
}

/// The rules so far, and whom the next ones are for.
#[derive(Default)]
struct Reader {
    rules: Rules,
    user: Option<String>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), Fault> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let (word, rest) = split_word(line);
        match word {
            "user" => self.user(rest)?,
            "topic" => self.own(topic(rest, FilterPattern::fixed)?),
            "twin" => self.own(twin(rest, DevicePattern::fixed)?),
            "fleet" => match rest {
                "read" => self.own(Rule::FleetRead),
                _ => return Err((format!("{line:?}"), "fleet read")),
            },
            "operate" => match rest {
                "" => self.own(Rule::Operate),
                _ => return Err((format!("{line:?}"), "operate, with nothing behind it")),
            },
            "pattern" => {
                let rule = match split_word(rest) {
                    ("twin", device) if !device.is_empty() => twin(device, DevicePattern::parse)?,
                    _ => topic(rest, FilterPattern::parse)?,
                };
                self.rules.everybody.push(rule);
            }
            _ => return Err((format!("{word:?}"), LINES)),
        }
        Ok(())
    }

    fn user(&mut self, name: &str) -> Result<(), Fault> {
        // A name that cannot be used still begins a new part: its rules must not go to the user before.
        self.user = Some(name.to_owned());
        match name::fault_of(name) {
            None => Ok(()),
            Some(fault) if name == crate::ANONYMOUS => Err((
                format!("the user {name:?}: {fault}"),
                "their rules before the first `user` line",
            )),
            Some(fault) => Err((format!("the user {name:?}: {fault}"), "user, and a name")),
        }
    }

    fn own(&mut self, rule: Rule) {
        match &self.user {
            None => self.rules.anonymous.push(rule),
            Some(user) => self.rules.users.entry(user.clone()).or_default().push(rule),
        }
    }
}

fn topic(rest: &str, filter: fn(&str) -> Result<FilterPattern, Flaw>) -> Result<Rule, Fault> {
    let (reach, text) = reach(rest, TOPIC)?;
    let filter = filter(text).map_err(|flaw| told(flaw, TOPIC))?;
    Ok(Rule::Topic(reach, filter))
}

fn twin(rest: &str, whose: fn(&str) -> Result<DevicePattern, Flaw>) -> Result<Rule, Fault> {
    let (reach, text) = reach(rest, TWIN)?;
    let whose = whose(text).map_err(|flaw| told(flaw, TWIN))?;
    Ok(Rule::Twin(reach, whose))
}

fn told(flaw: Flaw, allowed: &'static str) -> Fault {
    match flaw {
        Flaw::Text(found) => (found, allowed),
        Flaw::Level(level) => (format!("the level {level:?}"), WHOLE_LEVELS),
        Flaw::Placeholder(placeholder) => (
            format!("{} outside of a `pattern` line", placeholder.as_str()),
            ONLY_PATTERNS,
        ),
    }
}

/// How far a rule reaches, and to what. Without a word for it, to read and write.
fn reach<'a>(rest: &'a str, allowed: &'static str) -> Result<(Reach, &'a str), Fault> {
    let (word, target) = split_word(rest);
    let reach = match word {
        "read" => Reach::Read,
        "write" => Reach::Write,
        "readwrite" => Reach::ReadWrite,
        "deny" => Reach::Deny,
        _ if target.is_empty() && !word.is_empty() => return Ok((Reach::ReadWrite, word)),
        _ => return Err((format!("{word:?} where the access stands"), allowed)),
    };
    if target.is_empty() {
        Err((format!("{word:?} without anything behind it"), allowed))
    } else {
        Ok((reach, target))
    }
}

/// The first word, and the rest without the space around it.
fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim())
}
