//! Rules in a file: who may use which topics, twins and controls.

mod parse;
mod pattern;
mod rules;

use std::{future::ready, path::Path, sync::Arc};

use plugin_api::{Access, Authorize, Decision, GateError, Pending, Principal, Problem, QoS};

use self::rules::Rules;
use crate::watched_file::{Reading, Refresh, WatchedFile};

const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Decides by the rules of an ACL file, which is mosquitto's with some lines more:
///
/// ```text
/// topic [read|write|readwrite|deny] FILTER     before the first `user` line: for anonymous clients
/// fleet read                                   list devices and follow all changes over HTTP
/// operate                                      metrics and administration over HTTP
/// twin [read|write|readwrite|deny] DEVICE      twins over HTTP; DEVICE is a name, or + for all
///
/// user NAME                                    the lines that follow are for this user
/// topic ...
///
/// pattern [read|write|readwrite|deny] FILTER   for everybody, wherever it stands; whole levels may be
///                                              %u (name), %c (client id), %d (device)
/// pattern twin [read|write|readwrite|deny] DEVICE
/// ```
///
/// * `deny` wins over everything else, in whatever order the lines stand.
/// * A subscription is allowed if one rule that allows reading contains its whole filter; a `deny` that overlaps it
///   refuses it. (mosquitto filters on delivery instead.)
/// * A rule is for topics that begin with `$` only if its filter does: `#` does not contain `$twin/#`.
/// * A name that holds `+`, `#`, `/` or begins with `$` never stands for a level: a `pattern` that allows does not
///   apply to it, and one that denies denies to it what any name would be denied.
///
/// Silent when no rule speaks. Never waits.
#[derive(Debug)]
pub struct AclFile {
    rules: Arc<WatchedFile<Rules>>,
}

impl AclFile {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read or has mistakes: all of them, with file and line.
    pub fn open(path: &Path) -> Result<Self, Vec<Problem>> {
        let reading = Reading {
            key: "auth.acl_file",
            bytes_max: FILE_BYTES_MAX,
            advice: "a file of rules that can be read",
            parse: parse::rules,
        };
        Ok(Self {
            rules: Arc::new(WatchedFile::open(path, reading)?),
        })
    }

    pub(crate) fn watched(&self) -> Arc<dyn Refresh> {
        Arc::clone(&self.rules) as Arc<dyn Refresh>
    }
}

impl Authorize for AclFile {
    fn authorize(
        &self,
        principal: &Arc<Principal>,
        access: &Access,
    ) -> Pending<'static, Result<Decision, GateError>> {
        Box::pin(ready(Ok(self.rules.current().decide(principal, access))))
    }

    fn publish_at_once(&self, principal: &Principal, topic: &str, _: QoS, _: bool) -> Option<Decision> {
        Some(self.rules.current().decide_publish(principal, topic))
    }
}
