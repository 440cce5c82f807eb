//! What the demo shows, scene by scene.

use std::fs;
use std::io::{IsTerminal, stdout};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use super::Data;
use super::coordinator::Coordinator;
use super::message::{Answer, Ask};
use super::stage::{ReaderProcess, Stage};
use crate::exit::Failure;
use crate::import::{FeedOptions, Import};
use crate::output;

/// Concepts written across the kill, and the one at which it happens.
const LEDGER_COUNT: u32 = 500;
const LEDGER_KILL_AT: u32 = 100;

/// What an answer holds, if it is the one to the question.
macro_rules! answer {
    ($answer:expr, $pattern:pat => $value:expr) => {
        match $answer? {
            $pattern => $value,
            other => return Err(unexpected(&other)),
        }
    };
}

/// The whole story. The stage is cleared at its end, and by its owner if the story breaks off.
pub fn play(stage: &Stage, data: &Data) -> Result<(), Failure> {
    let started = Instant::now();
    say("Sutra: one live knowledge store, many processes. Here it holds the animals of WordNet.")?;

    heading("1. One process writes")?;
    let coordinator = Coordinator::start(stage)?;
    say(&format!(
        "   The coordinator is process {}, ready after {}.",
        coordinator.pid,
        output::span(coordinator.took)
    ))?;
    import(stage, data, &coordinator)?;

    heading("2. Three other processes read: each maps the file, none asks a server")?;
    let mut readers = [stage.start_reader()?, stage.start_reader()?, stage.start_reader()?];
    open(&mut readers)?;
    let before = count(&mut readers[0], None)?;

    heading("3. A concept, its neighbours, a path, the nearest")?;
    ask_around(&mut readers)?;

    heading("4. A write by one process is seen by the others")?;
    live_write(&mut readers)?;

    heading("5. The coordinator is killed with SIGKILL in the middle of writes")?;
    let coordinator = kill(stage, &mut readers, &coordinator)?;

    heading("6. Nothing is lost")?;
    nothing_lost(&mut readers, before)?;
    coordinator.stop(stage)?;
    drop(readers);
    stage.end();
    say(&format!(
        "   The coordinator was stopped, and the temporary store is gone.\n\nAll of it in {}.",
        output::span(started.elapsed())
    ))
}

fn import(stage: &Stage, data: &Data, coordinator: &Coordinator) -> Result<(), Failure> {
    let mut client = coordinator.connect()?;
    let import = Import {
        store: &stage.store(),
        files: &data.lines,
        vectors: Some(&data.vectors),
        options: FeedOptions { batch_count: 1024, namespace: String::new(), is_atomic: false },
        rejects: stage.file("rejects.ndjson"),
        shows_progress: true,
    };
    let summary = import.run(&mut client)?;
    if summary.rejects > 0 {
        let rejects = fs::read_to_string(stage.file("rejects.ndjson")).unwrap_or_default();
        let first = rejects.lines().next().unwrap_or_default();
        return Err(Failure::store(format!(
            "{} lines of the example were rejected, the first: {first}",
            summary.rejects
        )));
    }
    let size = fs::metadata(stage.store().join("storage.dat"))
        .map_or(0, |metadata| metadata.blocks() * 512);
    say(&format!(
        "   Through its socket came {} concepts with {} vectors and {} associations in {}:\n   \
         durable, visible, and {} on disk.",
        output::count(summary.concepts),
        output::count(summary.vectors),
        output::count(summary.associations),
        output::span(Duration::from_secs_f64(summary.seconds)),
        output::size(size),
    ))
}

fn open(readers: &mut [ReaderProcess; 3]) -> Result<(), Failure> {
    for (number, reader) in (1..).zip(readers) {
        let took_ns = answer!(reader.ask(&Ask::Open), Answer::Opened { took_ns } => took_ns);
        say(&format!(
            "   Reader {number} is process {}; opening the store took it {}.",
            reader.pid,
            span(took_ns)
        ))?;
    }
    Ok(())
}

fn ask_around([first, second, third]: &mut [ReaderProcess; 3]) -> Result<(), Failure> {
    let id = || "dog.n.01".to_owned();
    found("Reader 1: get dog.n.01", first, &Ask::Get { id: id() })?;
    found("Reader 2: neighbors dog.n.01", second, &Ask::Neighbors { id: id() })?;
    let path = Ask::Path { from: id(), to: "cat.n.01".into() };
    found("Reader 3: path from dog.n.01 to cat.n.01", third, &path)?;
    let nearest = Ask::Nearest { id: "wolf.n.01".into(), k: 5 };
    found("Reader 1: nearest to wolf.n.01, exact over all vectors", first, &nearest)?;
    let mut largest = 0;
    for reader in [first, second, third] {
        largest = largest.max(
            answer!(reader.ask(&Ask::Memory), Answer::Memory { private_size } => private_size),
        );
    }
    say(&format!(
        "   Each of them holds at most {} of memory of its own; the store is shared.",
        output::size(largest)
    ))
}

fn found(question: &str, reader: &mut ReaderProcess, ask: &Ask) -> Result<(), Failure> {
    let (lines, took_ns) =
        answer!(reader.ask(ask), Answer::Found { lines, took_ns } => (lines, took_ns));
    say(&format!("   {question}  ({})", span(took_ns)))?;
    lines
        .iter()
        .try_for_each(|line| say(&format!("      {}", output::short(&output::plain(line), 110))))
}

fn live_write([writer, others @ ..]: &mut [ReaderProcess; 3]) -> Result<(), Failure> {
    // The first write pays for the connection; the one that is timed does not.
    writer.ask(&Ask::Write { prefix: "greeting".into(), count: 1 })?;
    for other in others.iter_mut() {
        await_concept(other, "news 1")?;
    }
    let (started_at, acknowledged_at) = answer!(
        writer.ask(&Ask::Write { prefix: "news".into(), count: 1 }),
        Answer::Written { started_at, acknowledged_at, .. } => (started_at, acknowledged_at)
    );
    say(&format!(
        "   Reader 1 writes a concept; it is acknowledged as durable after {}.",
        span(acknowledged_at - started_at)
    ))?;
    for (number, other) in (2..).zip(others) {
        let seen_at = answer!(other.receive(), Answer::Seen { seen_at } => seen_at);
        say(&format!(
            "   Reader {number} sees it {} after the write began.",
            span(seen_at.saturating_sub(started_at))
        ))?;
    }
    Ok(())
}

/// Kills the coordinator under a writer, asks the others, and starts it again.
fn kill(
    stage: &Stage,
    [writer, second, third]: &mut [ReaderProcess; 3],
    coordinator: &Coordinator,
) -> Result<Coordinator, Failure> {
    await_concept(second, &format!("ledger {LEDGER_KILL_AT}"))?;
    writer.send(&Ask::Write { prefix: "ledger".into(), count: LEDGER_COUNT })?;
    answer!(second.receive(), Answer::Seen { .. } => ());
    stage.kill(coordinator.pid)?;
    say(&format!(
        "   Reader 1 writes {LEDGER_COUNT} concepts, each durable before the next; after some {LEDGER_KILL_AT} of them\n   \
         the coordinator (process {}) is killed. Nobody writes now, and everybody reads:",
        coordinator.pid
    ))?;
    found("Reader 2: get cat.n.01", second, &Ask::Get { id: "cat.n.01".into() })?;
    found("Reader 3: get news 1", third, &Ask::Get { id: "news 1".into() })?;
    let coordinator = Coordinator::start(stage)?;
    say(&format!(
        "   A new coordinator, process {}, serves again after {}.",
        coordinator.pid,
        output::span(coordinator.took)
    ))?;
    let longest_ns = answer!(writer.receive(), Answer::Written { longest_ns, .. } => longest_ns);
    say(&format!(
        "   Reader 1 went on by itself; the write under the kill took it {}.",
        span(longest_ns)
    ))?;
    Ok(coordinator)
}

fn nothing_lost(readers: &mut [ReaderProcess; 3], before: Counts) -> Result<(), Failure> {
    // The two single writes before the kill, and the ledger.
    let expected = Counts { concepts: before.concepts + 2 + u64::from(LEDGER_COUNT), ..before };
    for (number, reader) in (1..).zip(readers) {
        await_concept(reader, &format!("ledger {LEDGER_COUNT}"))?;
        answer!(reader.receive(), Answer::Seen { .. } => ());
        let (found, applied_twice) = answer!(
            reader.ask(&Ask::Check { prefix: "ledger".into(), count: LEDGER_COUNT }),
            Answer::Checked { found, applied_twice } => (found, applied_twice)
        );
        let now = count(reader, Some(before.lsn))?;
        if found != LEDGER_COUNT
            || applied_twice > 0
            || now != (Counts { lsn: now.lsn, ..expected })
        {
            return Err(Failure::store(format!(
                "reader {number} finds {found} of {LEDGER_COUNT} acknowledged concepts, {applied_twice} of them \
                 applied twice, and {now:?}; expected {expected:?}"
            )));
        }
    }
    say(&format!(
        "   All three readers find all {LEDGER_COUNT} acknowledged concepts, none applied twice, and what was\n   \
         there before is unchanged: {} concepts, {} associations and {} vectors in all.",
        output::count(expected.concepts),
        output::count(expected.edges),
        output::count(expected.vectors)
    ))
}

/// What a reader finds in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    concepts: u64,
    edges: u64,
    vectors: u64,
    lsn: u64,
    digest: u64,
}

fn count(reader: &mut ReaderProcess, up_to_lsn: Option<u64>) -> Result<Counts, Failure> {
    Ok(answer!(
        reader.ask(&Ask::Count { up_to_lsn }),
        Answer::Counted { concepts, edges, vectors, lsn, digest } => Counts { concepts, edges, vectors, lsn, digest }
    ))
}

/// Returns when the process is about to wait; its [`Answer::Seen`] comes later.
fn await_concept(reader: &mut ReaderProcess, id: &str) -> Result<(), Failure> {
    answer!(reader.ask(&Ask::Await { id: id.to_owned() }), Answer::Waiting => ());
    Ok(())
}

fn unexpected(answer: &Answer) -> Failure {
    Failure::store(format!("a reader process gave {answer:?}, which is no answer to its question"))
}

fn span(nanoseconds: u64) -> String {
    output::span(Duration::from_nanos(nanoseconds))
}

fn heading(text: &str) -> Result<(), Failure> {
    match stdout().is_terminal() {
        true => say(&format!("\n\x1b[1m{text}\x1b[0m")),
        false => say(&format!("\n{text}")),
    }
}

fn say(text: &str) -> Result<(), Failure> {
    output::print(&format!("{text}\n"))
}
