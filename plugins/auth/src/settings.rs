//! The `[auth]` section: what an operator types, and what the gates are built from.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use plugin_api::{Check, Problem};
use serde::Deserialize;

use crate::{
    CertificateName, FailureLimits, anonymous::AnonymousGate, certificate::CertificateGate,
    password_file::PasswordFile,
};

/// `[auth]` as it is typed. What is left out has a default; with all of it left out, nobody comes in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawAuth {
    /// Users and their password hashes, one `name:hash` a line, and SCRAM verifiers. Without it there are no passwords.
    pub password_file: Option<PathBuf>,
    /// Who may do what. Without it nobody has rights that a file would give.
    pub acl_file: Option<PathBuf>,
    /// Which name of a client certificate counts: `common_name`, `uri`, `dns`, or `none`.
    pub certificate_name: Option<String>,
    /// Which name is the device's: `auto`, `client_id`, `username`, `certificate`, or `none`.
    pub device_from: Option<String>,
    /// Where clients come in without credentials: `never`, `loopback`, or `allow_anonymous_on_public_address`.
    pub anonymous: Option<String>,
    /// Who decides what a client may do: `acl_file`, or `allow_all_on_loopback`.
    pub authorize: Option<String>,
    /// How long one gate may take for an answer, as in `5s` or `500ms`.
    pub gate_deadline: Option<String>,
    /// How many passwords are hashed at once. By default half of the cores.
    pub hashing_at_once: Option<i64>,
    /// How many logins may wait for their password to be hashed; further ones are refused.
    pub hashing_waiting_max: Option<i64>,
    /// How many successful logins are remembered, so that a reconnect needs no hashing.
    pub remembered_logins_max: Option<i64>,
    /// After how many failed logins by password a name is not listened to any more from where they came.
    pub login_failures_max: Option<i64>,
    /// For how long after the last of them, or `never`.
    pub login_ban: Option<String>,
}

/// `[auth]` as the gates use it.
#[derive(Debug, Clone)]
pub struct Auth {
    /// Where users, their password hashes and their SCRAM verifiers stand.
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
    /// When guessing passwords ends, if it does.
    pub failures: Option<FailureLimits>,
}

/// Which name is the device's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceFrom {
    /// The certificate's name if that is how it came in, else the user name, else (anonymous) the client id.
    #[default]
    Auto,
    /// The client id. Whoever may come in can choose it: only for clients that all trust each other.
    ClientId,
    /// The user name of a login by password or by SCRAM.
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

impl Auth {
    /// The names of the authenticators that can let somebody in, in the order in which they are asked: as the log has them,
    /// and as a listener names those that judge its logins.
    #[must_use]
    pub fn authenticators(&self) -> Vec<&'static str> {
        let all = [
            (PasswordFile::NAME, self.password_file.is_some()),
            (CertificateGate::NAME, self.certificate_name.is_some()),
            (AnonymousGate::NAME, self.anonymous != Anonymous::Never),
        ];
        all.into_iter()
            .filter(|(_, is_set)| *is_set)
            .map(|(name, _)| name)
            .collect()
    }
}

impl RawAuth {
    /// Turns what was typed into what the gates use. What cannot be used is added to `problems` and replaced by its
    /// default; the result is of use only if nothing was added.
    #[must_use]
    pub fn check(self, problems: &mut Vec<Problem>) -> Auth {
        let mut check = Check::of("auth", problems);
        let password_file = file(&mut check, "password_file", self.password_file);
        let acl_file = file(&mut check, "acl_file", self.acl_file);
        let certificate_name = check.choice(
            "certificate_name",
            self.certificate_name,
            Some(CertificateName::CommonName),
            &CERTIFICATE_NAMES,
        );
        let device_from = check.choice(
            "device_from",
            self.device_from,
            DeviceFrom::default(),
            &DEVICES_FROM,
        );
        if device_from == DeviceFrom::Certificate && certificate_name.is_none() {
            check.problem(
                "device_from",
                "\"certificate\" beside auth.certificate_name = \"none\"",
                "a name that is read",
            );
        }
        Auth {
            password_file,
            acl_file,
            certificate_name,
            device_from,
            anonymous: check.choice("anonymous", self.anonymous, Anonymous::default(), &ANONYMOUS_FROM),
            authorize: check.choice(
                "authorize",
                self.authorize,
                Authorization::default(),
                &AUTHORIZATIONS,
            ),
            gate_deadline: check.duration(
                "gate_deadline",
                self.gate_deadline,
                Duration::from_secs(5),
                Duration::from_millis(10)..=Duration::from_secs(60),
            ),
            hashing: HashingLimits {
                at_once: hashing_at_once(&mut check, self.hashing_at_once),
                waiting_max: check.number("hashing_waiting_max", self.hashing_waiting_max, 128, 0..=100_000),
            },
            remembered_logins_max: check.number(
                "remembered_logins_max",
                self.remembered_logins_max,
                10_000,
                0..=10_000_000,
            ),
            failures: failures(&mut check, self.login_failures_max, self.login_ban),
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

fn failures(check: &mut Check<'_>, failures_max: Option<i64>, ban: Option<String>) -> Option<FailureLimits> {
    let failures_max = check.number("login_failures_max", failures_max, 10, 1..=1_000_000);
    let minute = Duration::from_secs(60);
    let ban = check.interval(
        "login_ban",
        ban,
        5 * minute,
        Duration::from_secs(1)..=7 * 24 * 60 * minute,
    );
    ban.map(|ban| FailureLimits { failures_max, ban })
}

fn file(check: &mut Check<'_>, key: &str, typed: Option<PathBuf>) -> Option<PathBuf> {
    if typed.as_deref() == Some(Path::new("")) {
        check.problem(key, "\"\"", "the path of a file, or no such key");
    }
    typed
}

fn hashing_at_once(check: &mut Check<'_>, typed: Option<i64>) -> NonZeroUsize {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let at_once = check.number("hashing_at_once", typed, cores / 2, 1..=256);
    NonZeroUsize::new(at_once).unwrap_or(NonZeroUsize::MIN)
}
