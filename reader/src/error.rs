//! What can be wrong with a store, a file or a question, in words for whoever reads them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sutra_layout::Damage;
use sutra_layout::id::IdError;
use sutra_layout::superblock::SuperblockError;
use sutra_layout::view::ViewError;

use crate::graph::Stopped;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no `storage.dat`.
    #[error(
        "{path} does not exist; give the directory of a store, or make one with `sutra serve`",
        path = path.display()
    )]
    NotFound {
        /// The file looked for.
        path: PathBuf,
    },
    /// It is something else.
    #[error(
        "{path} is no Sutra store: {found}; give the directory of a store",
        path = path.display()
    )]
    NotAStore {
        /// The file opened.
        path: PathBuf,
        /// What is there instead.
        found: String,
    },
    /// A later version wrote it.
    #[error(
        "{path} has format {found}, and this version reads format {major}.x; use a newer Sutra",
        path = path.display(),
        major = sutra_layout::superblock::FORMAT.0
    )]
    Newer {
        /// The file opened.
        path: PathBuf,
        /// Format and features found.
        found: String,
    },
    /// A byte of its header does not say what it must.
    #[error(
        "{path} is damaged at byte {offset}: {what} is {found}, expected {expected}; {remedy}",
        path = path.display()
    )]
    Damaged {
        /// The file opened.
        path: PathBuf,
        /// Byte of the file.
        offset: u64,
        /// The field, in the words of `docs/FORMAT.md`.
        what: &'static str,
        /// What stands there.
        found: u64,
        /// What should.
        expected: String,
        /// What the person can do.
        remedy: &'static str,
    },
    /// Its last coordinator did not stop cleanly, and it was copied or the machine was restarted;
    /// or a sync failed, and then nobody knows what is on the disk.
    #[error("{path} needs recovery: {found}; {remedy}", path = path.display())]
    NeedsRecovery {
        /// The file opened.
        path: PathBuf,
        /// How that was told.
        found: &'static str,
        /// What the person can do.
        remedy: String,
    },
    /// This user may not read it.
    #[error(
        "{path} may not be read by this user; ask its owner for read permission on the file \
         and search permission on its directory",
        path = path.display()
    )]
    NotReadable {
        /// The file refused.
        path: PathBuf,
    },
    /// The system refused otherwise.
    #[error("{path} cannot be opened: {source}", path = path.display())]
    Io {
        /// The file opened.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn of_io(path: &Path, source: io::Error) -> OpenError {
        let path = path.to_owned();
        if source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
            let found = "it is a symbolic link, which is not followed".into();
            return OpenError::NotAStore { path, found };
        }
        match source.kind() {
            io::ErrorKind::NotFound => OpenError::NotFound { path },
            io::ErrorKind::PermissionDenied => OpenError::NotReadable { path },
            io::ErrorKind::NotADirectory => {
                OpenError::NotAStore { found: "its directory is a file".into(), path }
            }
            _ => OpenError::Io { path, source },
        }
    }

    pub(crate) fn of_view(path: &Path, error: ViewError) -> OpenError {
        let remedy = "restore storage.dat from a copy";
        match error {
            ViewError::Io(source) => OpenError::of_io(path, source),
            ViewError::Superblock(SuperblockError::NotAStore { found }) => OpenError::NotAStore {
                path: path.to_owned(),
                found: format!("it begins with {found:?}, not with SUTRASTO"),
            },
            ViewError::Superblock(SuperblockError::Newer { found }) => {
                OpenError::Newer { path: path.to_owned(), found }
            }
            ViewError::Superblock(SuperblockError::Damaged { what, found, expected }) => {
                OpenError::Damaged {
                    path: path.to_owned(),
                    offset: sutra_layout::geometry::SUPERBLOCK_OFFSET,
                    what,
                    found,
                    expected: expected.to_string(),
                    remedy,
                }
            }
            ViewError::TooShort { found } => OpenError::Damaged {
                path: path.to_owned(),
                offset: found,
                what: "the file's size",
                found,
                expected: format!(
                    "at least {}, the size of a header",
                    sutra_layout::geometry::HEADER_SIZE
                ),
                remedy,
            },
        }
    }

    pub(crate) fn of_damage(path: &Path, damage: &Damage) -> OpenError {
        let detail = damage.detail();
        OpenError::Damaged {
            path: path.to_owned(),
            offset: detail.offset,
            what: detail.what,
            found: detail.found,
            expected: detail.expected.clone(),
            remedy: "run `sutra verify` on the store to list the damage",
        }
    }
}

/// Why a question to an open store has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A byte of the file does not say what it must.
    #[error("{path} is {damage}", path = path.display())]
    Damaged {
        /// The file read.
        path: Arc<Path>,
        /// The byte, and what is wrong with it.
        damage: Damage,
    },
    /// The store has another file by now, and that cannot be opened.
    #[error("the store was replaced by another file: {0}")]
    Replaced(#[from] OpenError),
    /// No store accepts such an id.
    #[error(transparent)]
    InvalidId(#[from] IdError),
    /// [`sutra_layout::id::Id::Content`] names a concept only while it is learnt.
    #[error("no id was given; give the text id, or the hash of the content in hexadecimal digits")]
    NoId,
    /// An ordinal that this version of the store does not have.
    #[error("there is no association {ordinal}: this version of the store has {count}")]
    NoSuchAssociation {
        /// The ordinal asked for.
        ordinal: u32,
        /// How many there are, ended ones too.
        count: u64,
    },
    /// A compaction dropped what was before its horizon.
    #[error(
        "the history before LSN {floor} was dropped by a compaction, and LSN {wanted} is before \
         it; ask for LSN {floor} or later"
    )]
    HistoryDropped {
        /// The LSN asked for.
        wanted: u64,
        /// The first that is still there.
        floor: u64,
    },
    /// What is asked for is not in this snapshot yet.
    #[error(
        "this snapshot has everything up to LSN {published}, and LSN {wanted} is after it; take a \
         newer snapshot, or wait for that LSN"
    )]
    NotYet {
        /// The LSN asked for.
        wanted: u64,
        /// The last one in the snapshot.
        published: u64,
    },
    /// The text to look for has no letter or digit.
    #[error("the text to look for has no word; give at least one letter or digit")]
    NoWords,
    /// A vector space that this version of the store does not have.
    #[error("there is no vector space {space}: this version of the store has {count}")]
    NoSuchSpace {
        /// The space asked for.
        space: usize,
        /// How many there are.
        count: u64,
    },
    /// The query is a vector of another dimension.
    #[error("the vector has {found} elements, and vector space {space} has {expected}")]
    WrongDimension {
        /// The space searched.
        space: usize,
        /// Elements of the query.
        found: usize,
        /// Elements of a row.
        expected: usize,
    },
    /// The query has no distance to anything.
    #[error("element {at} of the vector is {found}; give finite numbers")]
    NotFinite {
        /// The first such element.
        at: usize,
        /// It.
        found: f32,
    },
    /// The query has no direction.
    #[error(
        "the vector is zero, and has no direction to compare by cosine; give one that is not zero"
    )]
    ZeroVector,
    /// A traversal ended before its answer was known.
    #[error(
        "the search stopped early, as {why}, after {reached} concepts; give it a larger budget or \
         ask for less"
    )]
    StoppedEarly {
        /// What ended it.
        why: Stopped,
        /// Concepts that it had reached.
        reached: u64,
    },
    /// A sum of weights was asked for over one that is no length.
    #[error(
        "association {edge} has the weight {weight}, and the shortest path by weight needs weights \
         of 0 or more; rank paths by confidence, or leave its type out"
    )]
    NoLength {
        /// The association.
        edge: u32,
        /// Its weight.
        weight: f32,
    },
    /// What was waited for did not happen in time.
    #[error(
        "the store has published LSN {published} and not yet {wanted}; is its coordinator alive?"
    )]
    Timeout {
        /// The LSN waited for.
        wanted: u64,
        /// The newest one published.
        published: u64,
    },
    /// The graphs of vectors did not get that far in time.
    #[error(
        "{indexed} of the {wanted} vectors waited for are in the graph; wait longer, or ask without \
         waiting: those that are not in it are found too"
    )]
    NotIndexed {
        /// Vectors that were waited for.
        wanted: u64,
        /// Those of them that are in the graph by now.
        indexed: u64,
    },
    /// The system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file asked about.
        path: Arc<Path>,
        /// What the system said.
        source: io::Error,
    },
}
