//! Who writes a store: whether it is alive, answers, fits this version, and what it left behind.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sutra_client::{Client, ClientError, socket};
use sutra_reader::{Reader, WriterStatus};

use super::Finding;
use crate::output;
use crate::store::WriterArgs;

/// How long a coordinator may take to say hello.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What the socket says.
enum Answer {
    /// It is not there.
    None,
    /// It is there, and nobody listens.
    Stale,
    /// A coordinator answers.
    Client(Box<Client>),
    /// This user may not write through it.
    Forbidden,
    /// Somebody listens, and does not speak as it should.
    Failed(ClientError),
}

pub(super) fn examine(args: &WriterArgs) -> (Vec<Finding>, Option<Client>) {
    let store = &args.store;
    let path = args.socket.clone().unwrap_or_else(|| socket::path_in(store));
    let answer = ask(args, &path);
    let status = Reader::open(store).ok().map(|reader| reader.writer());
    // A heartbeat is believed for a second. Whoever stopped within it has erased its name.
    let has_stopped =
        matches!(answer, Answer::None | Answer::Stale) && matches!(holder(store), Holder::Nobody);
    let status = status.filter(|_| !has_stopped);
    let mut findings =
        vec![alive(store, status, &answer), listening(store, &path, status, &answer)];
    findings.extend(poisoned(store));
    findings.push(version(status, &answer));
    let client = match answer {
        Answer::Client(client) => Some(*client),
        _ => None,
    };
    (findings, client)
}

fn ask(args: &WriterArgs, path: &Path) -> Answer {
    match socket::connect_within(path, ANSWER_TIMEOUT) {
        Ok(_) => {}
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => return Answer::None,
            io::ErrorKind::ConnectionRefused => return Answer::Stale,
            io::ErrorKind::PermissionDenied => return Answer::Forbidden,
            _ => {}
        },
    }
    let builder = Client::builder(&args.store).author("sutra doctor").deadline(ANSWER_TIMEOUT);
    match builder.socket(path).connect() {
        Ok(client) => Answer::Client(Box::new(client)),
        // It ended meanwhile.
        Err(ClientError::NotRunning { .. }) if path.exists() => Answer::Stale,
        Err(ClientError::NotRunning { .. }) => Answer::None,
        Err(error) => Answer::Failed(error),
    }
}

fn alive(store: &Path, status: Option<WriterStatus>, answer: &Answer) -> Finding {
    const NAME: &str = "coordinator";
    let place = store.display();
    let start = format!("sutra serve {place}");
    let answers = matches!(answer, Answer::Client(_));
    match status {
        Some(status) if status.alive => {
            Finding::ok(NAME, format!("pid {}, epoch {}", status.pid, status.epoch))
        }
        Some(status) if answers => {
            let pid = status.pid;
            let age = output::span(status.heartbeat_age);
            Finding::note(NAME, format!("pid {pid} answers, and its heartbeat is {age} old"))
        }
        _ if matches!(answer, Answer::Failed(_)) => Finding::fix(
            NAME,
            "it listens, its heart does not beat, and it does not answer: stopped or stuck",
            "let it go on (kill -CONT), or end it and start another one",
        ),
        _ => match holder(store) {
            Holder::Pid(pid) => Finding::fix(
                NAME,
                format!("the last one (pid {pid}) was killed, or the machine was"),
                format!("{start} recovers what it had accepted; readers need none"),
            ),
            _ => Finding::note(NAME, format!("none is running; `{start}` starts one to write")),
        },
    }
}

/// The writer that the locks' files name: a clean stop erases it.
enum Holder {
    Pid(u32),
    Nobody,
    /// This user may not look.
    Unknown,
}

fn holder(store: &Path) -> Holder {
    match std::fs::read_to_string(store.join("writer.lock")) {
        Ok(text) => {
            let pid = text.lines().find_map(|line| line.strip_prefix("pid ")?.parse().ok());
            pid.map_or(Holder::Nobody, Holder::Pid)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Holder::Nobody,
        Err(_) => Holder::Unknown,
    }
}

fn listening(store: &Path, path: &Path, status: Option<WriterStatus>, answer: &Answer) -> Finding {
    const NAME: &str = "socket";
    let place = path.display();
    let is_alive = status.is_some_and(|status| status.alive);
    match answer {
        Answer::Client(_) => Finding::ok(NAME, format!("{place} answers")),
        Answer::None if is_alive => Finding::fix(
            NAME,
            format!(
                "{place} is not there, and a coordinator is alive: it listens elsewhere, or the socket was removed"
            ),
            "give its place with --socket, or restart the coordinator",
        ),
        Answer::None => Finding::ok(NAME, "none, as nobody listens"),
        Answer::Stale => Finding::fix(
            NAME,
            format!("{place} is stale: nobody listens there"),
            format!("sutra serve {} replaces it; or rm {place}", store.display()),
        ),
        Answer::Forbidden => Finding::fix(
            NAME,
            format!("this user may not write through {place}"),
            "join its group, or serve with --mode 0666 in a directory that only friends enter",
        ),
        Answer::Failed(error) => Finding::fix(
            NAME,
            error.to_string(),
            "restart the coordinator; if its version is another, update the older one",
        ),
    }
}

/// The mark of a failed sync.
fn poisoned(store: &Path) -> Option<Finding> {
    let path = store.join("wal/poisoned");
    let reason = match std::fs::read_to_string(&path) {
        Ok(reason) => reason.trim().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return None,
        Err(error) => error.to_string(),
    };
    Some(Finding::fix(
        "log",
        format!("a sync failed ({reason}): what the system shows of the store is not trusted"),
        format!(
            "check the disk; then `sutra serve {}`: the store is made anew from what the disk has, \
             with all that was acknowledged as durable",
            store.display()
        ),
    ))
}

fn version(status: Option<WriterStatus>, answer: &Answer) -> Finding {
    const NAME: &str = "version";
    let own = env!("CARGO_PKG_VERSION");
    if let Answer::Failed(ClientError::Protocol { source, .. }) = answer {
        return Finding::fix(NAME, source.to_string(), "update the older of both programs");
    }
    let pid = match answer {
        Answer::Client(client) => client.writer_pid(),
        _ => status.map_or(0, |status| status.pid),
    };
    match std::fs::read_link(PathBuf::from(format!("/proc/{pid}/exe"))) {
        Ok(program) if pid != 0 && program.to_string_lossy().ends_with(" (deleted)") => {
            Finding::fix(
                NAME,
                format!("the program of the coordinator (pid {pid}) was replaced since it started"),
                "restart it, so that the new version serves",
            )
        }
        _ => Finding::ok(NAME, format!("{own}, and the store's format fits")),
    }
}
