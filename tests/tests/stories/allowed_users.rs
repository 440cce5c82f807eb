//! Only the users and groups that are named may write, when some are.
//!
//! Needs root, to be other users in turn; without it the test says that it was skipped.

use std::os::unix::fs::PermissionsExt;

use sutra_client::Client;
use sutra_coordinator::Options;
use sutra_tests::process::Process;
use sutra_tests::{roles, wait};

const ALLOWED_UID: u32 = 40_001;
const ALLOWED_GID: u32 = 40_002;

#[test]
fn whoever_is_not_named_is_refused_with_a_reason() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: only root can be other users in turn; run this test as root");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let socket = home.path().join("socket");
    let mut options = Options::new(home.path().join("store"));
    options.socket = Some(socket.clone());
    options.socket_mode = 0o666;
    options.allow_uids = vec![ALLOWED_UID];
    options.allow_gids = vec![ALLOWED_GID];
    let coordinator = std::thread::spawn(move || sutra_coordinator::run(options));
    wait::until("the socket", || socket.exists().then_some(()));
    // Connects as another user, in a process of its own; gives what it said.
    let connect_as = |user| {
        let errors = home.path().join("errors");
        Process::start_as(user, home.path(), &roles::connect(&socket), &errors).line()
    };

    for user in [(ALLOWED_UID, 1), (40_003, ALLOWED_GID), (0, 0)] {
        assert_eq!(connect_as(user), "connected", "{user:?}");
    }
    for (uid, gid) in [(40_003, 40_003), (ALLOWED_GID, ALLOWED_UID)] {
        let said = connect_as((uid, gid));
        assert!(said.contains(&format!("not allowed: uid {uid} with gid {gid}")), "{said}");
    }

    Client::builder(home.path().join("store")).socket(&socket).connect().unwrap().stop().unwrap();
    coordinator.join().unwrap().unwrap();
}
