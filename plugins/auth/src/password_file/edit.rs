//! Changing a password file: as a whole or not at all, whenever the power fails.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
};

use plugin_api::Secret;

use super::{
    FILE_BYTES_MAX,
    users::{Users, fault_of_name, name_on},
};
use crate::{
    AuthError,
    hashing::StoredHash,
    scram::{Mechanism, Verifier},
    watched_file,
};

/// The longest password MQTT can carry, in bytes.
const PASSWORD_BYTES_MAX: usize = 65_535;

/// Gives a user a password, in a file that is made if there is none. Comments and other users stay as they are.
/// A user that can log in by SCRAM can do so with the new password. Says whether the user is new. Blocks on the disk
/// and hashes: tens of milliseconds.
///
/// # Errors
/// When the name or the password cannot be used, or the file cannot be read, has mistakes, or cannot be written.
pub fn set_user(path: &Path, name: &str, password: &Secret) -> Result<bool, AuthError> {
    set(path, name, password, false)
}

/// The same for a user that can log in by SCRAM from now on, whether it could before or not.
///
/// # Errors
/// As [`set_user`]; and when the password is not of printable ASCII characters only.
pub fn set_scram_user(path: &Path, name: &str, password: &Secret) -> Result<bool, AuthError> {
    set(path, name, password, true)
}

fn set(path: &Path, name: &str, password: &Secret, scram: bool) -> Result<bool, AuthError> {
    if let Some(fault) = fault_of_name(name) {
        return Err(AuthError::Name {
            name: name.to_owned(),
            fault,
        });
    }
    check_password(password)?;
    edit(path, |text| {
        let is_its = |line: &&str| name_on(line) == Some(name);
        let scram = scram || text.lines().filter(is_its).any(is_verifier);
        let mut its = format!("{name}:{}\n", StoredHash::of(password)?.as_str());
        if scram {
            its += &verifier_lines(name, password)?;
        }
        let place = text.lines().position(|line| is_its(&line));
        let mut lines: Vec<&str> = text.lines().filter(|line| !is_its(line)).collect();
        // All before its first line are others' lines.
        lines.insert(place.unwrap_or(lines.len()), its.trim_end());
        Ok((joined(&lines), place.is_none()))
    })
}

fn is_verifier(line: &str) -> bool {
    line.split_once(':')
        .is_some_and(|(_, stored)| Verifier::parse(stored.trim()).is_some())
}

fn verifier_lines(name: &str, password: &Secret) -> Result<String, AuthError> {
    // SASLprep leaves these as they are, so that clients with it and without it agree.
    if !password.expose().iter().all(|byte| matches!(byte, b' '..=b'~')) {
        let fault = "for SCRAM it is of printable ASCII characters only";
        return Err(AuthError::Password(fault));
    }
    let lines = Mechanism::ALL.into_iter().map(|mechanism| {
        let verifier = Verifier::of(mechanism, password);
        let verifier = verifier.ok_or_else(|| AuthError::Hash("no random numbers".into()))?;
        Ok(format!("{name}:{}\n", verifier.text()))
    });
    lines.collect()
}

/// Takes a user out of a file. Says whether there was such a user.
///
/// # Errors
/// When the file cannot be read, has mistakes, or cannot be written.
pub fn remove_user(path: &Path, name: &str) -> Result<bool, AuthError> {
    fs::metadata(path).map_err(|source| failed(path, "read it", source))?;
    edit(path, |text| {
        let all: Vec<&str> = text.lines().collect();
        let rest: Vec<&str> = all
            .iter()
            .copied()
            .filter(|line| name_on(line) != Some(name))
            .collect();
        Ok((joined(&rest), rest.len() < all.len()))
    })
}

/// Whether this is the password of this user.
///
/// # Errors
/// When the file cannot be read or has mistakes.
pub fn verify_user(path: &Path, name: &str, password: &Secret) -> Result<bool, AuthError> {
    let text =
        watched_file::read_text(path, FILE_BYTES_MAX).map_err(|source| failed(path, "read it", source))?;
    let users = Users::parse(path, &text).map_err(AuthError::Problems)?;
    Ok(users.stored(name).is_some_and(|stored| stored.is_of(password)))
}

fn check_password(password: &Secret) -> Result<(), AuthError> {
    match password.expose().len() {
        0 => Err(AuthError::Password("it is empty")),
        1..=PASSWORD_BYTES_MAX => Ok(()),
        _ => Err(AuthError::Password(
            "it is longer than the 65535 bytes MQTT can carry",
        )),
    }
}

fn joined(lines: &[&str]) -> String {
    lines.iter().flat_map(|line| [*line, "\n"]).collect()
}

/// Replaces the text of a file, with nobody else editing meanwhile.
fn edit(
    path: &Path,
    change: impl FnOnce(&str) -> Result<(String, bool), AuthError>,
) -> Result<bool, AuthError> {
    // Behind a symbolic link the file is replaced, not the link.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = folder_of(&path);
    // The file itself is replaced, so the lock is on its folder. It ends with `folder`.
    let folder_file = File::open(folder).map_err(|source| failed(folder, "open the folder", source))?;
    folder_file
        .lock()
        .map_err(|source| failed(folder, "lock the folder", source))?;

    let before = match watched_file::read_text(&path, FILE_BYTES_MAX) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(failed(&path, "read it", source)),
    };
    Users::parse(&path, &before).map_err(AuthError::Problems)?;
    let (after, answer) = change(&before)?;
    if after != before {
        replace(&path, &after).map_err(|source| failed(&path, "write it", source))?;
        folder_file
            .sync_all()
            .map_err(|source| failed(folder, "write the folder", source))?;
    }
    Ok(answer)
}

/// Puts `text` in the place of a file: readable by its owner only, and on disk before the old one is gone.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let beside = beside(path)?;
    // Whoever holds the lock may take away what somebody left who was cut short.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write_new(&beside, path, text)?;
    fs::rename(&beside, path)
}

fn write_new(beside: &Path, path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(beside)?;
    if let Ok(old) = fs::metadata(path) {
        // Root may edit the file of the user the broker runs as, which must still be able to read it.
        let new = file.metadata()?;
        if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A name for the new file, in the same folder so that it can be renamed.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::other("the path does not end with a file name"))?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".new");
    Ok(path.with_file_name(hidden))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

fn failed(path: &Path, doing: &'static str, source: io::Error) -> AuthError {
    AuthError::File {
        path: path.to_owned(),
        doing,
        source,
    }
}
