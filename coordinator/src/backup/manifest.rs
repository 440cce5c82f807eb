//! What makes up a backup, and its files.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::BackupError;

/// The version of the manifest and of the files that it names.
const FORMAT: u32 = 1;
const NAME: &str = "manifest.json";
const TEMPORARY_NAME: &str = "manifest.tmp";
/// The directory of the log, in that of a backup.
pub(super) const LOG_NAME: &str = "log";

/// What makes up a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this description.
    pub format: u32,
    /// The store's uuid, in hexadecimal digits.
    pub store_id: String,
    /// Which copy of `storage.dat` it was.
    pub generation: u64,
    /// Every log entry up to it is in the backup.
    pub lsn: u64,
    /// The number of the publication.
    pub commit_seq: u64,
    /// When that was published, in microseconds since the Unix epoch.
    pub published_at: u64,
    /// The coordinator start that published it.
    pub writer_epoch: u64,
    /// Bytes of `storage.dat`.
    pub storage_size: u64,
    /// Header and client table.
    pub header: Part,
    /// Access counts, if there are any.
    pub accesses: Option<Part>,
    /// The name of the file of truth.
    pub truth: String,
    /// Its parts, ascending by offset.
    pub pieces: Vec<Piece>,
}

/// A file of a backup that is checked as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// BLAKE3 of them.
    pub checksum: String,
}

/// A run of bytes of truth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The region's number.
    pub region: u8,
    /// Where it lies, in the file of truth as in `storage.dat`.
    pub offset: u64,
    /// Its bytes.
    pub size: u64,
    /// BLAKE3 of them.
    pub checksum: String,
}

/// The file: a manifest, and the checksum of its JSON.
#[derive(Serialize, Deserialize)]
struct Sealed {
    manifest: Manifest,
    checksum: String,
}

/// BLAKE3 in hexadecimal digits.
pub(super) fn checksum(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

impl Manifest {
    /// The format of a new one.
    pub(super) const FORMAT: u32 = FORMAT;

    /// Bytes of truth.
    #[must_use]
    pub fn truth_size(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.size).sum()
    }

    /// The manifest of the backup in a directory; `None` if there is none.
    ///
    /// # Errors
    /// [`BackupError::Damaged`], [`BackupError::Newer`], [`BackupError::Io`].
    pub fn read(directory: &Path) -> Result<Option<Manifest>, BackupError> {
        let path = directory.join(NAME);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BackupError::io(&path, "read")(error)),
        };
        let damaged = |found: String, expected: &str| BackupError::Damaged {
            path: path.clone(),
            offset: 0,
            what: "the manifest",
            found,
            expected: expected.to_owned(),
        };
        // The format comes first: another one may have other fields.
        #[derive(Deserialize)]
        struct Format {
            manifest: FormatOnly,
        }
        #[derive(Deserialize)]
        struct FormatOnly {
            format: u32,
        }
        if let Ok(Format { manifest: FormatOnly { format: found } }) = serde_json::from_slice(&text)
            && found > FORMAT
        {
            return Err(BackupError::Newer { path, found, known: FORMAT });
        }
        let Sealed { manifest, checksum: expected } =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string(), "JSON"))?;
        let found = checksum(&json(&manifest));
        if found != expected {
            return Err(damaged(format!("one of checksum {found}"), &expected));
        }
        Ok(Some(manifest))
    }

    /// Puts it in place, synced: from then on it is the backup.
    pub(super) fn write(&self, directory: &Path) -> Result<(), BackupError> {
        let sealed = Sealed { manifest: self.clone(), checksum: checksum(&json(self)) };
        let mut text = serde_json::to_vec_pretty(&sealed).expect("a manifest is JSON");
        text.push(b'\n');
        put(directory, TEMPORARY_NAME, NAME, &text)
    }
}

fn json(manifest: &Manifest) -> Vec<u8> {
    serde_json::to_vec(manifest).expect("a manifest is JSON")
}

impl Part {
    /// Writes a part as a file of its own, synced, and says what it is.
    pub(super) fn write(directory: &Path, name: String, bytes: &[u8]) -> Result<Part, BackupError> {
        put(directory, "part.tmp", &name, bytes)?;
        Ok(Part { name, size: bytes.len() as u64, checksum: checksum(bytes) })
    }

    /// Reads it, and checks it.
    pub(super) fn read(&self, directory: &Path) -> Result<Vec<u8>, BackupError> {
        let path = part_path(directory, &self.name)?;
        let bytes = std::fs::read(&path).map_err(BackupError::io(&path, "read"))?;
        let found = checksum(&bytes);
        if found != self.checksum {
            let (offset, expected) = (0, self.checksum.clone());
            return Err(BackupError::Damaged {
                path,
                offset,
                what: "its checksum",
                found,
                expected,
            });
        }
        Ok(bytes)
    }
}

/// The path of a file that a manifest names: within the backup, whatever it says.
pub(super) fn part_path(directory: &Path, name: &str) -> Result<PathBuf, BackupError> {
    if Path::new(name).components().count() == 1 && !name.starts_with('.') {
        return Ok(directory.join(name));
    }
    Err(BackupError::Damaged {
        path: directory.join(NAME),
        offset: 0,
        what: "a file's name",
        found: name.to_owned(),
        expected: "one in the backup's own directory".to_owned(),
    })
}

fn put(directory: &Path, temporary: &str, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
    let (from, to) = (directory.join(temporary), directory.join(name));
    let mut file = create(&from)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&from, &to))
        .map_err(BackupError::io(&to, "write"))?;
    sync_directory(directory)
}

/// Makes an empty file for this user alone, in the place of one that may be there.
pub(super) fn create(path: &Path) -> Result<File, BackupError> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(true).mode(0o600);
    options.open(path).map_err(BackupError::io(path, "create"))
}

/// Names made, changed and removed so far are on disk afterwards.
pub(super) fn sync_directory(path: &Path) -> Result<(), BackupError> {
    let synced = File::open(path).and_then(|directory| directory.sync_all());
    synced.map_err(BackupError::io(path, "sync"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_comes_back_and_a_changed_or_newer_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), None);
        let part = Part { name: "header-1.dat".into(), size: 3, checksum: checksum(b"abc") };
        let manifest = Manifest {
            format: FORMAT,
            store_id: "00".repeat(16),
            generation: 1,
            lsn: 7,
            commit_seq: 9,
            published_at: 1,
            writer_epoch: 2,
            storage_size: 1 << 20,
            header: part,
            accesses: None,
            truth: "truth-1-9.dat".into(),
            pieces: vec![Piece { region: 0, offset: 65536, size: 128, checksum: checksum(b"") }],
        };
        manifest.write(folder.path()).unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap().as_ref(), Some(&manifest));

        let path = folder.path().join(NAME);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"lsn\": 7", "\"lsn\": 8")).unwrap();
        let changed = Manifest::read(folder.path()).unwrap_err();
        assert!(matches!(changed, BackupError::Damaged { .. }), "{changed}");
        std::fs::write(&path, text.replace("\"format\": 1", "\"format\": 2")).unwrap();
        let newer = Manifest::read(folder.path()).unwrap_err();
        assert!(matches!(newer, BackupError::Newer { found: 2, .. }), "{newer}");
    }

    #[test]
    fn a_name_that_leads_out_of_the_backup_is_refused() {
        for name in ["../storage.dat", "/etc/passwd", "a/b", "", "."] {
            assert!(part_path(Path::new("backup"), name).is_err(), "{name:?}");
        }
        assert!(part_path(Path::new("backup"), "header-1.dat").is_ok());
    }
}
