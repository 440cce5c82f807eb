//! Namespaces and vector spaces by name.

use std::time::Duration;

use sutra_layout::record::ConceptRecord;
use sutra_layout::space::{GraphSettings, Metric};
use sutra_layout::symbol::SymbolTable;

use crate::error::ReadError;
use crate::snapshot::Snapshot;

/// Which namespaces a query looks into: by default the one without a name, and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespaces<'q> {
    /// The one with that name; empty: the default one.
    One(&'q str),
    /// All of them, the default one too.
    All,
}

impl Default for Namespaces<'_> {
    fn default() -> Self {
        Namespaces::One("")
    }
}

impl<'q> From<&'q str> for Namespaces<'q> {
    fn from(name: &'q str) -> Namespaces<'q> {
        Namespaces::One(name)
    }
}

/// [`Namespaces`] by number, as one snapshot has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    All,
    One(u32),
    /// A name that the store does not have.
    Nothing,
}

impl Scope {
    #[inline]
    pub(crate) fn takes(self, record: &ConceptRecord) -> bool {
        match self {
            Scope::All => true,
            Scope::One(number) => record.namespace == number,
            Scope::Nothing => false,
        }
    }
}

/// A namespace, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceInfo {
    /// Its name; empty: the default one.
    pub name: String,
    /// Concepts in it that are neither forgotten nor expired.
    pub concepts: u64,
    /// How long a concept learnt in it lives unless it is told otherwise; `None`: for ever.
    pub time_to_live: Option<Duration>,
}

/// A vector space, and how much is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceInfo {
    /// What [`crate::NearestQuery::space`] takes.
    pub number: usize,
    /// Its name; empty: the default one.
    pub name: String,
    /// The model that made its vectors, as the caller calls it.
    pub model: String,
    /// Elements of a vector.
    pub dimension: usize,
    /// How nearness is measured.
    pub metric: Metric,
    /// How its graph is built and searched.
    pub graph: GraphSettings,
    /// Vectors in it, those of older versions and of forgotten concepts too.
    pub count: u64,
    /// Those of them that are in the graph; a search looks at each of the others.
    pub indexed: u64,
}

impl Snapshot {
    /// All namespaces, the default one first and the others in the order they were first used. Looks
    /// at every concept.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let snapshot = sutra_reader::Reader::open("knowledge")?.snapshot()?;
    /// for namespace in snapshot.namespaces()? {
    ///     println!("{:?} has {} concepts", namespace.name, namespace.concepts);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn namespaces(&self) -> Result<Vec<NamespaceInfo>, ReadError> {
        let named = self.symbols().all(SymbolTable::Namespace);
        let named = named.into_iter().filter(|(number, _)| *number != 0);
        let mut found: Vec<(u32, NamespaceInfo)> = [(0, "")]
            .into_iter()
            .chain(named)
            .map(|(number, name)| {
                let time_to_live = self.time_to_live_of(number);
                (number, NamespaceInfo { name: name.to_owned(), concepts: 0, time_to_live })
            })
            .collect();
        for ordinal in 0..self.slot().concepts {
            let record = self.present_record(ordinal as u32);
            let Some(record) = record.map_err(|damage| self.damaged(damage))? else { continue };
            // They are sorted by number.
            let at = found.binary_search_by_key(&record.namespace, |(number, _)| *number);
            if let Ok(at) = at {
                found[at].1.concepts += 1;
            }
        }
        Ok(found.into_iter().map(|(_, info)| info).collect())
    }

    /// How long a concept learnt in a namespace lives unless it is told otherwise; `None`: for ever,
    /// or there is no such namespace.
    pub fn time_to_live(&self, namespace: &str) -> Option<Duration> {
        self.time_to_live_of(self.namespace_number(namespace)?)
    }

    fn time_to_live_of(&self, namespace: u32) -> Option<Duration> {
        let micros = self.symbol(SymbolTable::TimeToLive, namespace)?.parse().ok()?;
        Some(Duration::from_micros(micros)).filter(|time| !time.is_zero())
    }

    /// All vector spaces, by number.
    pub fn spaces(&self) -> Result<Vec<SpaceInfo>, ReadError> {
        let info = |number: usize| {
            let space = self.space(number)?;
            Ok(SpaceInfo {
                number,
                name: space.name.clone(),
                model: space.model.clone(),
                dimension: space.dimension,
                metric: space.metric,
                graph: space.graph,
                count: self.slot().spaces[number].count,
                indexed: self.slot().spaces[number].indexed_count,
            })
        };
        (0..self.space_count()).map(info).collect()
    }

    /// The number of the vector space with that name; empty: the default one.
    pub fn space_number(&self, name: &str) -> Result<Option<usize>, ReadError> {
        for number in 0..self.space_count() {
            if self.space(number)?.name == name {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    pub(crate) fn scope(&self, namespaces: Namespaces<'_>) -> Scope {
        match namespaces {
            Namespaces::All => Scope::All,
            Namespaces::One(name) => self.namespace_number(name).map_or(Scope::Nothing, Scope::One),
        }
    }

    /// Whether any namespace but the one without a name was ever used.
    pub(crate) fn has_named_namespaces(&self) -> bool {
        self.symbols().has_any(SymbolTable::Namespace)
    }

    /// The number of a namespace, if it has one.
    pub(crate) fn namespace_number(&self, namespace: &str) -> Option<u32> {
        if namespace.is_empty() {
            return Some(0);
        }
        self.symbols().number(SymbolTable::Namespace, namespace)
    }
}
