//! Where the stores are, and stores with the workload in them.

use std::path::PathBuf;

use anyhow::Context;
use tempfile::TempDir;

use crate::host::Coordinator;
use crate::lmdb::{Lmdb, Order};
use crate::load;
use crate::reading::{Contender, ReaderProcess};
use crate::settings::Settings;
use crate::workload::{Contents, Workload};

/// A temporary folder.
#[derive(Debug)]
pub struct Place {
    folder: TempDir,
    pub settings: Settings,
    pub workload: Workload,
}

impl Place {
    /// Makes the folder.
    pub fn new(settings: &Settings) -> anyhow::Result<Place> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("sutra-benches-");
        let folder = match &settings.dir {
            Some(dir) => builder.tempdir_in(dir),
            None => builder.tempdir(),
        };
        Ok(Place {
            folder: folder.context("no folder for the stores could be made; name one by --dir")?,
            settings: settings.clone(),
            workload: settings.workload(),
        })
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Fills a store of each contender with the workload; the coordinator goes on serving ours.
    pub fn load(&self) -> anyhow::Result<Stores<'_>> {
        eprintln!("loading {} concepts and their edges", self.workload.concepts);
        let contents = Contents::new(&self.workload);
        let edges = self.workload.edges();
        let (sutra_store, lmdb_store) = (self.path("sutra"), self.path("lmdb"));
        let coordinator = Coordinator::start(&sutra_store)?;
        let mut client = coordinator.connect()?;
        load::concepts(&mut client, &self.workload, &contents)?;
        load::edges(&mut client, &self.workload, &edges)?;
        client.flush()?;
        let lmdb = Lmdb::open(&lmdb_store, false)?;
        lmdb.load_concepts(&self.workload, &contents, Order::Random)?;
        lmdb.load_edges(&edges, Order::Random)?;
        Ok(Stores { place: self, coordinator, sutra_store, lmdb_store })
    }

    /// Leaves the folder where it is, if that was asked for.
    pub fn leave(mut self) {
        if self.settings.keep {
            self.folder.disable_cleanup(true);
            eprintln!("the stores are in {}", self.folder.path().display());
        }
    }
}

/// A store of each contender with the workload in it.
#[derive(Debug)]
pub struct Stores<'p> {
    pub place: &'p Place,
    pub coordinator: Coordinator,
    pub sutra_store: PathBuf,
    pub lmdb_store: PathBuf,
}

impl Stores<'_> {
    /// Starts a process that reads one of them.
    pub fn reader(&self, contender: Contender, number: u64) -> anyhow::Result<ReaderProcess> {
        let store = match contender {
            Contender::Sutra => &self.sutra_store,
            Contender::Lmdb => &self.lmdb_store,
            Contender::Petgraph => self.place.folder.path(), // it reads no file
        };
        ReaderProcess::start(contender, store, &self.place.workload, number)
    }

    /// Stops the coordinator cleanly.
    pub fn stop(self) -> anyhow::Result<()> {
        self.coordinator.stop()
    }
}
