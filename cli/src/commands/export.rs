//! `sutra export`: all that is in a store, as the NDJSON that `sutra import` reads.
//!
//! | order | lines | why there |
//! |------:|-------|-----------|
//! | 1 | the first vector space | before its vectors |
//! | 2 | concepts, each with its vector in the first space | before what refers to them |
//! | 3 | each further vector space, then the vectors in it | the first one must be made before |
//! | 4 | associations, in the order in which they were made | so that newest first stays so |
//! | 5 | times to live | else they would end concepts that have no end |

use std::collections::HashSet;

use serde::Serialize;
use serde_json::value::RawValue;
use sutra_reader::{Association, Concept, ConceptId, ConceptQuery, Filter, Namespaces, Snapshot};

use super::follow::type_text;
use crate::args::{AsOfArgs, FilterArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::graph::GraphFields;
use crate::output::{self, rfc3339};
use crate::store::ReaderArgs;

/// Bytes that are printed at once.
const PIECE_SIZE: usize = 1 << 16;

/// Print a store as NDJSON that `sutra import` reads
///
/// Concepts with id, content, strength, confidence, vectors, metadata, kind, namespace, created_at
/// and expires_at; associations; vector spaces; times to live. What was forgotten, has ended or
/// expired, versions before the newest, authors and access counts stay behind. Readers and the
/// coordinator are not disturbed: one snapshot is read.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra export knowledge > knowledge.ndjson
  sutra export knowledge | sutra import copy -
  sutra export knowledge --namespace alice --as-of 2026-11-20T00:00:00Z | gzip > alice.ndjson.gz
  sutra export knowledge --filter 'meta.pos = n' | sutra import nouns -

With a filter, an association goes along if both its ends do.")]
pub struct ExportArgs {
    #[command(flatten)]
    reader: ReaderArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// Only this namespace [default: all of them]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    #[command(flatten)]
    as_of: AsOfArgs,
}

#[derive(Serialize)]
struct SpaceLine<'s> {
    vector_space: &'s str,
    model: &'s str,
    dimension: usize,
    metric: &'static str,
    graph: GraphFields,
}

#[derive(Serialize)]
struct ConceptLine<'s> {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_form: Option<&'static str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'s str,
    content: &'s str,
    strength: f32,
    confidence: f32,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding: Option<&'s [f32]>,
}

#[derive(Serialize)]
struct VectorLine<'s> {
    id: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'s str,
    space: &'s str,
    embedding: &'s [f32],
}

#[derive(Serialize)]
struct AssociationLine<'s> {
    source: String,
    target: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'s str,
    confidence: f32,
    weight: f32,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_until: Option<String>,
}

#[derive(Serialize)]
struct TimeToLiveLine<'s> {
    namespace: &'s str,
    time_to_live: String,
}

/// Runs the command.
pub fn run(args: &ExportArgs) -> Outcome {
    let filter = args.filter.parse()?;
    let snapshot = args.as_of.of(args.reader.snapshot()?)?;
    let export = Export {
        snapshot: &snapshot,
        namespace: args.namespace.as_deref(),
        filter: filter.as_ref(),
    };
    let mut out = Out::default();
    export.write(&mut out)?;
    output::print(&out.text)?;
    Ok(Exit::Done)
}

/// What is to be exported.
struct Export<'e> {
    snapshot: &'e Snapshot,
    namespace: Option<&'e str>,
    filter: Option<&'e Filter>,
}

impl Export<'_> {
    fn write(&self, out: &mut Out) -> Result<(), Failure> {
        let spaces = self.snapshot.spaces()?;
        for (number, space) in spaces.iter().enumerate() {
            let line = SpaceLine {
                vector_space: &space.name,
                model: &space.model,
                dimension: space.dimension,
                metric: space.metric.name(),
                graph: space.graph.into(),
            };
            out.line(&line)?;
            if number > 0 {
                self.vectors(number, &space.name, out)?;
            } else {
                self.concepts(out)?;
            }
        }
        if spaces.is_empty() {
            self.concepts(out)?;
        }
        self.associations(out)?;
        self.times_to_live(out)
    }

    fn wanted(&self) -> impl Iterator<Item = Result<Concept<'_>, Failure>> {
        let namespaces = self.namespace.map_or(Namespaces::All, Namespaces::One);
        let query = ConceptQuery { filter: self.filter, namespaces };
        self.snapshot.concepts_where(&query).map(|concept| Ok(concept?))
    }

    fn concepts(&self, out: &mut Out) -> Result<(), Failure> {
        for concept in self.wanted() {
            let concept = concept?;
            let id = concept.id()?;
            out.line(&ConceptLine {
                id: id.to_string(),
                id_form: match id {
                    ConceptId::Text(_) | ConceptId::Hex(_) => None,
                    ConceptId::Raw(_) => Some("raw"),
                    ConceptId::Content(_) => Some("content"),
                },
                namespace: concept.namespace(),
                content: concept.content()?,
                strength: concept.strength(),
                confidence: concept.confidence(),
                created_at: rfc3339(concept.created_at()),
                kind: concept.kind(),
                metadata: concept.metadata()?.map(verbatim),
                expires_at: concept.expires_at().map(rfc3339),
                embedding: concept.embedding_in(0)?,
            })?;
        }
        Ok(())
    }

    fn vectors(&self, number: usize, space: &str, out: &mut Out) -> Result<(), Failure> {
        for concept in self.wanted() {
            let concept = concept?;
            if let Some(embedding) = concept.embedding_in(number)? {
                let (id, namespace) = (concept.id()?.to_string(), concept.namespace());
                out.line(&VectorLine { id, namespace, space, embedding })?;
            }
        }
        Ok(())
    }

    fn associations(&self, out: &mut Out) -> Result<(), Failure> {
        let is_whole = self.namespace.is_none() && self.filter.is_none();
        let mut wanted = HashSet::new();
        if !is_whole {
            for concept in self.wanted() {
                wanted.insert(concept?.ordinal());
            }
        }
        for change in self.snapshot.changes(0)? {
            let change = change?;
            let Some(association) = change.association() else {
                continue;
            };
            let ends = [association.source(), association.target()];
            if !is_whole && !ends.iter().all(|end| wanted.contains(end)) {
                continue;
            }
            if self.is_live(&association)? {
                self.association(&association, out)?;
            }
        }
        Ok(())
    }

    /// Whether this version of an association is the newest, and holds.
    fn is_live(&self, association: &Association<'_>) -> Result<bool, Failure> {
        if association.is_tombstone() {
            return Ok(false);
        }
        let over = |until: u64| until <= self.snapshot.read_time();
        if association.valid_until().is_some_and(over) {
            return Ok(false);
        }
        let (source, target) = (association.source(), association.target());
        let newest = self.snapshot.association_between(source, target, association.edge_type())?;
        Ok(newest.is_some_and(|newest| newest.ordinal() == association.ordinal()))
    }

    fn association(&self, association: &Association<'_>, out: &mut Out) -> Result<(), Failure> {
        let source = self.snapshot.concept(association.source())?;
        let target = self.snapshot.concept(association.target())?;
        // One of them may have expired.
        let (Some(source), Some(target)) = (source, target) else {
            return Ok(());
        };
        out.line(&AssociationLine {
            source: source.id()?.to_string(),
            target: target.id()?.to_string(),
            kind: type_text(self.snapshot, association.edge_type()),
            namespace: source.namespace(),
            confidence: association.confidence(),
            weight: association.weight(),
            created_at: rfc3339(association.created_at()),
            properties: association.properties()?.map(verbatim),
            valid_until: association.valid_until().map(rfc3339),
        })
    }

    fn times_to_live(&self, out: &mut Out) -> Result<(), Failure> {
        for found in self.snapshot.namespaces()? {
            if self.namespace.is_some_and(|wanted| wanted != found.name) {
                continue;
            }
            if let Some(time) = found.time_to_live {
                let (namespace, time_to_live) = (found.name.as_str(), output::duration(time));
                out.line(&TimeToLiveLine { namespace, time_to_live })?;
            }
        }
        Ok(())
    }
}

/// Lines on their way out.
#[derive(Default)]
struct Out {
    text: String,
}

impl Out {
    fn line(&mut self, line: &impl Serialize) -> Result<(), Failure> {
        self.text += &output::json_line(line)?;
        if self.text.len() >= PIECE_SIZE {
            output::print(&self.text)?;
            self.text.clear();
        }
        Ok(())
    }
}

/// Metadata as it was given: as an object where that stays on one line, else as a text.
fn verbatim(text: &str) -> Box<RawValue> {
    let is_line = text.starts_with('{') && !text.contains(['\n', '\r']);
    let object = is_line.then(|| RawValue::from_string(text.to_owned()).ok()).flatten();
    // Space around it would be lost.
    object.filter(|object| object.get() == text).unwrap_or_else(|| {
        let text = serde_json::to_string(text).expect("a text is JSON");
        RawValue::from_string(text).expect("a text is JSON")
    })
}
