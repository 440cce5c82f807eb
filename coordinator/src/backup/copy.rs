//! Making a backup, or adding to one what is new.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sutra_layout::sys::lock::try_lock_exclusive;

use super::Progress;
use super::error::BackupError;
use super::log::copy_log;
use super::manifest::{Manifest, Part, Piece, checksum, create, part_path, sync_directory};
use super::source::{Range, Source, flush};

const PROGRESS_NAME: &str = "progress";

/// What a backup did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// The backup.
    pub manifest: Manifest,
    /// Bytes of truth that were copied by this run; the rest was there.
    pub copied_size: u64,
    /// Whether a coordinator made a checkpoint for it. If none did, it is of the last one.
    pub was_flushed: bool,
    /// It began anew, because what was there is no earlier state of this file.
    pub is_new: bool,
    /// The last log entry beside it.
    pub log_last_lsn: u64,
}

/// What a run has copied so far: the first line of `progress`, then a [`Piece`] a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Begun {
    store_id: String,
    generation: u64,
    truth: String,
}

/// A backup being made.
struct Copy<'a> {
    directory: &'a Path,
    source: Source,
    begun: Begun,
    truth: File,
    progress: File,
    /// Pieces that are in the file of truth, by where they begin.
    known: Vec<Piece>,
}

/// Copies the store in directory `store` to the directory `to`, or adds to the backup there what is
/// new. See the [module](super).
///
/// # Errors
/// [`BackupError`]. What was copied until then is kept for the next run, and the backup that was
/// there before is as it was.
pub fn backup(
    store: &Path,
    to: &Path,
    progress: Progress<'_>,
) -> Result<BackupReport, BackupError> {
    let was_flushed = flush(store)?;
    let source = Source::open(store)?;
    let _lock = open_directory(to)?;
    let store_id = sutra_layout::id::key_to_hex(&source.store_id());
    let before = Manifest::read(to)?;
    if let Some(before) = before.as_ref().filter(|before| before.store_id != store_id) {
        return Err(BackupError::OtherStore {
            path: to.to_owned(),
            found: before.store_id.clone(),
            expected: store_id,
        });
    }
    let mut copy = Copy::begin(to, source, store_id, before.as_ref())?;
    let ranges = copy.source.ranges();
    let is_new = if copy.goes_on(&ranges)? {
        copy.known.is_empty()
    } else {
        copy.begin_anew()?;
        true
    };
    let (pieces, copied_size) = copy.pieces(&ranges, progress)?;
    let manifest = copy.finish(pieces)?;
    let log_last_lsn = copy_log(store, to, &manifest)?;
    copy.tidy(&manifest)?;
    Ok(BackupReport { manifest, copied_size, was_flushed, is_new, log_last_lsn })
}

/// Makes the directory of a backup, refuses one of something else, and keeps others out of it for
/// as long as what is returned is held.
fn open_directory(path: &Path) -> Result<File, BackupError> {
    let failed = BackupError::io(path, "open");
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(&failed)?;
    let directory = File::open(path).map_err(&failed)?;
    if !try_lock_exclusive(&directory).map_err(&failed)? {
        return Err(BackupError::Busy { path: path.to_owned() });
    }
    let mut foreign = None;
    for entry in std::fs::read_dir(path).map_err(&failed)? {
        let name = entry.map_err(&failed)?.file_name().to_string_lossy().into_owned();
        match name.as_str() {
            "manifest.json" | PROGRESS_NAME => return Ok(directory),
            // Left by a run that ended before it had copied anything.
            _ if name.starts_with("truth-") || name == "lost+found" => {}
            _ => foreign = Some(name),
        }
    }
    match foreign {
        Some(found) => Err(BackupError::NotABackup { path: path.to_owned(), found }),
        None => Ok(directory),
    }
}

/// The locked directory of a backup that is there.
pub(super) fn lock_existing(path: &Path) -> Result<File, BackupError> {
    let failed = BackupError::io(path, "open");
    let directory = File::open(path).map_err(&failed)?;
    if !try_lock_exclusive(&directory).map_err(&failed)? {
        return Err(BackupError::Busy { path: path.to_owned() });
    }
    Ok(directory)
}

impl<'a> Copy<'a> {
    /// Goes on where the manifest and the last run ended, if that was with the same file.
    fn begin(
        directory: &'a Path,
        source: Source,
        store_id: String,
        before: Option<&Manifest>,
    ) -> Result<Copy<'a>, BackupError> {
        let generation = source.generation();
        let is_same = |id: &str, of: u64| (id, of) == (store_id.as_str(), generation);
        let (last_run, copied) = read_progress(&directory.join(PROGRESS_NAME));
        let last_run = last_run.filter(|run| is_same(&run.store_id, run.generation));
        let before = before.filter(|before| is_same(&before.store_id, before.generation));
        let truth = match (&last_run, before) {
            // A run that began anew goes before the backup that it is to replace.
            (Some(run), _) => run.truth.clone(),
            (None, Some(before)) => before.truth.clone(),
            (None, None) => format!("truth-{generation}-{}.dat", source.slot.commit_seq),
        };
        let mut known = Vec::new();
        if let Some(before) = before.filter(|before| before.truth == truth) {
            known.clone_from(&before.pieces);
        }
        if last_run.is_some() {
            for piece in copied {
                known.retain(|other| other.offset != piece.offset);
                known.push(piece);
            }
        }
        let begun = Begun { store_id, generation, truth };
        let (truth, known) = open_truth(directory, &begun, known)?;
        let progress = write_progress(directory, &begun, &known)?;
        Ok(Copy { directory, source, begun, truth, progress, known })
    }

    fn known(&self, range: Range) -> Option<&Piece> {
        self.known.iter().find(|piece| piece.offset == range.offset)
    }

    /// Whether what is there is an earlier state of this file. It is not if the store was restored,
    /// or lost power, and other truth was written where that stood: the last piece of each region
    /// tells, because it holds what was written last.
    fn goes_on(&self, ranges: &[Range]) -> Result<bool, BackupError> {
        let mut bytes = Vec::new();
        for piece in &self.known {
            let range = ranges.iter().find(|range| range.offset == piece.offset);
            let Some(range) = range.filter(|range| range.size >= piece.size) else {
                return Ok(false);
            };
            let is_last = !self
                .known
                .iter()
                .any(|other| other.region == piece.region && other.offset > piece.offset);
            if is_last || range.size > piece.size {
                self.source.read(Range { size: piece.size, ..*range }, &mut bytes)?;
                if checksum(&bytes) != piece.checksum {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Puts aside what is there, and begins a file of truth of its own.
    fn begin_anew(&mut self) -> Result<(), BackupError> {
        let (generation, number) = (self.begun.generation, self.source.slot.commit_seq);
        let name = format!("truth-{generation}-{number}.dat");
        // The old one may be what the manifest names.
        let name = if name == self.begun.truth { name.replace(".dat", "-a.dat") } else { name };
        self.begun.truth = name;
        self.known = Vec::new();
        self.truth = create(&self.directory.join(&self.begun.truth))?;
        self.progress = write_progress(self.directory, &self.begun, &[])?;
        Ok(())
    }

    /// Copies every range that is not there yet, and gives all pieces and how many bytes that was.
    fn pieces(
        &mut self,
        ranges: &[Range],
        progress: Progress<'_>,
    ) -> Result<(Vec<Piece>, u64), BackupError> {
        let total = ranges.iter().map(|range| range.size).sum();
        let path = self.directory.join(&self.begun.truth);
        let (mut pieces, mut done, mut copied, mut bytes) = (Vec::new(), 0, 0, Vec::new());
        for range in ranges {
            if !progress(done, total) {
                return Err(BackupError::Stopped);
            }
            done += range.size;
            if let Some(known) = self.known(*range).filter(|known| known.size == range.size) {
                pieces.push(known.clone());
                continue;
            }
            self.source.read(*range, &mut bytes)?;
            self.truth
                .write_all_at(&bytes, range.offset)
                .and_then(|()| self.truth.sync_data())
                .map_err(BackupError::io(&path, "write"))?;
            let Range { region, offset, size } = *range;
            let piece = Piece { region: region.0, offset, size, checksum: checksum(&bytes) };
            let mut line = serde_json::to_vec(&piece).expect("a piece is JSON");
            line.push(b'\n');
            self.progress
                .write_all(&line)
                .map_err(BackupError::io(&self.directory.join(PROGRESS_NAME), "write"))?;
            copied += size;
            pieces.push(piece);
        }
        progress(total, total);
        Ok((pieces, copied))
    }

    /// Writes the parts that are whole files, then the manifest.
    fn finish(&mut self, pieces: Vec<Piece>) -> Result<Manifest, BackupError> {
        let slot = &self.source.slot;
        let number = slot.commit_seq;
        let name = |what: &str| {
            // Beside those of the backup before, also where the number is the same.
            let first = format!("{what}-{number}.dat");
            match self.directory.join(&first).exists() {
                true => format!("{what}-{number}-{}.dat", slot.published_at),
                false => first,
            }
        };
        let header = Part::write(self.directory, name("header"), &self.source.header())?;
        let accesses = match self.source.accesses() {
            Some(bytes) => Some(Part::write(self.directory, name("accesses"), &bytes)?),
            None => None,
        };
        let truth = self.directory.join(&self.begun.truth);
        self.truth.sync_all().map_err(BackupError::io(&truth, "sync"))?;
        let manifest = Manifest {
            format: Manifest::FORMAT,
            store_id: self.begun.store_id.clone(),
            generation: self.begun.generation,
            lsn: slot.published_lsn,
            commit_seq: number,
            published_at: slot.published_at,
            writer_epoch: slot.writer_epoch,
            storage_size: self.source.size(),
            header,
            accesses,
            truth: self.begun.truth.clone(),
            pieces,
        };
        manifest.write(self.directory)?;
        Ok(manifest)
    }

    /// Removes what belongs to the backup no more.
    fn tidy(&self, manifest: &Manifest) -> Result<(), BackupError> {
        let failed = BackupError::io(self.directory, "tidy");
        let accesses = manifest.accesses.as_ref().map(|part| &part.name);
        for entry in std::fs::read_dir(self.directory).map_err(&failed)? {
            let path = entry.map_err(&failed)?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            let name = name.unwrap_or_default();
            let is_ours = ["truth-", "header-", "accesses-", PROGRESS_NAME, "part.tmp"]
                .iter()
                .any(|start| name.starts_with(start));
            let is_named =
                name == manifest.truth || name == manifest.header.name || Some(&name) == accesses;
            if is_ours && !is_named {
                std::fs::remove_file(&path).map_err(BackupError::io(&path, "remove"))?;
            }
        }
        sync_directory(self.directory)
    }
}

/// The file of truth, and which of the pieces lie within it.
fn open_truth(
    directory: &Path,
    begun: &Begun,
    mut known: Vec<Piece>,
) -> Result<(File, Vec<Piece>), BackupError> {
    let path = part_path(directory, &begun.truth)?;
    if known.is_empty() {
        return Ok((create(&path)?, known));
    }
    let file = match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok((create(&path)?, Vec::new()));
        }
        Err(error) => return Err(BackupError::io(&path, "open")(error)),
    };
    let size = file.metadata().map_err(BackupError::io(&path, "look at"))?.len();
    known.retain(|piece| piece.offset.saturating_add(piece.size) <= size);
    Ok((file, known))
}

/// What the last run had copied, as far as its lines are whole: a piece was synced before its line
/// was written.
fn read_progress(path: &PathBuf) -> (Option<Begun>, Vec<Piece>) {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.lines();
    let begun = lines.next().and_then(|line| serde_json::from_str(line).ok());
    let pieces = lines.map_while(|line| serde_json::from_str(line).ok()).collect();
    (begun, pieces)
}

fn write_progress(directory: &Path, begun: &Begun, known: &[Piece]) -> Result<File, BackupError> {
    let (path, temporary) = (directory.join(PROGRESS_NAME), directory.join("progress.tmp"));
    let mut file = create(&temporary)?;
    let mut text = serde_json::to_vec(begun).expect("a line is JSON");
    for piece in known {
        text.push(b'\n');
        text.extend(serde_json::to_vec(piece).expect("a piece is JSON"));
    }
    text.push(b'\n');
    file.write_all(&text)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&temporary, &path))
        .map_err(BackupError::io(&path, "write"))?;
    Ok(file)
}
