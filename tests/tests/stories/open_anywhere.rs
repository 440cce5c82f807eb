//! Any process opens the store and writes, with nothing started before: one hosts, others find it,
//! and when it goes away another takes its place.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sutra_reader::Reader;
use sutra_tests::agent::Agent;
use sutra_tests::wait;
use tempfile::TempDir;

struct Home(TempDir, std::cell::Cell<u32>);

impl Home {
    fn new() -> Home {
        Home(tempfile::tempdir().unwrap(), std::cell::Cell::new(0))
    }

    fn store(&self) -> PathBuf {
        self.0.path().join("store")
    }

    fn errors(&self) -> PathBuf {
        self.1.set(self.1.get() + 1);
        self.0.path().join(format!("errors-{}", self.1.get()))
    }

    fn agent(&self) -> Agent {
        Agent::open(&self.store(), "auto", &self.errors())
    }
}

#[test]
fn the_first_to_open_hosts_and_the_others_write_through_it() {
    let home = Home::new();
    let (mut first, mut second) = (home.agent(), home.agent());
    let lsn = second.learn("wolf");
    assert!(first.is_host() && !second.is_host());
    assert_eq!(second.ask("get wolf"), "wolf 1");
    // Another handle waits for that LSN.
    let reader = Reader::open(home.store()).unwrap();
    let snapshot = reader.wait_for_lsn(lsn, wait::DEADLINE).unwrap();
    assert!(snapshot.contains("wolf").unwrap());
    assert_eq!(first.learn("dog"), lsn + 1);
}

#[test]
fn when_the_host_closes_another_takes_over_and_when_all_have_closed_the_store_is_clean() {
    let home = Home::new();
    let (mut first, mut second) = (home.agent(), home.agent());
    second.learn("a");
    assert_eq!(first.ask("close"), "closed");
    second.learn("b");
    assert!(second.is_host());
    assert_eq!(second.ask("close"), "closed");
    assert!(!home.store().join("coordinator.sock").exists());
    // A copy of the file alone opens anywhere.
    let copy = home.0.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    std::fs::copy(home.store().join("storage.dat"), copy.join("storage.dat")).unwrap();
    let snapshot = Reader::open(&copy).unwrap().snapshot().unwrap();
    assert!(snapshot.contains("a").unwrap() && snapshot.contains("b").unwrap());
}

#[test]
fn a_host_that_is_killed_is_followed_though_it_left_a_sleeping_child() {
    let home = Home::new();
    let (mut first, mut second) = (home.agent(), home.agent());
    second.learn("a");
    let child = Pid::from_raw(first.ask("fork").parse().unwrap());
    first.0.kill();
    second.learn("b"); // a hang would be an error at the handle's deadline
    let child_lived = kill(child, None).is_ok();
    let _ = kill(child, Signal::SIGKILL);
    assert!(child_lived, "the child is to outlive its parent");
    assert!(second.is_host());
    assert_eq!(second.ask("get a"), "a 1");
}

#[test]
fn a_forked_childs_handle_opens_for_itself() {
    let home = Home::new();
    let mut host = home.agent();
    host.learn("a");
    assert!(host.is_host());
    let said = host.ask("child b");
    assert!(said.starts_with("ok ") && said.ends_with(", b 1"), "{said}");
    assert_eq!(host.ask("get b"), "b 1");
    host.learn("c");
}

#[test]
fn a_stopped_host_is_named_at_the_deadline_and_goes_on_later() {
    let home = Home::new();
    let mut host = home.agent();
    host.learn("a");
    let deadline = Duration::from_millis(300);
    let mut other = Agent::open_within(&home.store(), "auto", deadline, &home.errors());
    let mut connected = Agent::open_within(&home.store(), "auto", deadline, &home.errors());
    connected.learn("b");
    host.0.signal(Signal::SIGSTOP);
    let pid = format!("pid: Some({})", host.0.pid());
    for agent in [&mut other, &mut connected] {
        let said = agent.ask("learn c");
        assert!(said.contains("CoordinatorStalled") && said.contains(&pid), "{said}");
        // Reading needs nobody.
        assert_eq!(agent.ask("get a"), "a 1");
    }
    host.0.signal(Signal::SIGCONT);
    other.learn("d");
    assert!(!other.is_host());
}

#[test]
fn embedded_mode_writes_alone_and_others_read() {
    let home = Home::new();
    let mut alone = Agent::open(&home.store(), "embedded", &home.errors());
    alone.learn("a");
    assert!(!home.store().join("coordinator.sock").exists());
    let mut other = home.agent();
    assert_eq!(other.ask("get a"), "a 1");
    let said = other.ask("learn b");
    assert!(said.contains("WrittenElsewhere"), "{said}");
    assert_eq!(alone.ask("close"), "closed");
    other.learn("b");
}
