//! `twinmq demo`: the house with a fleet of simulated devices in it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use plugin_api::Problem;
use tokio::time::{Instant, interval_at, sleep};

use super::{
    say,
    serve::{self, StopSignals},
};
use crate::{
    Failure,
    app::App,
    demo::{Census, Fleet},
    settings::{self, Overrides, Settings},
};

/// How often it is told how the fleet is.
const STATUS_EVERY: Duration = Duration::from_secs(5);
/// As in `config/dev.toml`; and a log that leaves the screen to the fleet.
const SETTINGS: [&str; 4] = [
    "store.durability=os",
    "auth.anonymous=loopback",
    "auth.authorize=allow_all_on_loopback",
    "log.level=warn",
];

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// How many devices.
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=1000))]
    devices: u16,
    /// Where MQTT is served, on this machine; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:1883")]
    mqtt: SocketAddr,
    /// Where HTTP is served, on this machine; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// The folder everything is kept in. Without it, a temporary one that is removed at the end.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// When to end; 0 waits for Ctrl-C or SIGTERM.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seconds: u64,
    /// The same seed makes the same devices with the same whims.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

pub(super) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let temporary = match &args.data {
        Some(_) => None,
        None => {
            let made = tempfile::Builder::new().prefix("twinmq-demo-").tempdir();
            Some(made.context("cannot make a temporary folder; give one with --data")?)
        }
    };
    let data = temporary.as_ref().map(tempfile::TempDir::path);
    let settings = args.settings(data.or(args.data.as_deref()))?;
    serve::start_logging(&settings.log);
    serve::runtime()?.block_on(args.play(settings))
}

impl DemoArgs {
    fn settings(&self, data: Option<&Path>) -> Result<Settings, Failure> {
        let everywhere = [("--mqtt", self.mqtt), ("--http", self.http)]
            .into_iter()
            .filter(|(_, address)| !address.ip().is_loopback())
            .map(|(flag, address)| {
                let allowed =
                    "an address of this machine only, such as 127.0.0.1:0: the demo lets everybody in";
                Problem::new(flag, address.to_string(), allowed)
            });
        let problems: Vec<Problem> = everywhere.collect();
        if !problems.is_empty() {
            return Err(Failure::Settings(problems));
        }
        let overrides = Overrides {
            data: data.map(Path::to_owned),
            listeners: vec![("mqtt", self.mqtt.to_string())],
            http: vec![("http", self.http.to_string())],
            set: SETTINGS.map(str::to_owned).to_vec(),
        };
        settings::load(None, &overrides)
    }

    /// Starts the house, plays until the end, and stops in order whatever happened.
    async fn play(&self, settings: Settings) -> Result<(), Failure> {
        let mut stop = StopSignals::listen()?;
        serve::raise_open_files_limit();
        let app = App::start(settings).await?;
        let address = |name: &str| {
            let found = app.addresses().iter().find(|(listener, _)| listener == name);
            found
                .and_then(|(_, address)| address.ip())
                .context("a listener of the demo has no address")
        };
        let (mqtt, http) = (address("mqtt")?, address("http")?);
        let fleet = Fleet::start(self.devices, self.seed, mqtt, http);
        let ready = app.ready_line();
        let told = tokio::select! {
            told = self.tell(&ready, mqtt, http) => told,
            () = stop.come() => Ok(()),
            () = sleep(Duration::from_secs(self.seconds)), if self.seconds > 0 => Ok(()),
        };
        fleet.stop().await;
        app.stop().await?;
        told
    }

    /// Says where everything is and what to try, and then again and again how the fleet is.
    async fn tell(&self, ready: &str, mqtt: SocketAddr, http: SocketAddr) -> Result<(), Failure> {
        say(ready)?;
        say(&format!(
            "{} simulated devices come in (seed {}).",
            self.devices, self.seed
        ))?;
        say(&things_to_try(mqtt, http))?;
        let began = Instant::now();
        let mut look = interval_at(began + STATUS_EVERY, STATUS_EVERY);
        loop {
            let seconds = look.tick().await.duration_since(began).as_secs();
            match Census::take(http).await {
                Ok(census) => say(&format!("{seconds:>5} s  {census}"))?,
                Err(error) => tracing::warn!(%error, "the fleet cannot be counted"),
            }
        }
    }
}

fn things_to_try(mqtt: SocketAddr, http: SocketAddr) -> String {
    let (ip, port) = (mqtt.ip(), mqtt.port());
    format!(
        "In another terminal, try:
  curl -sS http://{http}/v1/devices                    # who is there
  curl -sS http://{http}/v1/devices/thermostat-1/twin  # one twin
  curl -sSN http://{http}/v1/changes                   # every change, as it happens
  curl -sS http://{http}/metrics | grep ^twin          # what is counted
  mosquitto_sub -h {ip} -p {port} -v -t '$twin/+/update/delta'    # what devices are told
Be the app: set what a thermostat should be, and read its twin again. 29 it refuses, and says why.
  curl -sS -X PATCH http://{http}/v1/devices/thermostat-1/twin/desired \\
    -H 'content-type: application/merge-patch+json' -d '{{\"target\": 25}}'
Ctrl-C ends the demo."
    )
}
