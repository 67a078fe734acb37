//! One file format out of each room's section: found, read, overridden by flags, checked as a whole.

mod chosen;
mod file;
mod http;
mod sections;

use std::path::{Path, PathBuf};

use plugin_api::Problem;
use serde::Deserialize;
use toml::{Table, Value};

pub use http::{At, Http, RawHttp};
pub use sections::{Log, LogFormat, RawLog, RawStore};

use crate::Failure;
use chosen::Chosen;
use http::Shareable;

/// Listeners that a flag cannot add, since certificates stand in files.
const WITH_TLS: [&str; 3] = ["mqtts", "wss", "https"];
/// The listener that a flag adds with WebSocket.
const WEBSOCKET: &str = "ws";

/// Every key with its default and its meaning, as shipped in `config/default.toml`.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// The whole file as a person typed it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Raw {
    /// The folder everything is kept in.
    data: Option<PathBuf>,
    log: RawLog,
    store: RawStore,
    broker: broker::settings::RawBroker,
    mqtt: broker::settings::RawMqtt,
    listener: Vec<broker::settings::RawListener>,
    http: Vec<RawHttp>,
    auth: plugin_auth::RawAuth,
    twin: twin::RawTwin,
}

/// The whole file, checked.
#[derive(Debug)]
pub struct Settings {
    /// The folder everything is kept in.
    pub data: PathBuf,
    /// What is logged, and how.
    pub log: Log,
    /// How safe an acknowledged message is.
    pub durability: store::Durability,
    /// How the store works.
    pub store: store::Options,
    /// Listeners, limits and threads of the broker.
    pub broker: broker::Settings,
    /// Where HTTP is served.
    pub http: Vec<Http>,
    /// Who may come in and what they may do.
    pub auth: plugin_auth::Auth,
    /// Digital twins.
    pub twin: twin::Settings,
}

/// What the command line says over the file.
#[derive(Debug, Default, Clone)]
pub struct Overrides {
    /// `--data`.
    pub data: Option<PathBuf>,
    /// `--mqtt`, `--mqtts`, `--ws`, `--wss`: the name of an MQTT listener and its new address.
    pub listeners: Vec<(&'static str, String)>,
    /// `--http`, `--https`: the name of an HTTP listener and its new address.
    pub http: Vec<(&'static str, String)>,
    /// `--set`: dotted keys and values.
    pub set: Vec<String>,
}

/// Reads, overrides and checks. Without a file the defaults hold.
///
/// # Errors
/// All mistakes at once, each with its key.
pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Settings, Failure> {
    let mut problems = Vec::new();
    let text = match file {
        None => String::new(),
        Some(path) => std::fs::read_to_string(path).map_err(|why| {
            Failure::Place(format!("cannot read the settings file {}: {why}", path.display()))
        })?,
    };
    let name = file.map_or_else(|| "settings".to_owned(), |path| path.display().to_string());
    let mut table = file::read(&name, &text, &mut problems);
    overrides.apply(&mut table, &mut problems);
    let raw = Raw::deserialize(Value::Table(table)).map_err(|why| anyhow::anyhow!("{name}: {why}"))?;
    let settings = raw.check(&mut problems);
    if problems.is_empty() {
        Ok(settings)
    } else {
        Err(Failure::Settings(problems))
    }
}

impl Raw {
    fn check(self, problems: &mut Vec<Problem>) -> Settings {
        let (durability, store) = self.store.check(problems);
        let shareable: Vec<_> = self.listener.iter().map(Shareable::from).collect();
        let listeners = self.listener.iter().map(|listener| &listener.authenticators);
        let https = self.http.iter().map(|http| &http.authenticators);
        let chosen: Vec<_> = Chosen::of("listener", listeners)
            .chain(Chosen::of("http", https))
            .collect();
        let settings = Settings {
            data: self.data.unwrap_or_else(|| PathBuf::from("data")),
            log: self.log.check(problems),
            durability,
            store,
            broker: broker::Settings::check(self.broker, self.listener, self.mqtt, problems),
            http: http::check(self.http, &shareable, problems),
            auth: self.auth.check(problems),
            // Twins are as safe as messages, unless their section says otherwise.
            twin: self.twin.check(durability, problems),
        };
        let there_are = settings.auth.authenticators();
        chosen
            .into_iter()
            .for_each(|chosen| chosen.check(&there_are, problems));
        settings
    }
}

impl Overrides {
    fn apply(&self, table: &mut Table, problems: &mut Vec<Problem>) {
        if let Some(data) = &self.data {
            table.insert("data".to_owned(), Value::String(data.display().to_string()));
        }
        for (name, address) in &self.listeners {
            set_address(table, "listener", name, address, problems);
        }
        for (name, address) in &self.http {
            set_address(table, "http", name, address, problems);
        }
        for assignment in &self.set {
            if let Err(problem) = set(table, assignment) {
                problems.push(problem);
            }
        }
    }
}

/// Gives the listener of this name another address; a plain one is added if there is none.
fn set_address(table: &mut Table, section: &str, name: &str, address: &str, problems: &mut Vec<Problem>) {
    let list = table.entry(section).or_insert_with(|| Value::Array(Vec::new()));
    let Value::Array(list) = list else { return };
    let named = list
        .iter_mut()
        .filter_map(Value::as_table_mut)
        .find(|listener| listener.get("name").and_then(Value::as_str) == Some(name));
    if let Some(listener) = named {
        listener.insert("bind".to_owned(), Value::String(address.to_owned()));
        return;
    }
    if WITH_TLS.contains(&name) {
        let allowed = format!(
            "a [[{section}]] named \"{name}\" with its tls.certificate and tls.key in the settings file"
        );
        problems.push(Problem::new(
            format!("--{name}"),
            format!("\"{address}\" and no such listener"),
            allowed,
        ));
        return;
    }
    let mut listener = Table::new();
    listener.insert("name".to_owned(), Value::String(name.to_owned()));
    listener.insert("bind".to_owned(), Value::String(address.to_owned()));
    if name == WEBSOCKET {
        listener.insert("websocket".to_owned(), Value::Table(Table::new()));
    }
    list.push(Value::Table(listener));
}

/// Sets one dotted key. The value is read as TOML; what is no TOML is taken as a string.
fn set(table: &mut Table, assignment: &str) -> Result<(), Problem> {
    let wrong = |found: String, allowed: &str| Problem::new(format!("--set {assignment}"), found, allowed);
    let Some((path, text)) = assignment.split_once('=') else {
        return Err(wrong("no =".to_owned(), "KEY=VALUE, for example broker.shards=1"));
    };
    let value = toml::from_str::<Table>(&format!("value = {text}"))
        .ok()
        .and_then(|mut parsed| parsed.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()));
    let before = table.clone();
    put(table, path, value).map_err(|key| wrong(format!("{key} is not a section"), "a key of a section"))?;
    if let Err(why) = Raw::deserialize(Value::Table(table.clone())) {
        *table = before;
        return Err(wrong(
            why.message().to_owned(),
            "a key and value as in `twinmq config --defaults`",
        ));
    }
    Ok(())
}

fn put(table: &mut Table, path: &str, value: Value) -> Result<(), String> {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
            Ok(())
        }
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            put(
                inner.as_table_mut().ok_or_else(|| section.to_owned())?,
                rest,
                value,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_defaults_are_the_codes_defaults() {
        let mut problems = Vec::new();
        let shipped = Raw::deserialize(Value::Table(file::read("default.toml", DEFAULTS, &mut problems)));
        let shipped = shipped.expect("the shape is right").check(&mut problems);
        let built_in = Raw::default().check(&mut problems);
        assert_eq!(problems, []);
        assert_eq!(format!("{shipped:?}"), format!("{built_in:?}"));
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let text = "[broker]\nshard = 1\n[mqtt]\nqos_max = \"two\"\n[twin]\npartitions = 0\n[store]\ndurability = \"hope\"\n";
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bad.toml");
        std::fs::write(&path, text).expect("written");
        let overrides = Overrides {
            set: vec!["broker.shards=many".into(), "nonsense".into()],
            ..Overrides::default()
        };
        let Err(Failure::Settings(problems)) = load(Some(&path), &overrides) else {
            panic!("it has mistakes")
        };
        let told = problems
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n");
        for part in [
            "bad.toml:2",
            "`shard`",
            "bad.toml:4",
            "twin.partitions",
            "store.durability",
            "broker.shards=many",
            "--set nonsense",
        ] {
            assert!(told.contains(part), "{part} is missing in:\n{told}");
        }
    }

    #[test]
    fn http_at_a_listener_has_its_judges_unless_it_names_its_own() {
        let text = "[[listener]]\nname = \"mqtts\"\nbind = \"127.0.0.1:0\"\nauthenticators = [\"certificate\"]\n\
             [listener.tls]\ncertificate = \"a\"\nkey = \"b\"\n\
             [auth]\nanonymous = \"loopback\"\n[[http]]\nname = \"https\"\nlistener = \"mqtts\"\n";
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("shared.toml");
        let judges = |more: &str| {
            std::fs::write(&path, format!("{text}{more}")).expect("written");
            let settings = load(Some(&path), &Overrides::default());
            let settings = settings.unwrap_or_else(|failure| panic!("{failure}"));
            let judges = settings.http.first().and_then(|http| http.authenticators.clone());
            judges.expect("some are named").join(" ")
        };
        assert_eq!(judges(""), "certificate");
        assert_eq!(judges("authenticators = [\"anonymous\"]\n"), "anonymous");
    }

    #[test]
    fn flags_override_the_file() {
        let overrides = Overrides {
            listeners: vec![("mqtt", "127.0.0.1:0".into()), ("ws", "127.0.0.1:0".into())],
            set: vec!["broker.shards=3".into(), "store.durability=os".into()],
            ..Overrides::default()
        };
        let settings = load(None, &overrides).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(settings.broker.broker.shards, 3);
        assert_eq!(settings.durability, store::Durability::Os);
        assert_eq!(settings.twin.durability, store::Durability::Os);
        let kinds = |listener: &broker::settings::Listener| listener.websocket.is_some();
        assert_eq!(
            settings.broker.listeners.iter().map(kinds).collect::<Vec<_>>(),
            [false, true]
        );
    }

    #[test]
    fn a_tls_listener_needs_its_certificate_in_the_file() {
        let overrides = Overrides {
            listeners: vec![("mqtts", "127.0.0.1:0".into()), ("wss", "127.0.0.1:0".into())],
            ..Overrides::default()
        };
        let Err(Failure::Settings(problems)) = load(None, &overrides) else {
            panic!("no certificate")
        };
        let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["--mqtts", "--wss"]);
    }
}
