//! What is to be forgotten before it can be left out: what is to be purged, and what has expired.

use std::collections::HashMap;

use sutra_layout::Damage;
use sutra_layout::id::{Id, IdForm};
use sutra_layout::lookup::{find_concept, newest_record};
use sutra_layout::record::ConceptRecord;
use sutra_layout::slot::Slot;
use sutra_layout::symbol::SymbolTable;
use sutra_layout::sys;
use sutra_layout::view::View;

use super::dead::count_below;
use super::plan::Plan;
use crate::error::CoordinatorError;
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

/// A concept that the loop has to forget.
#[derive(Clone, Debug)]
pub struct Doomed {
    /// Which.
    pub named: Named,
    /// For one whose time is over, the condition that it still is: 0, as for one that is not there.
    pub if_lsn: Option<u64>,
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
            doomed.push(Doomed { named: named.clone(), if_lsn: None });
        }
    }
    if request.before == Before::Nothing || slot.records_expiring == 0 {
        return Ok(doomed);
    }
    let names = symbols.names(SymbolTable::Namespace);
    let now = sys::clock::now_us();
    for concept in 0..slot.concepts as u32 {
        if concept % 4096 == 0 {
            check()?;
        }
        let Some((_, record)) = newest_record(view, slot, concept)? else { continue };
        let is_over = record.expires_at != 0 && record.expires_at <= now;
        if is_over && !record.is_tombstone() {
            let named = named_of(view, slot, record, &names)?;
            doomed.push(Doomed { named, if_lsn: Some(0) });
        }
    }
    Ok(doomed)
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
