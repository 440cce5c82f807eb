//! Only the users and groups that are named may write, when some are.
//!
//! Needs root, to be other users in turn; without it the test says that it was skipped.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use sutra_client::{Client, ClientError, ErrorCode};
use sutra_coordinator::Options;

/// Where the other user is to connect; set for the process that is this other user.
const SOCKET: &str = "SUTRA_TEST_SOCKET";
const ALLOWED_UID: u32 = 40_001;
const ALLOWED_GID: u32 = 40_002;

/// Connects as another user, in a process of its own; gives what it said.
fn connect_as(program: &Path, socket: &Path, uid: u32, gid: u32) -> String {
    let output = Command::new(program)
        .args(["--exact", "connect_as_another_user", "--ignored", "--nocapture"])
        .env(SOCKET, socket)
        .current_dir("/")
        .uid(uid)
        .gid(gid)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
#[ignore = "it is started by the other test, as another user"]
fn connect_as_another_user() {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    match Client::builder("/").socket(&socket).connect() {
        Ok(_) => println!("connected"),
        Err(ClientError::Disconnected { code: ErrorCode::NotAllowed, message }) => {
            println!("not allowed: {message}");
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn whoever_is_not_named_is_refused_with_a_reason() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: only root can be other users in turn; run this test as root");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = home.path().join("another-user");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let socket = home.path().join("socket");
    let mut options = Options::new(home.path().join("store"));
    options.socket = Some(socket.clone());
    options.socket_mode = 0o666;
    options.allow_uids = vec![ALLOWED_UID];
    options.allow_gids = vec![ALLOWED_GID];
    let coordinator = std::thread::spawn(move || sutra_coordinator::run(options));
    while !socket.exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }

    for (uid, gid) in [(ALLOWED_UID, 1), (40_003, ALLOWED_GID), (0, 0)] {
        assert!(connect_as(&program, &socket, uid, gid).contains("\nconnected"), "{uid} {gid}");
    }
    for (uid, gid) in [(40_003, 40_003), (ALLOWED_GID, ALLOWED_UID)] {
        let said = connect_as(&program, &socket, uid, gid);
        assert!(said.contains(&format!("not allowed: uid {uid} with gid {gid}")), "{said}");
    }

    Client::builder(home.path().join("store")).socket(&socket).connect().unwrap().stop().unwrap();
    coordinator.join().unwrap().unwrap();
}
