//! The process under test: started with a configuration of its own, watched, and killed at the end.

use std::fmt;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::door::Door;
use crate::meter::{Counter, Meter};
use crate::process::Process;
use crate::tls::Certificate;

mod mosquitto;
mod ours;

/// Longest time that a broker may take to start.
const START_WITHIN: Duration = Duration::from_secs(30);

/// Longest time that a broker may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// What shall be measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// This project's broker.
    Ours(Shards),
    /// Debian's mosquitto, the yardstick.
    Mosquitto,
    /// The minimal probe: what parsing, looking up and gathering cost at least.
    Probe,
    /// The null relay: what the kernel alone costs.
    Relay,
    /// A broker that somebody else started.
    At(SocketAddr),
}

/// How many shards our broker has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shards {
    /// As the measurement says.
    AsMeasured,
    /// The broker's own default.
    Default,
    Exactly(u32),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("ours", "") => Ok(Self::Ours(Shards::AsMeasured)),
            ("ours", "default") => Ok(Self::Ours(Shards::Default)),
            ("ours", count) if count.parse::<u32>().is_ok_and(|count| count > 0) => {
                Ok(Self::Ours(Shards::Exactly(count.parse().unwrap_or(1))))
            }
            ("mosquitto", "") => Ok(Self::Mosquitto),
            ("probe", "") => Ok(Self::Probe),
            ("relay", "") => Ok(Self::Relay),
            _ => text.parse().map(Self::At).map_err(|_| {
                format!("`{text}` is none of ours, ours:N, ours:default, mosquitto, probe, relay, or an address like 127.0.0.1:1883")
            }),
        }
    }
}

impl Target {
    /// Whether it speaks MQTT as a whole, so that others can be measured by it.
    pub(crate) const fn is_broker(&self) -> bool {
        match self {
            Self::Ours(_) | Self::Mosquitto | Self::At(_) => true,
            Self::Probe | Self::Relay => false,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours(Shards::AsMeasured) => f.write_str("ours"),
            Self::Ours(Shards::Default) => f.write_str("ours:default"),
            Self::Ours(Shards::Exactly(count)) => write!(f, "ours:{count}"),
            Self::Mosquitto => f.write_str("mosquitto"),
            Self::Probe => f.write_str("probe"),
            Self::Relay => f.write_str("relay"),
            Self::At(address) => address.fmt(f),
        }
    }
}

/// Where the programs are.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Programs {
    /// Our broker [default: `twinmq` beside this program, else target/release/twinmq]
    #[arg(long, value_name = "PATH")]
    bin: Option<PathBuf>,
    /// Further settings of our broker, such as mqtt.inflight_max=32
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The yardstick
    #[arg(long, value_name = "PATH", default_value = "/usr/sbin/mosquitto")]
    mosquitto: PathBuf,
    /// Process whose CPU time is read when the target is an address
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
}

/// What a scenario wants of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// Keep sessions and messages on disk, and acknowledge after `fsync` where the broker can.
    pub(crate) durable: bool,
    /// For [`Shards::AsMeasured`].
    pub(crate) shards: u32,
    /// Speak TLS, with a certificate of its own.
    pub(crate) tls: bool,
    /// Further settings of our broker; those of the command line come after them.
    pub(crate) set: &'static [&'static str],
    /// What shall be counted.
    pub(crate) meter: Option<Meter>,
}

impl Programs {
    /// Whether it is known which process belongs to an address.
    pub(crate) const fn knows_process(&self) -> bool {
        self.pid.is_some()
    }
}

/// A running broker; dropping it kills the process that was started.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) door: Door,
    /// Where it serves HTTP, if it does.
    pub(crate) http: Option<SocketAddr>,
    /// `None` for a target whose process is not known.
    pub(crate) process: Option<Process>,
    /// What counts in it, if that was wished for.
    pub(crate) counter: Option<Counter>,
    started: Option<Started>,
}

#[derive(Debug)]
struct Started {
    command: Command,
    child: Child,
    folder: TempDir,
}

/// How to start a broker.
struct Launch {
    command: Command,
    address: SocketAddr,
    http: Option<SocketAddr>,
}

impl Broker {
    /// Starts the target and waits until it accepts connections.
    ///
    /// # Errors
    /// The program is missing, ends at once, or does not accept in time; its own words are quoted.
    pub(crate) fn start(target: &Target, programs: &Programs, wishes: Wishes) -> Result<Self> {
        let mut broker = Self::spawn(target, programs, wishes)?;
        let begun = Instant::now();
        while TcpStream::connect(broker.door.address).is_err() {
            broker
                .check_alive()
                .with_context(|| format!("{target} did not start"))?;
            if begun.elapsed() > START_WITHIN {
                bail!(
                    "{target} does not accept connections after {START_WITHIN:?}: {}",
                    broker.last_words()
                );
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(broker)
    }

    /// Starts the target and does not wait.
    pub(crate) fn spawn(target: &Target, programs: &Programs, wishes: Wishes) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("twinmq-bench-").tempdir()?;
        let certificate = wishes.tls.then(|| Certificate::make(folder.path())).transpose()?;
        let counter = |process: Option<Process>, folder: &TempDir| {
            let meter = wishes.meter.zip(process);
            meter.map(|(meter, process)| meter.counter(process, folder.path()))
        };
        let launch = match target {
            Target::Ours(shards) => ours::launch(programs, &folder, *shards, wishes, certificate.as_ref())?,
            Target::Mosquitto => {
                mosquitto::launch(&programs.mosquitto, &folder, wishes, certificate.as_ref())?
            }
            Target::Probe => own_launch("probe")?,
            Target::Relay => own_launch("relay")?,
            Target::At(address) => {
                let process = programs.pid.map(Process::new);
                let (address, tls) = (*address, None);
                return Ok(Self {
                    door: Door { address, tls },
                    http: None,
                    process,
                    counter: counter(process, &folder),
                    started: None,
                });
            }
        };
        let Launch {
            command,
            address,
            http,
        } = launch;
        let command = match wishes.meter {
            Some(meter) => meter.wrap(command, folder.path()),
            None => command,
        };
        let mut command = ended_with_us(command);
        let output = File::create(folder.path().join("output"))?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let child = run(&mut command)?;
        let process = Some(Process::new(child.id()));
        let tls = certificate.map(|certificate| certificate.clients);
        Ok(Self {
            door: Door { address, tls },
            http,
            process,
            counter: counter(process, &folder),
            started: Some(Started {
                command,
                child,
                folder,
            }),
        })
    }

    /// Asks the process to end, as an operator would, and waits until it has.
    ///
    /// # Errors
    /// It was not started here, or does not end in time.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let started = self.started.as_mut().context("it was not started here")?;
        let asked = Command::new("kill")
            .arg(started.child.id().to_string())
            .status()?;
        ensure!(asked.success(), "kill ended with {asked}");
        let begun = Instant::now();
        while started.child.try_wait()?.is_none() {
            ensure!(
                begun.elapsed() < STOP_WITHIN,
                "it did not end within {STOP_WITHIN:?}"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Starts the process once more, with the data it left, and does not wait.
    ///
    /// # Errors
    /// It was not started here, or cannot be.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        let started = self.started.as_mut().context("it was not started here")?;
        started.child = run(&mut started.command)?;
        self.process = Some(Process::new(started.child.id()));
        Ok(())
    }

    /// # Errors
    /// The process has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        let ended = match &mut self.started {
            Some(started) => started.child.try_wait()?,
            None => None,
        };
        match ended {
            Some(status) => bail!("it ended with {status}: {}", self.last_words()),
            None => Ok(()),
        }
    }

    /// Blames the process for the error if it has ended.
    pub(crate) fn explain<T>(&mut self, error: anyhow::Error) -> Result<T> {
        // A process that just broke its connections may need a moment to be gone.
        std::thread::sleep(Duration::from_millis(200));
        match self.check_alive() {
            Ok(()) => Err(error),
            Err(ended) => Err(error.context(ended)),
        }
    }

    /// The end of what it printed.
    pub(crate) fn last_words(&self) -> String {
        let path = self
            .started
            .as_ref()
            .map(|started| started.folder.path().join("output"));
        let output = path.and_then(|path| fs::read(path).ok()).unwrap_or_default();
        let tail = output.len().saturating_sub(2000);
        let text = String::from_utf8_lossy(output.get(tail..).unwrap_or_default())
            .trim()
            .to_owned();
        if text.is_empty() {
            "it printed nothing".to_owned()
        } else {
            text
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(started) = &mut self.started {
            // Both fail only when the process has ended by itself, which is as good.
            let _ = started.child.kill();
            let _ = started.child.wait();
        }
    }
}

fn run(command: &mut Command) -> Result<Child> {
    command
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().display()))
}

/// Has the kernel end the process when this one ends, however it does; util-linux brings the program for it.
pub(crate) fn ended_with_us(command: Command) -> Command {
    let setpriv = Path::new("/usr/bin/setpriv");
    if !setpriv.exists() {
        return command;
    }
    let mut bound = Command::new(setpriv);
    bound
        .args(["--pdeathsig", "KILL", "--"])
        .arg(command.get_program())
        .args(command.get_args());
    bound
}

/// A mode of this tool.
fn own_launch(mode: &str) -> Result<Launch> {
    let address = free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(mode).arg(address.to_string());
    Ok(Launch {
        command,
        address,
        http: None,
    })
}

/// A loopback address with a port that is free now.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_as_they_are_shown() {
        for text in [
            "ours",
            "ours:2",
            "ours:default",
            "mosquitto",
            "probe",
            "relay",
            "127.0.0.1:1883",
        ] {
            assert_eq!(
                text.parse::<Target>().map(|target| target.to_string()).as_deref(),
                Ok(text)
            );
        }
        for text in ["our", "ours:0", "ours:x", "mosquitto:2", "localhost", ""] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
