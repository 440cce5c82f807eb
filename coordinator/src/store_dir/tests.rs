use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::Mode;

use super::*;

/// A place for a store that is yet to be made.
struct Home {
    _root: tempfile::TempDir,
    store: PathBuf,
}

impl Home {
    fn new() -> Home {
        let root = tempfile::tempdir().unwrap();
        Home { store: root.path().join("knowledge"), _root: root }
    }

    /// With the directory already there.
    fn with_directory() -> Home {
        let home = Home::new();
        std::fs::create_dir(&home.store).unwrap();
        home
    }

    fn socket(&self) -> PathBuf {
        self.store.join("coordinator.sock")
    }

    fn acquire(&self) -> Result<StoreDir, StoreDirError> {
        StoreDir::acquire(&self.store, "sutra-coordinator", &self.socket())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.store.join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.store).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn assert_refused_naming_this_process(home: &Home) {
    let error = home.acquire().unwrap_err();
    let expected = format!(
        "{} is being written by sutra-coordinator (pid {}); readers need no lock: open it \
         read-only, or write through its socket {}",
        home.store.display(),
        std::process::id(),
        home.socket().display()
    );
    assert_eq!(error.to_string(), expected);
    assert!(
        matches!(error, StoreDirError::Held { pid: Some(pid), .. } if pid == std::process::id())
    );
}

#[test]
fn a_second_writer_is_refused_and_told_who_writes() {
    let home = Home::new();
    let first = home.acquire().unwrap();
    assert_refused_naming_this_process(&home);
    assert_refused_naming_this_process(&home);

    drop(first);
    home.acquire().unwrap();
}

#[test]
fn removing_the_lock_file_lets_nobody_in() {
    let home = Home::new();
    let _first = home.acquire().unwrap();
    std::fs::remove_file(home.path("writer.lock")).unwrap();
    assert_refused_naming_this_process(&home);
    // Nor does it leave a file that a third one would take for the lock.
    assert!(!home.path("writer.lock").exists());
}

#[test]
fn moving_the_log_away_lets_nobody_in() {
    let home = Home::new();
    let _first = home.acquire().unwrap();
    std::fs::rename(home.path("wal"), home.path("wal.old")).unwrap();
    std::fs::write(home.path("storage.dat"), "").unwrap();
    assert_refused_naming_this_process(&home);
}

#[test]
fn a_holder_that_says_nothing_is_still_a_holder() {
    let home = Home::new();
    let _first = home.acquire().unwrap();
    std::fs::write(home.path("writer.lock"), "").unwrap();
    std::fs::remove_file(home.path("wal/holder")).unwrap();
    let error = home.acquire().unwrap_err();
    assert!(matches!(error, StoreDirError::Held { pid: None, .. }), "{error}");
    assert!(error.to_string().contains("is being written by another process;"), "{error}");
}

#[test]
fn what_a_killed_writer_said_of_itself_is_replaced() {
    let home = Home::new();
    drop(home.acquire().unwrap());
    let stale = "pid 4194305\nprogram long-gone\nsocket /gone\n".repeat(9);
    std::fs::write(home.path("writer.lock"), &stale).unwrap();
    std::fs::write(home.path("wal/holder"), &stale).unwrap();

    let _next = home.acquire().unwrap();
    assert_refused_naming_this_process(&home);
    let text = std::fs::read_to_string(home.path("writer.lock")).unwrap();
    assert!(!text.contains("long-gone") && text.lines().count() == 4, "{text}");
}

#[test]
fn a_writer_that_stops_leaves_no_name() {
    let home = Home::new();
    drop(home.acquire().unwrap());
    assert_eq!(std::fs::read(home.path("writer.lock")).unwrap(), b"");
    assert!(!home.path("wal/holder").exists());
}

#[test]
fn a_directory_of_something_else_is_refused_and_left_alone() {
    let home = Home::with_directory();
    std::fs::write(home.path("thesis.tex"), "mine").unwrap();
    let error = home.acquire().unwrap_err();
    assert!(matches!(error, StoreDirError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains("\"thesis.tex\""), "{error}");
    assert_eq!(home.names(), ["thesis.tex"]);
}

#[test]
fn an_empty_directory_and_the_remains_of_a_first_start_are_not_foreign() {
    let home = Home::with_directory();
    for name in ["wal", "lost+found"] {
        std::fs::create_dir(home.path(name)).unwrap();
    }
    std::fs::write(home.path("writer.lock"), "pid 1").unwrap();
    std::fs::write(home.path("storage.dat.tmp"), "half").unwrap();
    let _socket = UnixListener::bind(home.socket()).unwrap();

    let store = home.acquire().unwrap();
    assert!(!home.path("storage.dat.tmp").exists());
    assert!(store.open_storage().unwrap().is_none());
}

#[test]
fn beside_a_storage_file_anything_may_lie() {
    let home = Home::with_directory();
    std::fs::write(home.path("storage.dat"), "").unwrap();
    std::fs::write(home.path("notes.txt"), "").unwrap();
    home.acquire().unwrap();
}

#[test]
fn a_file_in_place_of_the_directory_is_refused() {
    let home = Home::new();
    std::fs::write(&home.store, "").unwrap();
    let error = home.acquire().unwrap_err();
    assert!(error.to_string().contains("name a directory"), "{error}");
}

#[test]
fn directories_above_the_store_are_made_too() {
    let home = Home::new();
    let deep = home.store.join("a/b");
    let store = StoreDir::acquire(&deep, "test", Path::new("s")).unwrap();
    assert_eq!(store.path(), deep);
    for made in [&deep, &home.store] {
        assert_eq!(mode(made), 0o750);
    }
}

#[test]
fn no_link_is_followed() {
    let home = Home::new();
    drop(home.acquire().unwrap());
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("target");
    std::fs::write(&target, "untouched").unwrap();

    symlink(&target, home.path("storage.dat")).unwrap();
    let store = home.acquire().unwrap();
    let error = store.open_storage().unwrap_err();
    assert!(error.to_string().contains("storage.dat is not a regular file"), "{error}");
    let error = store.create_storage(|_| Ok(())).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    drop(store);

    std::fs::remove_file(home.path("writer.lock")).unwrap();
    symlink(&target, home.path("writer.lock")).unwrap();
    let error = home.acquire().unwrap_err();
    assert!(matches!(error, StoreDirError::NotPlain { .. }), "{error}");
    std::fs::remove_file(home.path("writer.lock")).unwrap();

    std::fs::remove_dir_all(home.path("wal")).unwrap();
    symlink(elsewhere.path(), home.path("wal")).unwrap();
    let error = home.acquire().unwrap_err();
    assert!(matches!(error, StoreDirError::NotPlain { .. }), "{error}");

    assert_eq!(std::fs::read_to_string(&target).unwrap(), "untouched");
}

#[test]
fn a_storage_file_appears_whole_or_not_at_all() {
    let home = Home::new();
    let store = home.acquire().unwrap();
    let failure = store.create_storage(|file| {
        let mut file = file;
        file.write_all(b"half")?;
        assert!(!home.path("storage.dat").exists());
        Err(io::ErrorKind::StorageFull.into())
    });
    assert_eq!(failure.unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(home.names(), ["wal", "writer.lock"]);

    let whole = |mut file: &File| file.write_all(b"whole");
    store.create_storage(whole).unwrap();
    let mut bytes = String::new();
    store.open_storage().unwrap().unwrap().read_to_string(&mut bytes).unwrap();
    assert_eq!(bytes, "whole");
    assert_eq!(home.names(), ["storage.dat", "wal", "writer.lock"]);

    let again = store.create_storage(whole).unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn the_mark_of_a_failed_sync_stays() {
    let home = Home::new();
    let store = home.acquire().unwrap();
    assert_eq!(store.poisoned(), None);
    store.mark_poisoned("fdatasync of 000000000001.wal: Input/output error").unwrap();
    store.mark_poisoned("EIO").unwrap();
    drop(store);
    assert_eq!(home.acquire().unwrap().poisoned().as_deref(), Some("EIO"));

    // A full disk may have left the name only, and anything else under it means no good.
    std::fs::write(home.path("wal/poisoned"), "").unwrap();
    assert!(home.acquire().unwrap().poisoned().is_some());
    std::fs::remove_file(home.path("wal/poisoned")).unwrap();
    symlink("/dev/null", home.path("wal/poisoned")).unwrap();
    assert!(home.acquire().unwrap().poisoned().is_some());
}

#[test]
fn only_a_stale_socket_is_removed() {
    let home = Home::new();
    let store = home.acquire().unwrap();
    store.remove_stale_socket(&home.socket()).unwrap();

    drop(UnixListener::bind(home.socket()).unwrap());
    store.remove_stale_socket(&home.socket()).unwrap();
    assert!(!home.socket().exists());

    std::fs::write(home.socket(), "precious").unwrap();
    let error = store.remove_stale_socket(&home.socket()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(home.socket()).unwrap(), b"precious");
}

#[test]
fn a_socket_elsewhere_is_removed_only_if_nobody_listens() {
    let home = Home::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("shared.sock");
    let store = home.acquire().unwrap();

    let listener = UnixListener::bind(&path).unwrap();
    let error = store.remove_stale_socket(&path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(path.exists());

    drop(listener);
    store.remove_stale_socket(&path).unwrap();
    assert!(!path.exists());
}

const UMASK: &str = "SUTRA_TEST_UMASK";

/// The umask belongs to the process, so each has its own: this test's program, running the one
/// test below.
#[test]
fn modes_do_not_depend_on_the_umask() {
    for umask in ["000", "022", "077"] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store_dir::tests::modes_under_a_umask", "--test-threads=1"])
            .env(UMASK, umask)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "umask {umask}: {text}");
    }
}

#[test]
fn modes_under_a_umask() {
    let Ok(umask) = std::env::var(UMASK) else {
        return;
    };
    let home = Home::new();
    rustix::process::umask(Mode::from_raw_mode(u32::from_str_radix(&umask, 8).unwrap()));
    let store = home.acquire().unwrap();
    store.create_storage(|_| Ok(())).unwrap();
    store.mark_poisoned("test").unwrap();
    for (name, expected) in [
        ("", 0o750),
        ("storage.dat", 0o640),
        ("writer.lock", 0o600),
        ("wal", 0o700),
        ("wal/holder", 0o600),
        ("wal/poisoned", 0o600),
    ] {
        assert_eq!(mode(&home.path(name)), expected, "{name:?}");
    }
}

#[test]
fn modes_of_the_log_and_the_lock_are_put_right_and_that_of_the_directory_is_kept() {
    let home = Home::with_directory();
    std::fs::create_dir(home.path("wal")).unwrap();
    std::fs::write(home.path("writer.lock"), "").unwrap();
    for (name, wrong) in [("", 0o2755), ("wal", 0o755), ("writer.lock", 0o666)] {
        std::fs::set_permissions(home.path(name), PermissionsExt::from_mode(wrong)).unwrap();
    }
    let _store = home.acquire().unwrap();
    assert_eq!(mode(&home.store), 0o2755);
    assert_eq!(mode(&home.path("wal")), 0o700);
    assert_eq!(mode(&home.path("writer.lock")), 0o600);
}

#[test]
fn no_descriptor_outlives_an_exec() {
    let home = Home::new();
    let _store = home.acquire().unwrap();
    // With every other test running beside it, only descriptors below this store's path count.
    let output = Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!text.contains(home.store.to_str().unwrap()), "{text}");
}
