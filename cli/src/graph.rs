//! The settings of a vector space's graph, as a line of an export says them.

use serde::{Deserialize, Serialize};
use sutra_layout::space::{GraphSettings, Quantization};

/// `{"m": 16, "ef_construction": 200, "ef": 64, "quantization": "int8"}`; what is left out is as
/// usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GraphFields {
    m: u16,
    ef_construction: u16,
    ef: u16,
    quantization: QuantizationName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum QuantizationName {
    Int8,
    None,
}

impl Default for GraphFields {
    fn default() -> GraphFields {
        GraphSettings::default().into()
    }
}

impl From<GraphSettings> for GraphFields {
    fn from(settings: GraphSettings) -> GraphFields {
        let GraphSettings { m, ef_construction, ef_search, quantization } = settings;
        let quantization = match quantization {
            Quantization::Int8 => QuantizationName::Int8,
            Quantization::None => QuantizationName::None,
        };
        GraphFields { m, ef_construction, ef: ef_search, quantization }
    }
}

impl From<GraphFields> for GraphSettings {
    fn from(fields: GraphFields) -> GraphSettings {
        let quantization = match fields.quantization {
            QuantizationName::Int8 => Quantization::Int8,
            QuantizationName::None => Quantization::None,
        };
        let GraphFields { m, ef_construction, ef, .. } = fields;
        GraphSettings { m, ef_construction, ef_search: ef, quantization }
    }
}
