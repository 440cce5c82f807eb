//! The demo, as a person runs it: all of its story, and nothing left behind.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn demo(temporary: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_sutra"))
        .arg("demo")
        .args(arguments)
        .env("TMPDIR", temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn the_demo_tells_its_whole_story_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let output = demo(temporary.path(), &[]).wait_with_output().unwrap();
    let story = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{story}\n{errors}");
    for expected in [
        "7,509 concepts with 7,509 vectors and 25,947 associations",
        "dog.n.01",
        "path from dog.n.01 to cat.n.01",
        "nearest to wolf.n.01",
        "Reader 3 sees it",
        "is killed",
        "serves again",
        "none applied twice",
    ] {
        assert!(story.contains(expected), "{expected:?} is not in\n{story}");
    }
    assert!(is_empty(temporary.path()), "the demo left something behind");
}

#[test]
fn an_interrupt_at_any_moment_leaves_nothing_behind() {
    for delay_ms in [5, 60, 250, 700] {
        let temporary = tempfile::tempdir().unwrap();
        let mut child = demo(temporary.path(), &[]);
        std::thread::sleep(std::time::Duration::from_millis(delay_ms));
        // Not reaped yet, so the pid is the demo's; it may have ended already, which is fine too.
        let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGINT);
        child.wait().unwrap();
        assert!(
            is_empty(temporary.path()),
            "an interrupt after {delay_ms} ms left something behind"
        );
    }
}

#[test]
fn an_example_that_is_not_there_is_told_with_the_remedy() {
    let temporary = tempfile::tempdir().unwrap();
    let output = demo(temporary.path(), &["--data", "/nowhere"]).wait_with_output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(
        message.contains("/nowhere/concepts.ndjson is not there") && message.contains("--data DIR"),
        "{message}"
    );
}
