//! What a store is told once: names that become symbols, vector spaces, times to live.

use sutra_client::protocol::{ErrorCode, F32s, MakeSpace, TimeToLive, TypeRef};
use sutra_layout::limits::VECTOR_SPACES_MAX;
use sutra_layout::space::{Metric, Space};
use sutra_layout::symbol::{FIRST_OWN_TYPE, SYMBOL_HEAD_SIZE, SymbolTable};

use super::{Decider, Place, Stop, refuse};
use crate::apply::{Found, Writer};

/// New symbols that one frame may bring for each table; more wait for the next frame.
const NEW_SYMBOLS_MAX: usize = 4096;
/// Bytes of a time to live as digits, and the symbol around it.
const TIME_TO_LIVE_SIZE: u64 = 36;

impl Decider {
    /// The number of an association type, if it has one yet.
    pub(super) fn check_type(
        &mut self,
        place: Place<'_>,
        kind: TypeRef<'_>,
    ) -> Result<Option<u16>, Stop> {
        match kind {
            TypeRef::Name(name) => {
                self.check_symbol(place, SymbolTable::Type, name)?;
                Ok(place.writer.symbols.number(SymbolTable::Type, name).map(|number| number as u16))
            }
            TypeRef::Number(number) if place.writer.symbols.has_type(number) => Ok(Some(number)),
            TypeRef::Number(number) => refuse(
                ErrorCode::InvalidType,
                number.into(),
                format!(
                    "no association type has number {number}; 0 to 4 are built in and own ones \
                     begin at {FIRST_OWN_TYPE}: give a name to make one"
                ),
            ),
        }
    }

    /// Whether a name is a symbol, or may become one.
    pub(super) fn check_symbol(
        &mut self,
        place: Place<'_>,
        table: SymbolTable,
        name: &str,
    ) -> Result<(), Stop> {
        let writer = place.writer;
        if writer.symbols.number(table, name).is_some() {
            return Ok(());
        }
        let key = (table as u8, name.to_owned());
        if self.symbols.contains_key(&key) {
            return Ok(());
        }
        let new = self.symbols.keys().filter(|(number, _)| *number == table as u8).count();
        if new >= NEW_SYMBOLS_MAX || new as u32 >= writer.symbols.room(table) {
            let limit = table.number_max();
            let message = format!(
                "the name {name} would be one too many: {limit} are possible, and {NEW_SYMBOLS_MAX} \
                 new ones in one frame"
            );
            return refuse(ErrorCode::LimitReached, limit.into(), message);
        }
        self.stand_alone()?;
        self.need.symbols += SYMBOL_HEAD_SIZE + name.len() as u64 + 4;
        self.symbols.insert(key, ());
        Ok(())
    }

    /// Whether a vector fits its space, which it may be the one to make.
    pub(super) fn check_vector(
        &mut self,
        place: Place<'_>,
        number: u8,
        values: F32s<'_>,
    ) -> Result<(), Stop> {
        let (writer, index) = (place.writer, usize::from(number));
        let dimension = values.len() as u64;
        let known = if (index as u64) < writer.now.spaces_count {
            let space = writer.image.view().space(index)?;
            Some((space.dimension as u64, space.metric, described(index, space)))
        } else if index == 0 && !self.makes_space {
            let new = self.decision.new_space.as_ref();
            new.map(|space| (space.dimension as u64, space.metric, "space 0".to_owned()))
        } else {
            let spaces = described_spaces(writer)?;
            let message = format!("there is no vector space {number}; there is {spaces}");
            return refuse(ErrorCode::UnknownVectorSpace, number.into(), message);
        };
        let metric = known.as_ref().map_or(self.metric, |(_, metric, _)| *metric);
        if let Some((expected, _, described)) = &known
            && *expected != dimension
        {
            let message = format!(
                "the vector has {dimension} elements, and vector {described} takes {expected}; give \
                 vectors of its model, or make another space for this one (`sutra space`)"
            );
            return refuse(ErrorCode::DimensionMismatch, *expected, message);
        }
        if metric == Metric::Cosine && values.iter().all(|x| x == 0.0) {
            let message =
                "a vector of zeros has no direction; give another, or use the dot or l2 metric";
            return refuse(ErrorCode::InvalidVector, dimension, message.to_owned());
        }
        if known.is_none() {
            self.stand_alone()?;
            let space = Space::of_default_name(dimension as usize);
            self.decision.new_space = Some(Space { metric, graph: self.graph, ..space });
        }
        Ok(())
    }

    /// Whether a vector space may be made: one in a frame, of a name that is new or means the same.
    pub(super) fn make_space(
        &mut self,
        place: Place<'_>,
        made: &MakeSpace<'_>,
    ) -> Result<Found, Stop> {
        let count = place.writer.now.spaces_count as usize;
        for index in 0..count {
            let space = place.writer.image.view().space(index)?;
            if space.name == made.name {
                let is_same = space.dimension == made.dimension as usize
                    && space.metric == made.metric
                    && space.model == made.model
                    && space.graph == made.graph;
                if is_same {
                    return Ok(Found::Unknown);
                }
                let message = format!(
                    "vector {} is there already; give the new one another name",
                    described(index, space)
                );
                return refuse(ErrorCode::Exists, index as u64, message);
            }
        }
        if made.name.is_empty() && count > 0 {
            let message = format!(
                "only the first vector space can do without a name, and there is {} already",
                described_spaces(place.writer)?
            );
            return refuse(ErrorCode::Exists, 0, message);
        }
        if count >= VECTOR_SPACES_MAX || self.makes_space || self.decision.new_space.is_some() {
            let limit = VECTOR_SPACES_MAX as u64;
            let message = format!("a store has up to {limit} vector spaces, and a frame makes one");
            return refuse(ErrorCode::LimitReached, limit, message);
        }
        self.stand_alone()?;
        self.makes_space = true;
        Ok(Found::Unknown)
    }

    /// A time to live may always be set.
    pub(super) fn time_to_live(
        &mut self,
        place: Place<'_>,
        time_to_live: &TimeToLive<'_>,
    ) -> Result<Found, Stop> {
        self.stand_alone()?;
        self.check_symbol(place, SymbolTable::Namespace, time_to_live.namespace)?;
        self.need.symbols += TIME_TO_LIVE_SIZE;
        Ok(Found::Unknown)
    }
}

fn described(index: usize, space: &Space) -> String {
    let model = if space.model.is_empty() { "" } else { " for " };
    let name = if space.name.is_empty() { "" } else { " " };
    format!("space {index}{name}{}{model}{}", space.name, space.model)
}

fn described_spaces(writer: &Writer) -> Result<String, Stop> {
    let mut spaces = Vec::new();
    for index in 0..writer.now.spaces_count as usize {
        let space = writer.image.view().space(index)?;
        spaces.push(format!("{} with {} elements", described(index, space), space.dimension));
    }
    Ok(if spaces.is_empty() { "none yet".to_owned() } else { spaces.join(", ") })
}
