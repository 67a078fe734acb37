//! The command line: what each command is called, takes and does.

mod certs;
mod demo;
mod passwd;
mod serve;

use std::{io::Write, path::PathBuf};

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use crate::{
    Failure,
    settings::{self, Overrides},
};

/// The MQTT broker that knows its devices.
///
/// Exit codes: 0 success, 1 failure while running, 2 mistakes in the settings or the command line, 3 the data folder cannot
/// be used (locked, of a newer format, no data folder), 4 an address, certificate or other file cannot be used.
#[derive(Debug, Parser)]
#[command(name = "twinmq", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the broker until SIGTERM or Ctrl-C, then stop in order.
    ///
    /// When everybody is served, one line on standard output says where:
    /// `twinmq ready mqtt=127.0.0.1:1883 http=127.0.0.1:8080 data=data`. Logs go to standard error.
    Serve(ServeArgs),
    /// Read settings as `serve` would and tell every mistake, without starting anything.
    CheckConfig(ServeArgs),
    /// Show settings.
    Config(ConfigArgs),
    /// Set or remove a user's password in a password file (read from standard input, never from the command line).
    Passwd(passwd::PasswdArgs),
    /// Make a development authority and certificates for the server and for devices.
    Certs(certs::CertsArgs),
    /// Run the broker with a fleet of simulated devices in it, to look at.
    ///
    /// Everybody on this machine may do everything. It prints what to try, and every few seconds how the fleet is.
    Demo(demo::DemoArgs),
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// The settings file; without one the built-in defaults hold, which listen nowhere.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder everything is kept in.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address of the MQTT listener named "mqtt", for example 127.0.0.1:1883; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    mqtt: Option<String>,
    /// Address of the MQTT listener named "mqtts", whose certificates stand in the settings file.
    #[arg(long, value_name = "ADDR")]
    mqtts: Option<String>,
    /// Address of the MQTT listener named "ws", which speaks WebSocket.
    #[arg(long, value_name = "ADDR")]
    ws: Option<String>,
    /// Address of the MQTT listener named "wss", whose certificates stand in the settings file.
    #[arg(long, value_name = "ADDR")]
    wss: Option<String>,
    /// Address of the HTTP listener named "http".
    #[arg(long, value_name = "ADDR")]
    http: Option<String>,
    /// Address of the HTTP listener named "https", whose certificates stand in the settings file.
    #[arg(long, value_name = "ADDR")]
    https: Option<String>,
    /// Set one key over the file, for example broker.shards=1; may be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// Print every key with its default and meaning.
    #[arg(long, required = true)]
    defaults: bool,
}

impl ServeArgs {
    fn load(self) -> Result<settings::Settings, Failure> {
        let named = |pairs: Vec<(&'static str, Option<String>)>| {
            pairs
                .into_iter()
                .filter_map(|(name, address)| Some((name, address?)))
                .collect()
        };
        let listeners = vec![
            ("mqtt", self.mqtt),
            ("mqtts", self.mqtts),
            ("ws", self.ws),
            ("wss", self.wss),
        ];
        let overrides = Overrides {
            data: self.data,
            listeners: named(listeners),
            http: named(vec![("http", self.http), ("https", self.https)]),
            set: self.set,
        };
        settings::load(self.config.as_deref(), &overrides)
    }
}

/// Runs a command to its end.
///
/// # Errors
/// What kept it from doing what it was asked for.
pub fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Serve(args) => {
            // Before the settings are checked, since how many connections there may be follows from it.
            serve::raise_open_files_limit();
            serve::run(args.load()?)
        }
        Command::CheckConfig(args) => {
            args.load()?;
            say("the settings are fine")
        }
        Command::Config(ConfigArgs { defaults: _ }) => say(settings::DEFAULTS.trim_end()),
        Command::Passwd(args) => passwd::run(&args),
        Command::Certs(args) => certs::run(&args),
        Command::Demo(args) => demo::run(&args),
    }
}

/// Prints a line on standard output.
fn say(line: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
        .map_err(Failure::from)
}
