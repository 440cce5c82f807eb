//! `sutra doctor`: what keeps a store from working well here, each with what mends it.
//!
//! Nothing is changed, created or started. A connection to the coordinator is made and closed.

mod limits;
mod place;
mod writer;

use std::path::Path;

use serde::Serialize;

use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, OutputArgs};
use crate::store::WriterArgs;

/// Look for what keeps a store from working well here, and print what mends it
///
/// The file system, permissions, a stale socket, a dead host, versions that do not fit, limits and
/// space. `sutra verify` looks into the file itself.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra doctor knowledge
  sutra doctor knowledge --json | jq '.findings[] | select(.fix)'

Exit code 1: something needs to be mended.")]
pub struct DoctorArgs {
    #[command(flatten)]
    writer: WriterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// What was found, as `--json` gives it.
#[derive(Serialize)]
struct Diagnosis {
    healthy: bool,
    findings: Vec<Finding>,
}

/// One thing looked at.
#[derive(Debug, Serialize)]
struct Finding {
    name: &'static str,
    state: State,
    detail: String,
    fix: Option<String>,
}

/// How it is with a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// As it should be.
    Ok,
    /// Worth knowing, and no fault.
    Note,
    /// To be mended.
    Fix,
}

impl Finding {
    fn ok(name: &'static str, detail: impl Into<String>) -> Finding {
        Finding { name, state: State::Ok, detail: detail.into(), fix: None }
    }

    fn note(name: &'static str, detail: impl Into<String>) -> Finding {
        Finding { name, state: State::Note, detail: detail.into(), fix: None }
    }

    fn fix(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding { name, state: State::Fix, detail: detail.into(), fix: Some(fix.into()) }
    }
}

/// Runs the command.
pub fn run(args: &DoctorArgs) -> Outcome {
    let store = &args.writer.store;
    if !store.join(sutra_reader::STORAGE_FILE).try_exists().unwrap_or(true) {
        let (path, store) = (store.join(sutra_reader::STORAGE_FILE), store.display());
        return Err(Failure::store(format!(
            "{} does not exist; `sutra serve {store}` makes a store there",
            path.display()
        )));
    }
    let findings = examine(&args.writer);
    let healthy = findings.iter().all(|finding| finding.state != State::Fix);
    if args.output.json {
        output::json(&Diagnosis { healthy, findings })?;
    } else {
        output::print(&output::plain(&describe(store, &findings)))?;
    }
    Ok(if healthy { Exit::Done } else { Exit::NotFound })
}

fn examine(args: &WriterArgs) -> Vec<Finding> {
    let store = &args.store;
    let mut findings = place::examine(store);
    let (of_writer, client) = writer::examine(args);
    findings.extend(of_writer);
    findings.extend(limits::examine(store, client));
    findings
}

fn describe(store: &Path, findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { name, state, detail, fix } in findings {
        let mark = match state {
            State::Ok => "ok  ",
            State::Note => "note",
            State::Fix => "FIX ",
        };
        text += &format!("{mark}  {name}: {detail}\n");
        if let Some(fix) = fix {
            text += &format!("      {fix}\n");
        }
    }
    let fix_count = findings.iter().filter(|finding| finding.state == State::Fix).count();
    text += &match fix_count {
        0 => format!("{} is well\n", store.display()),
        1 => format!("{} needs one thing mended\n", store.display()),
        count => format!("{} needs {count} things mended\n", store.display()),
    };
    text
}
