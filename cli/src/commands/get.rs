//! `sutra get`: one concept.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use sutra_reader::Concept;

use crate::args::{self, AsOfArgs, NamespaceArgs, now_us};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, OutputArgs, rfc3339};
use crate::store::{self, ReaderArgs};

/// Print a concept
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sutra get knowledge dog.n.01
  sutra get knowledge dog.n.01 --json --embedding | jq '.embedding | length'
  sutra get knowledge todo-7 --namespace alice --as-of 2026-11-20T11:05:17Z
  sutra get knowledge wolf --half-life 30d

Exit code 1: there is no such concept.")]
pub struct GetArgs {
    #[command(flatten)]
    reader: ReaderArgs,
    /// The concept's id; 32 lower-case hexadecimal digits are its key
    id: String,
    /// Print its vector too
    #[arg(long)]
    embedding: bool,
    /// The vector space of that vector, by name [default: that of its newest vector]
    #[arg(long, value_name = "NAME", requires = "embedding")]
    space: Option<String>,
    /// Print its strength as it is after decay too: halved each time that so long has passed since
    /// it was last written or touched
    #[arg(long, value_name = "DURATION", value_parser = args::duration)]
    half_life: Option<Duration>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    as_of: AsOfArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// A concept, as `--json` gives it. What is not there has no key, below `version`.
#[derive(Debug, Serialize)]
pub struct ConceptRow<'s> {
    /// What it is called.
    pub id: String,
    /// Its text.
    pub content: &'s str,
    /// 0 to 1.
    pub strength: f32,
    /// 0 to 1.
    pub confidence: f32,
    /// In RFC 3339.
    pub created_at: String,
    /// In RFC 3339.
    pub updated_at: String,
    /// The log entry that wrote this version.
    pub lsn: u64,
    /// From 1.
    pub version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'s str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'s str,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_access: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effective_strength: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding: Option<Option<&'s [f32]>>,
}

impl<'s> ConceptRow<'s> {
    /// The row of a concept, without its vector.
    pub fn new(concept: &Concept<'s>) -> Result<ConceptRow<'s>, Failure> {
        let access = concept.access()?;
        Ok(ConceptRow {
            id: concept.id()?.to_string(),
            content: concept.content()?,
            strength: concept.strength(),
            confidence: concept.confidence(),
            created_at: rfc3339(concept.created_at()),
            updated_at: rfc3339(concept.updated_at()),
            lsn: concept.lsn(),
            version: concept.version(),
            metadata: concept.metadata()?.map(output::value),
            kind: concept.kind(),
            namespace: concept.namespace(),
            author: concept.author(),
            expires_at: concept.expires_at().map(rfc3339),
            access_count: Some(access.count).filter(|count| *count > 0),
            last_access: access.last_at.map(rfc3339),
            effective_strength: None,
            embedding: None,
        })
    }

    fn print(self) -> Result<(), Failure> {
        let mut pairs = vec![
            ("id", self.id),
            ("content", self.content.to_owned()),
            ("strength", self.strength.to_string()),
            ("confidence", self.confidence.to_string()),
            ("created_at", self.created_at),
            ("updated_at", self.updated_at),
            ("lsn", self.lsn.to_string()),
            ("version", self.version.to_string()),
        ];
        let mut add = |name, value: Option<String>| pairs.extend(value.map(|value| (name, value)));
        add("metadata", self.metadata.map(|metadata| metadata.get().to_owned()));
        add("kind", self.kind.map(str::to_owned));
        add("namespace", (!self.namespace.is_empty()).then(|| self.namespace.to_owned()));
        add("author", self.author.map(str::to_owned));
        add("expires_at", self.expires_at);
        add("access_count", self.access_count.map(|count| count.to_string()));
        add("last_access", self.last_access);
        add("effective_strength", self.effective_strength.map(|strength| strength.to_string()));
        add(
            "embedding",
            self.embedding.map(|embedding| match embedding {
                Some(embedding) => format!("{embedding:?}"),
                None => "none".to_owned(),
            }),
        );
        output::pairs(pairs)
    }
}

/// Runs the command.
pub fn run(args: &GetArgs) -> Outcome {
    let snapshot = args.as_of.of(args.reader.snapshot()?)?;
    let namespace = &args.namespace.namespace;
    let concept = store::concept(&snapshot, &args.reader.store, namespace, &args.id)?;
    let mut row = ConceptRow::new(&concept)?;
    if args.embedding {
        row.embedding = Some(match &args.space {
            None => concept.embedding()?,
            Some(name) => concept.embedding_in(store::space(&snapshot, Some(name))?)?,
        });
    }
    if let Some(half_life) = args.half_life {
        row.effective_strength = Some(concept.effective_strength(half_life, now_us())?);
    }
    if args.output.json {
        output::json(&row)?
    } else {
        row.print()?
    }
    Ok(Exit::Done)
}
