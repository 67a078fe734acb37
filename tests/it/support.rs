//! The binary as a child process, and two small blunt clients: MQTT and HTTP.

mod http;
mod mqtt;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

pub(crate) use http::Http;
pub(crate) use mqtt::{Heard, Message, Mqtt};

/// What a test waits at most for something that happens within milliseconds on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Settings that let everybody on this machine do everything.
pub(crate) const OPEN: &str =
    "[auth]\nanonymous = \"loopback\"\nauthorize = \"allow_all_on_loopback\"\n[log]\nlevel = \"warn\"\n";

/// A folder with settings in which brokers are started one after another.
pub(crate) struct House {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) flags: Vec<String>,
}

impl House {
    pub(crate) fn new(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("twinmq.toml"), settings).unwrap();
        Self {
            folder,
            flags: Vec::new(),
        }
    }

    /// A house everybody on this machine may use.
    pub(crate) fn open() -> Self {
        Self::new(OPEN)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The command that would serve, without its listeners.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twinmq"));
        command
            .arg("serve")
            .arg("--config")
            .arg(self.folder.path().join("twinmq.toml"));
        command
            .arg("--data")
            .arg(self.data())
            .args(&self.flags)
            .current_dir(self.folder.path());
        command
    }

    /// Starts a broker on these ports (0: any free one) and waits until it is ready.
    pub(crate) fn serve_on(&self, mqtt: u16, http: u16) -> Running {
        self.try_serve_on(mqtt, http)
            .unwrap_or_else(|log| panic!("the broker did not get ready:\n{log}"))
    }

    pub(crate) fn serve(&self) -> Running {
        self.serve_on(0, 0)
    }

    pub(crate) fn spawn_on(&self, mqtt: u16, http: u16) -> Child {
        let (mqtt, http) = (format!("127.0.0.1:{mqtt}"), format!("127.0.0.1:{http}"));
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        self.command()
            .args(["--mqtt", &mqtt, "--http", &http])
            .stdout(Stdio::piped())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn try_serve_on(&self, mqtt: u16, http: u16) -> Result<Running, String> {
        let child = self.spawn_on(mqtt, http);
        Running::when_ready(child).ok_or_else(|| self.log())
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// A running broker. Ended by its own process id when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) line: String,
}

impl Running {
    /// Waits for the start line; `None` if the process ends without one.
    pub(crate) fn when_ready(mut child: Child) -> Option<Self> {
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        if line.starts_with("twinmq ready") {
            return Some(Self { child, line });
        }
        let _ended = child.wait();
        None
    }

    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        let prefix = format!("{listener}=");
        let word = self
            .line
            .split_whitespace()
            .find_map(|word| word.strip_prefix(&prefix));
        word.unwrap_or_else(|| panic!("no {listener} in {}", self.line))
            .parse()
            .unwrap()
    }

    pub(crate) fn mqtt(&self) -> SocketAddr {
        self.address("mqtt")
    }

    pub(crate) fn http(&self) -> Http {
        Http::to(self.address("http"))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and its exit status.
    pub(crate) fn stop(mut self) -> ExitStatus {
        let told = Command::new("kill")
            .arg(self.child.id().to_string())
            .status()
            .unwrap();
        assert!(told.success());
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the broker does not end after SIGTERM");
            std::thread::yield_now();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Runs the binary to its end: exit code, standard output, standard error. One that goes on is killed: the code is -1.
pub(crate) fn run(mut command: Command) -> (i32, String, String) {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let stdout = std::thread::spawn(move || read_all(stdout));
    let stderr = std::thread::spawn(move || read_all(stderr));
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > deadline => child.kill().unwrap(),
            None => std::thread::yield_now(),
        }
    };
    (
        status.code().unwrap_or(-1),
        stdout.join().unwrap(),
        stderr.join().unwrap(),
    )
}

/// The binary with these arguments.
pub(crate) fn twinmq<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_twinmq"));
    command.args(arguments);
    command
}

/// Every file below a folder.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Dice for tests: the same seed, the same fall.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// The seed of this run: from the environment, or new. Printed, so that a failure can be repeated.
pub(crate) fn seed(variable: &str) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    let seed = match std::env::var(variable) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => RandomState::new().hash_one(variable),
    };
    say(&format!("{variable}={seed}"));
    seed
}

/// Prints a line that is shown also when the test passes.
pub(crate) fn say(line: &str) {
    std::io::stderr()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

/// Reads a stream to its end as text.
pub(crate) fn read_all(mut stream: impl Read) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it is not so yet: {what}");
        std::thread::yield_now();
    }
}
