//! The checkout as a list of text files.

use std::fs;
use std::io;
use std::path::Path;

/// One text file: its path from the top with `/`, and its content.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// The part of the path before the last `/`, empty at the top.
    pub(crate) fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// The part of the path after the last `/`.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// Every text file of the project; what `.gitignore` names at any depth is left out.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
    folders: Vec<String>,
}

impl Tree {
    /// Reads the checkout at `top`.
    pub(crate) fn read(top: &Path) -> io::Result<Self> {
        let ignored = fs::read_to_string(top.join(".gitignore"))?;
        let ignored: Vec<&str> = ignored
            .lines()
            .map(|line| line.trim_matches('/'))
            .chain([".git"])
            .collect();
        let mut tree = Self::default();
        tree.walk(top, "", &ignored)?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    /// A tree made up for a test.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let files = files
            .iter()
            .map(|(path, text)| File {
                path: (*path).into(),
                text: (*text).into(),
            })
            .collect();
        Self {
            files,
            folders: Vec::new(),
        }
    }

    fn walk(&mut self, top: &Path, folder: &str, ignored: &[&str]) -> io::Result<()> {
        for entry in fs::read_dir(top.join(folder))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if folder.is_empty() {
                name.clone()
            } else {
                format!("{folder}/{name}")
            };
            if ignored.contains(&name.as_str()) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                self.walk(top, &path, ignored)?;
                self.folders.push(path);
            } else if let Ok(text) = String::from_utf8(fs::read(entry.path())?) {
                self.files.push(File { path, text });
            }
        }
        Ok(())
    }

    /// The file at `path`, if there is one.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether a file or a folder stands at `path`.
    pub(crate) fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        path.is_empty() || self.file(path).is_some() || self.folders.iter().any(|folder| folder == path)
    }

    /// The files whose name ends in `.rs`.
    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// The manifests, parsed. Panics with the path when one is not TOML.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = (&File, toml::Table)> {
        self.files
            .iter()
            .filter(|file| file.name() == "Cargo.toml")
            .map(|file| {
                let table = file
                    .text
                    .parse()
                    .unwrap_or_else(|problem| panic!("{}: {problem}", file.path));
                (file, table)
            })
    }
}
