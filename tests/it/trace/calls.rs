//! What strace wrote, as calls with a beginning and an end in one order.

use std::collections::HashMap;

/// One system call. `began` and `ended` are lines of the trace.
#[derive(Clone)]
pub(super) struct Call {
    name: String,
    /// What its file descriptor stands for.
    file: String,
    data: Vec<u8>,
    pub(super) began: usize,
    pub(super) ended: usize,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} to {} in lines {} to {}",
            self.name, self.file, self.began, self.ended
        )
    }
}

pub(super) struct Calls(Vec<Call>);

impl Calls {
    pub(super) fn read(trace: &str) -> Self {
        let mut calls = Vec::new();
        let mut unfinished: HashMap<&str, (usize, String)> = HashMap::new();
        for (number, line) in trace.lines().enumerate() {
            let Some((thread, rest)) = line.split_once(' ') else {
                continue;
            };
            let rest = rest.trim_start();
            if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
                unfinished.insert(thread, (number, begun.to_owned()));
            } else if rest.starts_with("<... ") {
                let (_, end) = rest.split_once("resumed>").unwrap();
                let Some((began, begun)) = unfinished.remove(thread) else {
                    continue;
                };
                calls.extend(Call::parse(&format!("{begun}{end}"), began, number));
            } else {
                calls.extend(Call::parse(rest, number, number));
            }
        }
        calls.sort_by_key(|call| call.began);
        Self(calls)
    }

    /// The write of these bytes to the write-ahead log.
    pub(super) fn log_write(&self, bytes: &[u8]) -> Option<&Call> {
        self.0
            .iter()
            .find(|call| call.is_log() && !call.is_sync() && call.holds(bytes))
    }

    /// The first sync of the same file that began after a write had ended.
    pub(super) fn sync_after(&self, write: &Call) -> Option<&Call> {
        let after = |call: &&Call| call.is_sync() && call.file == write.file && call.began > write.ended;
        self.0.iter().filter(after).min_by_key(|call| call.ended)
    }

    /// The first write of these bytes to a socket.
    pub(super) fn socket_write(&self, bytes: &[u8]) -> Option<&Call> {
        self.0
            .iter()
            .find(|call| call.file.starts_with("socket:") && call.holds(bytes))
    }
}

impl Call {
    /// `write(5<socket:[77]>, "\x41\x42", 2) = 2`
    fn parse(text: &str, began: usize, ended: usize) -> Option<Self> {
        let (name, rest) = text.split_once('(')?;
        let (_, rest) = rest.split_once('<')?;
        let (file, rest) = rest.split_once('>')?;
        let mut data = Vec::new();
        for quoted in rest.split('"').skip(1).step_by(2) {
            let byte = |hex: &str| u8::from_str_radix(hex.get(..2)?, 16).ok();
            data.extend(quoted.split("\\x").skip(1).filter_map(byte));
        }
        let file = decode(file);
        Some(Self {
            name: name.to_owned(),
            file,
            data,
            began,
            ended,
        })
    }

    fn is_log(&self) -> bool {
        self.file.ends_with(".log")
    }

    fn is_sync(&self) -> bool {
        self.name == "fsync" || self.name == "fdatasync"
    }

    fn holds(&self, bytes: &[u8]) -> bool {
        self.data.windows(bytes.len()).any(|window| window == bytes)
    }
}

/// strace writes paths in hexadecimal too.
fn decode(file: &str) -> String {
    if !file.contains("\\x") {
        return file.to_owned();
    }
    let byte = |hex: &str| u8::from_str_radix(hex.get(..2)?, 16).ok();
    String::from_utf8_lossy(&file.split("\\x").skip(1).filter_map(byte).collect::<Vec<_>>()).into_owned()
}
