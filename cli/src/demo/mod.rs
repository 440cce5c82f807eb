//! `sutra demo`: the whole of it on WordNet's animals, told as it happens.

mod coordinator;
mod message;
pub mod reader;
mod scenes;
mod stage;

use std::path::{Path, PathBuf};

use crate::exit::{Exit, Failure, Outcome};
use stage::Stage;

/// The example's folder when the program was built.
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/wordnet-animals");

/// Show everything, on the animals of WordNet
///
/// Starts a coordinator on a temporary store, imports 7,509 concepts with vectors and 25,947
/// associations, and lets three other processes read it: a concept, its neighbours, a path, the
/// nearest vectors, a live write, and what happens when the coordinator is killed. Takes some
/// seconds and leaves nothing behind.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra demo
  sutra demo --data /usr/share/sutra/examples/wordnet-animals")]
pub struct DemoArgs {
    /// The example's folder [default: examples/wordnet-animals of the source tree]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &DemoArgs) -> Outcome {
    let data = Data::find(args.data.as_deref())?;
    let stage = Stage::new()?;
    let shown = scenes::play(&stage, &data).map_err(|mut failure| {
        let log = stage.log();
        if !log.is_empty() {
            failure.error =
                failure.error.context(format!("the coordinator's log ends with\n{log}\n"));
        }
        failure
    });
    stage.end();
    shown.map(|()| Exit::Done)
}

/// The three files of the example.
#[derive(Debug)]
struct Data {
    /// Concepts, then associations.
    lines: [PathBuf; 2],
    /// One for each concept.
    vectors: PathBuf,
}

impl Data {
    fn find(given: Option<&Path>) -> Result<Data, Failure> {
        let folder = given.unwrap_or(Path::new(DATA));
        let file = |name: &str| {
            let path = folder.join(name);
            match path.is_file() {
                true => Ok(path),
                false => Err(Failure::usage(format!(
                    "{} is not there; give the folder of the example, examples/wordnet-animals of the \
                     source tree, with --data DIR",
                    path.display()
                ))),
            }
        };
        Ok(Data {
            lines: [file("concepts.ndjson")?, file("associations.ndjson")?],
            vectors: file("vectors.f16.npy")?,
        })
    }
}
