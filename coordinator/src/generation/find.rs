//! What is to be forgotten before it can be left out: what is to be purged, and what has expired.

use std::collections::HashMap;

use sutra_layout::Damage;
use sutra_layout::id::{Id, IdForm};
use sutra_layout::lookup::{find_concept, find_edge, newest_record};
use sutra_layout::record::ConceptRecord;
use sutra_layout::slot::Slot;
use sutra_layout::symbol::SymbolTable;
use sutra_layout::sys;
use sutra_layout::view::View;

use super::dead::count_below;
use super::plan::Plan;
use crate::error::CoordinatorError;
use crate::rebuild::PACE;
use crate::symbols::Symbols;

type Result<T> = std::result::Result<T, CoordinatorError>;

/// Before what history is to be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// None of it.
    Nothing,
    /// A log entry.
    Lsn(u64),
    /// A time in microseconds since the Unix epoch.
    Time(u64),
    /// All of it: only what lives stays.
    Everything,
}

/// An id that owns its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnedId {
    /// See [`Id::Text`].
    Text(String),
    /// The key itself.
    Key([u8; 16]),
}

/// A concept by the name of its namespace and its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The namespace's name.
    pub namespace: String,
    /// The id within it.
    pub id: OwnedId,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Before what history is dropped.
    pub before: Before,
    /// Of what nothing is to stay.
    pub purges: Vec<Named>,
}

/// What the loop has to forget.
#[derive(Clone, Debug)]
pub enum Doomed {
    /// A concept.
    Concept {
        /// Which.
        named: Named,
        /// For one whose time is over, the condition that it still is: 0, as for one that is not
        /// there.
        if_lsn: Option<u64>,
    },
    /// An association whose time is over, between concepts that stay.
    Association {
        /// Where it starts, in the namespace of both.
        source: Named,
        /// Where it leads.
        target: OwnedId,
        /// Its type.
        edge_type: u16,
        /// Its newest version; if another came meanwhile, it stays.
        lsn: u64,
    },
}

impl Doomed {
    /// Whether it goes because its time is over.
    pub fn is_expired(&self) -> bool {
        !matches!(self, Doomed::Concept { if_lsn: None, .. })
    }
}

impl OwnedId {
    /// As operations take it.
    pub fn as_id(&self) -> Id<'_> {
        match self {
            OwnedId::Text(text) => Id::Text(text),
            OwnedId::Key(key) => Id::Raw(*key),
        }
    }
}

impl Named {
    /// Of a request.
    pub fn new(namespace: &str, id: &Id<'_>) -> Named {
        let key = id.key(namespace, "");
        let id = match id {
            Id::Text(text) => OwnedId::Text((*text).to_owned()),
            _ => OwnedId::Key(key),
        };
        Named { namespace: namespace.to_owned(), id }
    }

    fn find<'a>(
        &self,
        view: &'a View,
        slot: &Slot,
        symbols: &Symbols,
    ) -> Result<Option<(u64, &'a ConceptRecord)>> {
        let Some(namespace) = symbols.number(SymbolTable::Namespace, &self.namespace) else {
            return Ok(None);
        };
        let key = self.id.as_id().key(&self.namespace, "");
        Ok(find_concept(view, slot, namespace, &key)?)
    }
}

/// Step 1 of a compaction. `check` fails when it is to end.
///
/// # Errors
/// [`CoordinatorError::NothingToPurge`] for a concept that there never was,
/// [`CoordinatorError::FutureHorizon`]; damage.
pub fn find(
    view: &View,
    slot: &Slot,
    request: &Request,
    check: &dyn Fn() -> Result<()>,
) -> Result<Vec<Doomed>> {
    let symbols = Symbols::load(view, slot)?;
    if let Before::Lsn(asked) = request.before
        && asked > slot.published_lsn
    {
        return Err(CoordinatorError::FutureHorizon { asked, published: slot.published_lsn });
    }
    let mut doomed = Vec::new();
    for named in &request.purges {
        let found = named.find(view, slot, &symbols)?;
        let unknown = || CoordinatorError::NothingToPurge { id: named.id.as_id().to_string() };
        let (_, record) = found.ok_or_else(unknown)?;
        if !record.is_tombstone() {
            doomed.push(Doomed::Concept { named: named.clone(), if_lsn: None });
        }
    }
    if request.before != Before::Nothing {
        let names = symbols.names(SymbolTable::Namespace);
        let expired = Expired { view, slot, names, now: sys::clock::now_us(), check };
        expired.concepts(&mut doomed)?;
        expired.associations(&mut doomed)?;
    }
    Ok(doomed)
}

/// Looks for what has expired.
struct Expired<'a> {
    view: &'a View,
    slot: &'a Slot,
    names: HashMap<u32, &'a str>,
    now: u64,
    check: &'a dyn Fn() -> Result<()>,
}

impl Expired<'_> {
    fn is_over(&self, at: u64) -> bool {
        at != 0 && at <= self.now
    }

    fn concepts(&self, doomed: &mut Vec<Doomed>) -> Result<()> {
        if self.slot.records_expiring == 0 {
            return Ok(());
        }
        for concept in 0..self.slot.concepts as u32 {
            if u64::from(concept) % PACE == 0 {
                (self.check)()?;
            }
            let Some((_, record)) = newest_record(self.view, self.slot, concept)? else { continue };
            if self.is_over(record.expires_at) && !record.is_tombstone() {
                let named = named_of(self.view, self.slot, record, &self.names)?;
                doomed.push(Doomed::Concept { named, if_lsn: Some(0) });
            }
        }
        Ok(())
    }

    fn associations(&self, doomed: &mut Vec<Doomed>) -> Result<()> {
        if self.slot.edges_expiring == 0 {
            return Ok(());
        }
        let (view, slot) = (self.view, self.slot);
        // One that goes with a concept is told of twice: the second time there is none.
        let living = |concept| -> Result<Option<&ConceptRecord>> {
            let newest = newest_record(view, slot, concept)?.map(|(_, record)| record);
            Ok(newest.filter(|record| !record.is_tombstone()))
        };
        for ordinal in 0..slot.edges {
            if ordinal % PACE == 0 {
                (self.check)()?;
            }
            let edge = view.edge(ordinal, slot)?;
            if !self.is_over(edge.valid_until) || edge.is_tombstone() {
                continue;
            }
            let newest = find_edge(view, slot, (edge.source, edge.target, edge.edge_type))?;
            if newest.is_none_or(|(newest, _)| u64::from(newest) != ordinal) {
                continue;
            }
            let (Some(source), Some(target)) = (living(edge.source)?, living(edge.target)?) else {
                continue;
            };
            doomed.push(Doomed::Association {
                source: named_of(view, slot, source, &self.names)?,
                target: named_of(view, slot, target, &self.names)?.id,
                edge_type: edge.edge_type,
                lsn: edge.lsn,
            });
        }
        Ok(())
    }
}

fn named_of(
    view: &View,
    slot: &Slot,
    record: &ConceptRecord,
    names: &HashMap<u32, &str>,
) -> Result<Named> {
    let namespace = match record.namespace {
        0 => "",
        number => names.get(&number).copied().ok_or_else(|| {
            Damage::new(0, "a record's namespace", number.into(), "one that has a name")
        })?,
    };
    let id = match record.name.get().checked_sub(1) {
        Some(at) if record.id_form() == IdForm::Text => {
            let name = std::str::from_utf8(view.blob(at, slot)?);
            OwnedId::Text(name.map_err(|_| Damage::new(at, "a name", 0, "UTF-8"))?.to_owned())
        }
        _ => OwnedId::Key(record.id),
    };
    Ok(Named { namespace: namespace.to_owned(), id })
}

/// The plan for a build from version `slot`, in which everything wanted is forgotten.
///
/// # Errors
/// Damage.
pub fn plan_of(view: &View, slot: &Slot, request: &Request) -> Result<Plan> {
    let symbols = Symbols::load(view, slot)?;
    let mut plan = Plan { horizon_lsn: horizon_of(view, slot, request.before)?, ..Plan::default() };
    for named in &request.purges {
        let Some((ordinal, record)) = named.find(view, slot, &symbols)? else { continue };
        // Learnt again meanwhile, it is another: what goes is what was there when it was asked.
        let (mut at, mut version) = (ordinal, record);
        while !version.is_tombstone() {
            let Some(previous) = version.previous.checked_sub(1) else { break };
            (at, version) = (previous, view.record(previous, slot)?);
        }
        if version.is_tombstone() {
            plan.purged.insert(record.concept_ordinal, at);
        }
    }
    Ok(plan)
}

/// The log entry before which history is dropped.
///
/// # Errors
/// Damage.
pub fn horizon_of(view: &View, slot: &Slot, before: Before) -> Result<u64> {
    Ok(match before {
        Before::Nothing => 0,
        Before::Lsn(lsn) => lsn.min(slot.published_lsn),
        Before::Everything => slot.published_lsn,
        Before::Time(time) if time >= slot.published_at => slot.published_lsn,
        Before::Time(time) => {
            // The newest version of a concept that is no younger, as far as clocks go forward.
            let count =
                count_below(slot.records, |at| Ok(view.record(at, slot)?.updated_at <= time))?;
            match count.checked_sub(1) {
                Some(last) => view.record(last, slot)?.lsn,
                None => 0,
            }
        }
    })
}
