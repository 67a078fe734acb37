//! A file an operator edits: read again when it changes, and kept as it last was when it is broken.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest::{SHA256, digest};
use plugin_api::Problem;

/// A file younger than this may change again without its time stamp showing it.
const STAMP_SETTLES_AFTER: Duration = Duration::from_secs(2);

/// What a file is for, and how its text is read.
pub(crate) struct Reading<T> {
    /// The setting that names the file.
    pub(crate) key: &'static str,
    /// The largest file that is read, in bytes.
    pub(crate) bytes_max: u64,
    /// What to say when there is no such file.
    pub(crate) advice: &'static str,
    /// Reads the text; the path is for the problems it finds.
    pub(crate) parse: fn(&Path, &str) -> Result<T, Vec<Problem>>,
}

/// The content of a file as it last was when it was whole.
pub(crate) struct WatchedFile<T> {
    path: PathBuf,
    reading: Reading<T>,
    current: RwLock<Arc<T>>,
    seen: Mutex<Seen>,
}

/// What the last look at the file found.
#[derive(Default)]
struct Seen {
    /// None if the next look must read the file whatever its stamp says.
    stamp: Option<Stamp>,
    /// Of the bytes that were read last, whether they were whole or broken.
    digest: Vec<u8>,
    /// What could not be done, so that it is logged once.
    complaint: String,
}

/// Changes when a file is written or replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            modified: metadata.modified().ok(),
            bytes: metadata.len(),
            inode: metadata.ino(),
        }
    }

    fn settled(self) -> Option<Self> {
        let young = self.modified.is_none_or(|modified| {
            SystemTime::now()
                .duration_since(modified)
                .is_ok_and(|age| age < STAMP_SETTLES_AFTER)
        });
        (!young).then_some(self)
    }
}

impl<T> WatchedFile<T> {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// When it cannot be read or is broken: everything that is wrong with it.
    pub(crate) fn open(path: &Path, reading: Reading<T>) -> Result<Self, Vec<Problem>> {
        let (stamp, text) = read(path, reading.bytes_max).map_err(|error| {
            vec![Problem::new(
                reading.key,
                format!("{} ({error})", path.display()),
                reading.advice,
            )]
        })?;
        let content = (reading.parse)(path, &text)?;
        let seen = Seen {
            stamp: stamp.settled(),
            digest: sha256(&text),
            complaint: String::new(),
        };
        Ok(Self {
            path: path.to_owned(),
            reading,
            current: RwLock::new(Arc::new(content)),
            seen: Mutex::new(seen),
        })
    }

    /// The content as it last was when it was whole.
    pub(crate) fn current(&self) -> Arc<T> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn look(&self, seen: &mut Seen) -> Result<bool, String> {
        let cannot_read = |error: io::Error| format!("it cannot be read: {error}");
        if seen.stamp.is_some()
            && seen.stamp == Some(Stamp::of(&fs::metadata(&self.path).map_err(cannot_read)?))
        {
            return Ok(false);
        }
        let (stamp, text) = read(&self.path, self.reading.bytes_max).map_err(cannot_read)?;
        seen.stamp = stamp.settled();
        let digest = sha256(&text);
        if digest == seen.digest {
            return Ok(false);
        }
        seen.digest = digest;
        let content = (self.reading.parse)(&self.path, &text).map_err(|problems| {
            let problems: Vec<String> = problems.iter().take(50).map(Problem::to_string).collect();
            format!("it is broken: {}", problems.join("; "))
        })?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(content);
        Ok(true)
    }
}

/// A file that can be looked at again, whatever is in it.
pub(crate) trait Refresh: fmt::Debug + Send + Sync {
    /// Reads the file again if it changed, and says whether there is new content. Blocks on the disk.
    fn refresh(&self) -> bool;
}

impl<T: Send + Sync> Refresh for WatchedFile<T> {
    fn refresh(&self) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, path) = (self.reading.key, self.path.display());
        match self.look(&mut seen) {
            Ok(changed) => {
                seen.complaint.clear();
                if changed {
                    tracing::info!(key, %path, "the file has changed and was read again");
                }
                changed
            }
            Err(complaint) => {
                if complaint != seen.complaint {
                    tracing::error!(key, %path, "{complaint}. What it said before stays in force");
                    seen.complaint = complaint;
                }
                false
            }
        }
    }
}

impl<T> fmt::Debug for WatchedFile<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// The text of a file of at most `bytes_max` bytes.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> io::Result<String> {
    read(path, bytes_max).map(|(_, text)| text)
}

/// The text of a file and the stamp it had before it was read.
fn read(path: &Path, bytes_max: u64) -> io::Result<(Stamp, String)> {
    use io::Read;

    // Asked before it is opened: opening a pipe would wait for its other end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let file = fs::File::open(path)?;
    let metadata = file.metadata()?;
    let mut text = String::new();
    let bytes = (&file)
        .take(bytes_max.saturating_add(1))
        .read_to_string(&mut text)?;
    if bytes as u64 > bytes_max {
        return Err(io::Error::other(format!("it has more than {bytes_max} bytes")));
    }
    Ok((Stamp::of(&metadata), text))
}

fn sha256(text: &str) -> Vec<u8> {
    digest(&SHA256, text.as_bytes()).as_ref().to_vec()
}
