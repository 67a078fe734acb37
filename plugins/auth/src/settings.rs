//! The `[auth]` section: what an operator types, and what the gates are built from.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use plugin_api::Problem;
use serde::{Deserialize, Serialize};

use crate::CertificateName;

/// `[auth]` as it is typed. The default is: nobody comes in.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawAuth {
    /// Users and their password hashes, one `name:hash` a line. Without it there are no passwords.
    pub password_file: Option<PathBuf>,
    /// Who may do what. Without it nobody has rights that a file would give.
    pub acl_file: Option<PathBuf>,
    /// Which name of a client certificate counts: `common_name`, `uri`, `dns`, or `none`.
    pub certificate_name: String,
    /// Which name is the device's: `auto`, `client_id`, `username`, `certificate`, or `none`.
    pub device_from: String,
    /// Where clients come in without credentials: `never`, `loopback`, or `allow_anonymous_on_public_address`.
    pub anonymous: String,
    /// Who decides what a client may do: `acl_file`, or `allow_all_on_loopback`.
    pub authorize: String,
    /// How long one gate may take for an answer, as in `5s` or `500ms`.
    pub gate_deadline: String,
    /// How many passwords are hashed at once. By default half of the cores.
    pub hashing_at_once: Option<i64>,
    /// How many logins may wait for their password to be hashed; further ones are refused.
    pub hashing_waiting_max: i64,
    /// How many successful logins are remembered, so that a reconnect needs no hashing.
    pub remembered_logins_max: i64,
}

impl Default for RawAuth {
    fn default() -> Self {
        Self {
            password_file: None,
            acl_file: None,
            certificate_name: "common_name".into(),
            device_from: "auto".into(),
            anonymous: "never".into(),
            authorize: "acl_file".into(),
            gate_deadline: "5s".into(),
            hashing_at_once: None,
            hashing_waiting_max: 128,
            remembered_logins_max: 10_000,
        }
    }
}

/// `[auth]` as the gates use it.
#[derive(Debug, Clone)]
pub struct Auth {
    /// Where users and their password hashes stand.
    pub password_file: Option<PathBuf>,
    /// Where the rules stand.
    pub acl_file: Option<PathBuf>,
    /// Which name of a client certificate counts; `None` if certificates say nothing.
    pub certificate_name: Option<CertificateName>,
    /// Which name is the device's.
    pub device_from: DeviceFrom,
    /// Where clients come in without credentials.
    pub anonymous: Anonymous,
    /// Who decides what a client may do.
    pub authorize: Authorization,
    /// How long one gate may take for an answer.
    pub gate_deadline: Duration,
    /// How much hashing goes on at once.
    pub hashing: HashingLimits,
    /// How many successful logins are remembered; 0 for none.
    pub remembered_logins_max: usize,
}

/// Which name is the device's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceFrom {
    /// The certificate's name if that is how it came in, else the user name, else (anonymous) the client id.
    #[default]
    Auto,
    /// The client id. Whoever may come in can choose it: only for clients that all trust each other.
    ClientId,
    /// The user name of a password login.
    Username,
    /// The name in the client certificate.
    Certificate,
    /// No client is a device.
    Nothing,
}

/// Where clients come in without credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Anonymous {
    /// Nowhere.
    #[default]
    Never,
    /// From this machine, through a listener on a loopback address.
    Loopback,
    /// From anywhere over MQTT; over HTTP from this machine only.
    PublicAddress,
}

impl Anonymous {
    /// The word in the settings.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Loopback => "loopback",
            Self::PublicAddress => "allow_anonymous_on_public_address",
        }
    }
}

/// Who decides what a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Authorization {
    /// The ACL file.
    #[default]
    AclFile,
    /// The ACL file; what it says nothing about is allowed from this machine.
    AllowAllOnLoopback,
}

/// How much hashing goes on at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashingLimits {
    /// How many passwords are hashed at the same time.
    pub at_once: NonZeroUsize,
    /// How many more logins may wait for it.
    pub waiting_max: usize,
}

impl RawAuth {
    /// Turns what was typed into what the gates use. What cannot be used is added to `problems` and replaced by its
    /// default; the result is of use only if nothing was added.
    #[must_use]
    pub fn check(self, problems: &mut Vec<Problem>) -> Auth {
        let mut form = Form { problems };
        if self.device_from == "certificate" && self.certificate_name == "none" {
            form.problem(
                "auth.device_from",
                "\"certificate\" beside auth.certificate_name = \"none\"",
                "a name that is read",
            );
        }
        Auth {
            password_file: form.path("auth.password_file", self.password_file),
            acl_file: form.path("auth.acl_file", self.acl_file),
            certificate_name: form.choice(
                "auth.certificate_name",
                &self.certificate_name,
                &CERTIFICATE_NAMES,
            ),
            device_from: form.choice("auth.device_from", &self.device_from, &DEVICES_FROM),
            anonymous: form.choice("auth.anonymous", &self.anonymous, &ANONYMOUS_FROM),
            authorize: form.choice("auth.authorize", &self.authorize, &AUTHORIZATIONS),
            gate_deadline: form.deadline("auth.gate_deadline", &self.gate_deadline),
            hashing: HashingLimits {
                at_once: form.hashing_at_once("auth.hashing_at_once", self.hashing_at_once),
                waiting_max: form.number(
                    "auth.hashing_waiting_max",
                    self.hashing_waiting_max,
                    HASHING_WAITING_MAX,
                ),
            },
            remembered_logins_max: form.number(
                "auth.remembered_logins_max",
                self.remembered_logins_max,
                REMEMBERED_LOGINS_MAX,
            ),
        }
    }
}

const CERTIFICATE_NAMES: [(&str, Option<CertificateName>); 4] = [
    ("common_name", Some(CertificateName::CommonName)),
    ("uri", Some(CertificateName::Uri)),
    ("dns", Some(CertificateName::Dns)),
    ("none", None),
];

const DEVICES_FROM: [(&str, DeviceFrom); 5] = [
    ("auto", DeviceFrom::Auto),
    ("client_id", DeviceFrom::ClientId),
    ("username", DeviceFrom::Username),
    ("certificate", DeviceFrom::Certificate),
    ("none", DeviceFrom::Nothing),
];

const ANONYMOUS_FROM: [(&str, Anonymous); 3] = [
    (Anonymous::Never.word(), Anonymous::Never),
    (Anonymous::Loopback.word(), Anonymous::Loopback),
    (Anonymous::PublicAddress.word(), Anonymous::PublicAddress),
];

const AUTHORIZATIONS: [(&str, Authorization); 2] = [
    ("acl_file", Authorization::AclFile),
    ("allow_all_on_loopback", Authorization::AllowAllOnLoopback),
];

/// The section being checked: each question takes what was typed and notes what is wrong with it.
struct Form<'a> {
    problems: &'a mut Vec<Problem>,
}

impl Form<'_> {
    fn choice<T: Copy + Default>(&mut self, key: &str, found: &str, choices: &[(&str, T)]) -> T {
        if let Some((_, chosen)) = choices.iter().find(|(word, _)| *word == found) {
            return *chosen;
        }
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
        self.problem(key, format!("{found:?}"), words.join(", "));
        T::default()
    }

    fn path(&mut self, key: &str, found: Option<PathBuf>) -> Option<PathBuf> {
        let path = found?;
        if path == Path::new("") {
            self.problem(key, "\"\"", "the path of a file, or no such key");
            return None;
        }
        Some(path)
    }

    fn number(&mut self, key: &str, found: i64, max: usize) -> usize {
        match usize::try_from(found) {
            Ok(number) if number <= max => number,
            _ => {
                self.problem(key, found.to_string(), format!("0 to {max}"));
                0
            }
        }
    }

    fn hashing_at_once(&mut self, key: &str, found: Option<i64>) -> NonZeroUsize {
        let Some(found) = found else {
            let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
            return NonZeroUsize::new(cores / 2).unwrap_or(NonZeroUsize::MIN);
        };
        match usize::try_from(found).map(NonZeroUsize::new) {
            Ok(Some(number)) if number.get() <= HASHING_AT_ONCE_MAX => number,
            _ => {
                self.problem(key, found.to_string(), format!("1 to {HASHING_AT_ONCE_MAX}"));
                NonZeroUsize::MIN
            }
        }
    }

    fn deadline(&mut self, key: &str, found: &str) -> Duration {
        match duration(found) {
            Some(deadline) if (DEADLINE_MIN..=DEADLINE_MAX).contains(&deadline) => deadline,
            _ => {
                self.problem(
                    key,
                    format!("{found:?}"),
                    "a time with its unit from \"10ms\" to \"60s\"",
                );
                DEADLINE_MAX
            }
        }
    }

    fn problem(&mut self, key: &str, found: impl Into<String>, allowed: impl Into<String>) {
        self.problems.push(Problem::new(key, found, allowed));
    }
}

const HASHING_AT_ONCE_MAX: usize = 256;
const HASHING_WAITING_MAX: usize = 100_000;
const REMEMBERED_LOGINS_MAX: usize = 10_000_000;
const DEADLINE_MIN: Duration = Duration::from_millis(10);
const DEADLINE_MAX: Duration = Duration::from_secs(60);

fn duration(text: &str) -> Option<Duration> {
    let (digits, millis_each) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => (text.strip_suffix('s')?, 1000),
    };
    let number: u64 = digits.trim_end().parse().ok()?;
    number.checked_mul(millis_each).map(Duration::from_millis)
}
