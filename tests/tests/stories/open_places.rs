//! Where a store may lie, and who may write it: another user's, a place that cannot be written, a
//! long path, a copy made with `cp -r` while the store was in use.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use sutra_tests::agent::Agent;
use tempfile::TempDir;

/// Two users that nobody is.
const OWNER: u32 = 60_001;
const OTHER: u32 = 60_002;

fn errors(root: &TempDir, name: &str) -> PathBuf {
    root.path().join(format!("errors-{name}"))
}

fn open(root: &TempDir, store: &Path, name: &str) -> Agent {
    Agent::open(store, "auto", &errors(root, name))
}

fn set_mode(path: &Path, mode: u32) {
    set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Whether this is root; says loudly what is skipped if it is not.
fn is_root(what: &str) -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        eprintln!("SKIPPED, as it needs root: {what}");
    }
    is_root
}

#[test]
fn only_the_stores_owner_writes_it_and_others_read() {
    if !is_root("a store of one user, opened by others") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    set_mode(root.path(), 0o755);
    let (home, bin) = (root.path().join("home"), root.path().join("bin"));
    for folder in [&home, &bin] {
        std::fs::create_dir(folder).unwrap();
        set_mode(folder, 0o755);
    }
    chown(&home, Some(OWNER), Some(OWNER)).unwrap();
    let store = home.join("store");
    let open_as = |uid, name| Agent::open_as(uid, &store, "auto", &bin, &errors(&root, name));

    let mut owner = open_as(OWNER, "owner");
    owner.learn("a");
    set_mode(&store, 0o755);
    set_mode(&store.join("storage.dat"), 0o644);
    let mut other = open_as(OTHER, "other");
    assert_eq!(other.ask("get a"), "a 1");
    // The owner's process is there, and its socket is for the owner's group.
    let said = other.ask("learn b");
    assert!(said.contains("NotAllowed"), "{said}");
    assert_eq!(owner.ask("close"), "closed");
    // Now nobody is, and neither another user nor root may take over.
    let mut of_root = open_as(0, "root");
    for agent in [&mut other, &mut of_root] {
        let said = agent.ask("learn b");
        assert!(said.contains("NoWriter") && said.contains("owner: 60001"), "{said}");
        assert_eq!(agent.ask("get a"), "a 1");
    }
    drop(owner);
    open_as(OWNER, "again").learn("b");
    assert_eq!(other.ask("get b"), "b 1");
}

#[test]
fn a_read_only_mount_is_read() {
    if !is_root("a read-only mount") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let (store, place) = (root.path().join("store"), root.path().join("place"));
    open(&root, &store, "writer").learn("a");
    std::fs::create_dir(&place).unwrap();
    let mount = |arguments: &[&str]| {
        let status = Command::new("mount").args(arguments).arg(&place).status();
        status.is_ok_and(|status| status.success())
    };
    if !mount(&["--bind", store.to_str().unwrap()]) {
        eprintln!("SKIPPED, as nothing can be mounted here: a read-only mount");
        return;
    }
    struct Mounted<'a>(&'a Path);
    impl Drop for Mounted<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(self.0).status();
        }
    }
    let mounted = Mounted(&place);
    assert!(mount(&["-o", "remount,bind,ro"]), "a bind mount can be made read-only");
    let mut reader = open(&root, &place, "reader");
    assert_eq!(reader.ask("get a"), "a 1");
    let said = reader.ask("learn b");
    assert!(said.contains("NotWritable"), "{said}");
    assert_eq!(reader.ask("get a"), "a 1");
    drop(reader);
    drop(mounted);
}

#[test]
fn a_path_longer_than_a_socket_address_is_no_trouble() {
    let root = tempfile::tempdir().unwrap();
    let store = root.path().join("a".repeat(120)).join("b".repeat(120)).join("store");
    let (mut first, mut second) = (open(&root, &store, "first"), open(&root, &store, "second"));
    first.learn("a");
    second.learn("b");
    assert!(first.is_host() && !second.is_host());
    first.0.kill();
    second.learn("c");
    assert!(second.is_host());
}

#[test]
fn a_copy_of_a_store_in_use_is_a_store_of_its_own() {
    let root = tempfile::tempdir().unwrap();
    let (store, copy) = (root.path().join("store"), root.path().join("copy"));
    let mut original = open(&root, &store, "original");
    original.learn("a");
    let status = Command::new("cp").arg("-r").arg(&store).arg(&copy).status().unwrap();
    assert!(status.success());
    let mut copied = open(&root, &copy, "copied");
    assert_eq!(copied.ask("get a"), "a 1");
    copied.learn("b");
    assert!(copied.is_host() && original.is_host());
    assert_eq!(original.ask("get b"), "none");
    original.learn("c");
    assert_eq!(copied.ask("get c"), "none");
}

#[test]
fn a_copy_made_during_writes_is_the_store_as_of_some_moment() {
    let root = tempfile::tempdir().unwrap();
    let store = root.path().join("store");
    let mut writer = open(&root, &store, "writer");
    writer.write_on("w");
    for turn in 0..5 {
        // So much is acknowledged before the copy begins, and has to be in it.
        let before = (0..40).map(|_| writer.0.line()).last().unwrap();
        let (key, _) = before.split_once(' ').unwrap();
        let count: usize = key.strip_prefix("w-").unwrap().parse::<usize>().unwrap() + 1;
        let copy = root.path().join(format!("copy-{turn}"));
        assert!(Command::new("cp").arg("-r").arg(&store).arg(&copy).status().unwrap().success());
        let mut copied = open(&root, &copy, &format!("copied-{turn}"));
        for number in 0..count {
            let key = format!("w-{number}");
            assert_eq!(copied.ask(&format!("get {key}")), format!("{key} 1"), "copy {turn}");
        }
        copied.learn("own");
        assert_eq!(copied.ask("close"), "closed");
        let snapshot = sutra_reader::Reader::open(&copy).unwrap().snapshot().unwrap();
        // Nothing is missing between what it has.
        let numbers = snapshot.concept_count() as usize - 1;
        assert!((0..numbers).all(|n| snapshot.contains(format!("w-{n}").as_str()).unwrap()));
    }
}

#[test]
fn four_agents_and_a_bulk_importer_share_a_store() {
    const BULK: usize = 20_000;
    let root = tempfile::tempdir().unwrap();
    let store = root.path().join("store");
    let mut agents: Vec<Agent> =
        (0..4).map(|number| open(&root, &store, &number.to_string())).collect();
    let mut importer = open(&root, &store, "importer");
    importer.0.tell(&format!("bulk {BULK}"));
    let mut learnt = 0;
    for round in 0..20 {
        for (number, agent) in agents.iter_mut().enumerate() {
            let key = format!("agent-{number}-{round}");
            agent.learn(&key);
            learnt += 1;
            assert_eq!(agent.ask(&format!("get {key}")), format!("{key} 1"));
        }
    }
    let said = importer.0.line();
    assert!(said.starts_with("ok ") && said.ends_with(" 0"), "{said}");
    let reader = sutra_reader::Reader::open(&store).unwrap();
    importer.learn("last");
    let lsn = importer.learn("very last");
    let snapshot = reader.wait_for_lsn(lsn, sutra_tests::wait::DEADLINE).unwrap();
    assert_eq!(snapshot.concept_count(), (BULK + learnt + 2) as u64);
}
