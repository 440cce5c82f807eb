//! What a store is told once: a vector space, a namespace's time to live.
//!
//! | opcode | operation    | fields behind the presence bits (`u32`, 0) |
//! |-------:|--------------|--------------------------------------------|
//! |      7 | make space   | name, model (strings), dimension (`u32`), metric (`u8`), M, ef_construction, ef (`u16`), quantization (`u8`) |
//! |      8 | time to live | namespace (string), µs (`u64`); 0 ends it   |

use sutra_layout::limits::VECTOR_DIMENSION_MAX;
use sutra_layout::space::{GraphSettings, MODEL_SIZE_MAX, Metric, NAME_SIZE_MAX, Quantization};

use super::code::{ErrorCode, Fault};
use super::wire::{Fields, put_string};

/// Make a vector space.
pub const OPCODE_MAKE_SPACE: u8 = 7;
/// Set a namespace's time to live.
pub const OPCODE_TIME_TO_LIVE: u8 = 8;

/// A vector space to make. The store's first is its default one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MakeSpace<'a> {
    /// At most 64 bytes; only the store's first may have an empty one.
    pub name: &'a str,
    /// The model that makes its vectors, as the caller calls it; at most 128 bytes.
    pub model: &'a str,
    /// Elements of a vector, 1 to 4,096.
    pub dimension: u32,
    /// How nearness is measured.
    pub metric: Metric,
    /// How its graph is built and searched.
    pub graph: GraphSettings,
}

/// How long the concepts of a namespace live unless told otherwise, from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeToLive<'a> {
    /// Which.
    pub namespace: &'a str,
    /// In microseconds; 0 for ever.
    pub time_us: u64,
}

impl<'a> MakeSpace<'a> {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(OPCODE_MAKE_SPACE);
        out.extend_from_slice(&0u32.to_le_bytes());
        put_string(out, self.name);
        put_string(out, self.model);
        out.extend_from_slice(&self.dimension.to_le_bytes());
        out.push(self.metric as u8);
        let GraphSettings { m, ef_construction, ef_search, quantization } = self.graph;
        for setting in [m, ef_construction, ef_search] {
            out.extend_from_slice(&setting.to_le_bytes());
        }
        out.push(quantization as u8);
    }

    pub(crate) fn decode(mut fields: Fields<'a>) -> Result<MakeSpace<'a>, Fault> {
        fields.present(0)?;
        let (name, model) = (fields.symbol("name")?, fields.symbol("model")?);
        if name.len() > NAME_SIZE_MAX {
            return Err(Fault::new(ErrorCode::TooLarge, name.len() as u64, "name"));
        }
        if model.len() > MODEL_SIZE_MAX {
            return Err(Fault::new(ErrorCode::TooLarge, model.len() as u64, "model"));
        }
        let dimension = fields.u32("dimension")?;
        if dimension == 0 || dimension as usize > VECTOR_DIMENSION_MAX {
            return Err(Fault::new(ErrorCode::TooLarge, dimension.into(), "dimension"));
        }
        let number = fields.u8("metric")?;
        let unknown = Fault::new(ErrorCode::Unsupported, number.into(), "metric");
        let metric = Metric::from_number(number).ok_or(unknown)?;
        let [m, ef_construction, ef_search] =
            [fields.u16("M")?, fields.u16("ef_construction")?, fields.u16("ef")?];
        let number = fields.u8("quantization")?;
        let unknown = Fault::new(ErrorCode::Unsupported, number.into(), "quantization");
        let quantization = Quantization::from_number(number).ok_or(unknown)?;
        let graph = GraphSettings { m, ef_construction, ef_search, quantization };
        if let Some((setting, found, _)) = graph.out_of_range() {
            return Err(Fault::new(ErrorCode::TooLarge, found.into(), setting));
        }
        fields.end_of_operation()?;
        Ok(MakeSpace { name, model, dimension, metric, graph })
    }
}

impl<'a> TimeToLive<'a> {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(OPCODE_TIME_TO_LIVE);
        out.extend_from_slice(&0u32.to_le_bytes());
        put_string(out, self.namespace);
        out.extend_from_slice(&self.time_us.to_le_bytes());
    }

    pub(crate) fn decode(mut fields: Fields<'a>) -> Result<TimeToLive<'a>, Fault> {
        fields.present(0)?;
        let namespace = fields.symbol("namespace")?;
        let time_us = fields.u64("time to live")?;
        fields.end_of_operation()?;
        Ok(TimeToLive { namespace, time_us })
    }
}
