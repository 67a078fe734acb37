//! Quarantine: where damaged files go, each in a numbered folder with a `REPORT` for people.
//!
//! A report stays until a person has looked and removed its folder: as long as it is there, every start tells of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::rocks::files::{link_or_copy, sync_folder, write_durably};

const FOLDER: &str = "quarantine";
const REPORT: &str = "REPORT";
const UNFINISHED: &str = "UNFINISHED";

/// Something that could not be read, and what it may have held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// The damaged file, relative to the data folder.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
    /// What may be lost: keyspaces and keys as far as they are known.
    pub may_have_held: String,
}

impl SetAside {
    fn text(&self) -> String {
        let line = |text: &str| text.replace(['\n', '\r'], " ");
        format!(
            "file: {}\nreason: {}\nmay have held: {}\n",
            line(&self.file),
            line(&self.reason),
            line(&self.may_have_held)
        )
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::to_owned)
        };
        Some(Self {
            file: field("file: ")?,
            reason: field("reason: ")?,
            may_have_held: field("may have held: ")?,
        })
    }
}

/// Everything set aside in a data folder.
#[derive(Debug)]
pub(crate) struct Quarantine {
    folder: PathBuf,
    found: Mutex<Vec<SetAside>>,
}

/// The most damage that is remembered while the store is open; more says nothing new.
const FOUND_MAX: usize = 1000;

impl Quarantine {
    /// Reads the reports of earlier times.
    pub(crate) fn open(data: &Path) -> io::Result<Self> {
        let quarantine = Self {
            folder: data.join(FOLDER),
            found: Mutex::default(),
        };
        for case in quarantine.cases()? {
            if let Some(report) = case.report()? {
                quarantine.add(report);
            }
        }
        Ok(quarantine)
    }

    /// What was found so far.
    pub(crate) fn found(&self) -> Vec<SetAside> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers damage. The same damage of the same file counts once.
    pub(crate) fn add(&self, damage: SetAside) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() < FOUND_MAX && !found.contains(&damage) {
            found.push(damage);
        }
    }

    /// Puts a better report of a file in the place of the first one.
    pub(crate) fn replace(&self, damage: &SetAside) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |known: &&mut SetAside| known.file == damage.file && known.reason == damage.reason;
        found
            .iter_mut()
            .filter(same)
            .for_each(|known| known.clone_from(damage));
    }

    /// Opens a new case: a folder with this report, and a copy of the damaged file where there still is one.
    pub(crate) fn begin(&self, damage: SetAside, damaged: &Path) -> io::Result<Case> {
        let taken = self.cases()?.iter().filter_map(Case::number).max().unwrap_or(0);
        let case = Case {
            folder: self.folder.join(format!("{:04}", taken + 1)),
        };
        fs::create_dir_all(&case.folder)?;
        if damaged.exists() {
            let name = damaged.file_name().unwrap_or(damaged.as_os_str());
            link_or_copy(damaged, &case.folder.join(name))?;
        }
        case.tell(&damage)?;
        sync_folder(&self.folder)?;
        self.add(damage);
        Ok(case)
    }

    /// The case whose repair was interrupted, with its note.
    pub(crate) fn unfinished(&self) -> io::Result<Option<(Case, String)>> {
        for case in self.cases()? {
            match fs::read_to_string(case.folder.join(UNFINISHED)) {
                Ok(note) => return Ok(Some((case, note))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => (),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn cases(&self) -> io::Result<Vec<Case>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let folders = entries
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<_>>>()?;
        let mut cases: Vec<Case> = folders.into_iter().map(|folder| Case { folder }).collect();
        cases.retain(|case| case.number().is_some());
        cases.sort_by_key(Case::number);
        Ok(cases)
    }
}

/// One damaged file's folder.
#[derive(Debug)]
pub(crate) struct Case {
    folder: PathBuf,
}

impl Case {
    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes the report, or a better one.
    pub(crate) fn tell(&self, damage: &SetAside) -> io::Result<()> {
        write_durably(&self.folder.join(REPORT), damage.text().as_bytes())
    }

    /// Notes that a repair has begun which a restart has to take up.
    pub(crate) fn start(&self, note: &str) -> io::Result<()> {
        write_durably(&self.folder.join(UNFINISHED), note.as_bytes())
    }

    /// Notes that the repair is done.
    pub(crate) fn finish(&self) -> io::Result<()> {
        fs::remove_file(self.folder.join(UNFINISHED))?;
        sync_folder(&self.folder)
    }

    pub(crate) fn report(&self) -> io::Result<Option<SetAside>> {
        match fs::read(self.folder.join(REPORT)) {
            // A person may have written into it; what is not a report any more is still a sign of damage.
            Ok(bytes) => Ok(Some(
                SetAside::parse(&String::from_utf8_lossy(&bytes)).unwrap_or_else(|| SetAside {
                    file: self.folder.display().to_string(),
                    reason: "the report is not readable".into(),
                    may_have_held: "unknown".into(),
                }),
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn number(&self) -> Option<u32> {
        self.folder.file_name()?.to_str()?.parse().ok()
    }
}
