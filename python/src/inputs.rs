//! What Python may give for an id, a vector, a matrix, metadata or a filter.

use half::f16;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};
use sutra_client::Associate;
use sutra_layout::id::Id;
use sutra_store::TypeRef;
use sutra_store::reader::{Filter, Value};

use crate::errors;

/// An id that outlives the Python object it came from.
#[derive(Clone, Debug)]
pub enum OwnedId {
    /// Text.
    Text(String),
    /// A `uuid.UUID`: comes back as its 32 hexadecimal digits.
    Hex([u8; 16]),
    /// 16 bytes, which come back as such.
    Raw([u8; 16]),
}

impl OwnedId {
    /// As the store takes it.
    pub fn as_id(&self) -> Id<'_> {
        match self {
            OwnedId::Text(text) => Id::from(text.as_str()),
            OwnedId::Hex(key) => Id::Hex(*key),
            OwnedId::Raw(key) => Id::Raw(*key),
        }
    }
}

/// Calls `act` with the id that a Python object stands for; text is not copied.
pub fn with_id<T>(
    given: &Bound<'_, PyAny>,
    act: impl FnOnce(Id<'_>) -> PyResult<T>,
) -> PyResult<T> {
    if let Ok(text) = given.cast::<PyString>() {
        return act(Id::from(text.to_str()?));
    }
    act(other_id(given)?.as_id())
}

fn other_id(given: &Bound<'_, PyAny>) -> PyResult<OwnedId> {
    let py = given.py();
    let key = |bytes: &[u8]| {
        let sixteen = || errors::invalid(py, format!("an id of {} bytes; give 16", bytes.len()));
        bytes.try_into().map_err(|_| sixteen())
    };
    if let Ok(bytes) = given.cast::<PyBytes>() {
        return Ok(OwnedId::Raw(key(bytes.as_bytes())?));
    }
    if let Ok(bytes) = given.getattr("bytes")
        && let Ok(bytes) = bytes.cast::<PyBytes>()
    {
        return Ok(OwnedId::Hex(key(bytes.as_bytes())?));
    }
    let found = given.get_type().name()?.to_string();
    Err(PyTypeError::new_err(format!("an id is a str, a uuid.UUID or 16 bytes, not {found}")))
}

impl FromPyObject<'_, '_> for OwnedId {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, '_, PyAny>) -> PyResult<OwnedId> {
        match given.cast::<PyString>() {
            Ok(text) => Ok(OwnedId::Text(text.to_str()?.to_owned())),
            Err(_) => other_id(&given),
        }
    }
}

/// Rows of equal size, one behind the other.
#[derive(Debug)]
pub struct Rows {
    /// All elements.
    pub elements: Vec<f32>,
    /// Elements of a row.
    pub dimension: usize,
    /// Whether it was given as a single vector.
    pub is_one: bool,
}

impl Rows {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.elements.len().checked_div(self.dimension).unwrap_or(0)
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Chunks<'_, f32> {
        self.elements.chunks(self.dimension.max(1))
    }
}

/// A vector, or a matrix of one vector a row: a buffer of floats (numpy, array, memoryview, torch
/// on the CPU …), or lists of numbers.
pub fn rows(given: &Bound<'_, PyAny>) -> PyResult<Rows> {
    let py = given.py();
    if let Some((shape, elements)) = from_buffer(given)? {
        let (dimension, is_one) = match shape[..] {
            [dimension] => (dimension, true),
            [_, dimension] => (dimension, false),
            _ => {
                let message = format!("an array of {} dimensions; give one or two", shape.len());
                return Err(errors::invalid(py, message));
            }
        };
        return Ok(Rows { elements, dimension, is_one });
    }
    if let Ok(elements) = given.extract::<Vec<f32>>() {
        return Ok(Rows { dimension: elements.len(), elements, is_one: true });
    }
    let wrong = || {
        PyTypeError::new_err(
            "a vector is a sequence of numbers, and a matrix a sequence of vectors",
        )
    };
    let mut all = Rows { elements: Vec::new(), dimension: 0, is_one: false };
    for (place, row) in given.try_iter().map_err(|_| wrong())?.enumerate() {
        let row = rows(&row?)?;
        if !row.is_one {
            return Err(wrong());
        }
        if place > 0 && row.dimension != all.dimension {
            let message = format!(
                "row {place} has {} elements, and those before it have {}",
                row.dimension, all.dimension
            );
            return Err(errors::error(py, "DimensionMismatchError", message));
        }
        all.dimension = row.dimension;
        all.elements.extend(row.elements);
    }
    Ok(all)
}

/// A single vector.
pub fn vector(given: &Bound<'_, PyAny>) -> PyResult<Vec<f32>> {
    let rows = rows(given)?;
    match rows.is_one {
        true => Ok(rows.elements),
        false => Err(errors::invalid(given.py(), "a matrix where one vector is needed")),
    }
}

type Shaped = Option<(Vec<usize>, Vec<f32>)>;

fn from_buffer(given: &Bound<'_, PyAny>) -> PyResult<Shaped> {
    let py = given.py();
    if let Ok(buffer) = PyBuffer::<f32>::get(given) {
        return Ok(Some((buffer.shape().to_vec(), buffer.to_vec(py)?)));
    }
    if let Ok(buffer) = PyBuffer::<f64>::get(given) {
        let elements = buffer.to_vec(py)?.into_iter().map(|x| x as f32).collect();
        return Ok(Some((buffer.shape().to_vec(), elements)));
    }
    // A half-precision float is no element type that every interpreter knows: read by numpy as what
    // it is made of.
    if let Ok(kind) = given.getattr("dtype")
        && kind.getattr("kind")?.extract::<String>()? == "f"
        && kind.getattr("itemsize")?.extract::<usize>()? == 2
    {
        let shape: Vec<usize> = given.getattr("shape")?.extract()?;
        let bytes = given.call_method0("tobytes")?;
        let bytes = bytes.cast::<PyBytes>()?.as_bytes();
        let halves = bytes.chunks_exact(2).map(|half| f16::from_ne_bytes([half[0], half[1]]));
        return Ok(Some((shape, halves.map(f16::to_f32).collect())));
    }
    Ok(None)
}

/// Metadata as the store keeps it: a `dict` as JSON, a `str` as it is.
pub fn json(given: Option<&Bound<'_, PyAny>>) -> PyResult<Option<String>> {
    let Some(given) = given.filter(|given| !given.is_none()) else {
        return Ok(None);
    };
    if let Ok(text) = given.cast::<PyString>() {
        return Ok(Some(text.to_str()?.to_owned()));
    }
    let py = given.py();
    let options = PyDict::new(py);
    options.set_item("ensure_ascii", false)?;
    let dumps = py.import("json")?.getattr("dumps")?;
    let text = dumps.call((given,), Some(&options)).map_err(|failed| {
        errors::invalid(py, format!("metadata is not JSON: {}", failed.value(py)))
    })?;
    Ok(Some(text.extract()?))
}

/// A filter: text as `sutra list --filter` takes it, or a `dict` of fields and the values they must
/// have, a list being any of its values.
pub fn filter(given: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Filter>> {
    let Some(given) = given.filter(|given| !given.is_none()) else {
        return Ok(None);
    };
    let py = given.py();
    let wrong = |failed: sutra_store::reader::FilterError| errors::invalid(py, failed.to_string());
    if let Ok(text) = given.cast::<PyString>() {
        return Filter::parse(text.to_str()?).map(Some).map_err(wrong);
    }
    let fields = given.cast::<PyDict>().map_err(|_| {
        PyTypeError::new_err("a filter is a str such as \"kind = note\", or a dict of fields")
    })?;
    let mut all: Option<Filter> = None;
    for (field, wanted) in fields {
        let field: String = field.extract()?;
        let one = match wanted.cast::<PyList>() {
            Ok(any) => {
                let any = any.iter().map(|value| value_of(&value)).collect::<PyResult<Vec<_>>>()?;
                Filter::is_in(&field, any)
            }
            Err(_) => Filter::eq(&field, value_of(&wanted)?),
        };
        let one = one.map_err(wrong)?;
        all = Some(match all {
            Some(all) => all.and(one),
            None => one,
        });
    }
    Ok(all)
}

fn value_of(given: &Bound<'_, PyAny>) -> PyResult<Value> {
    if let Ok(truth) = given.extract::<bool>() {
        return Ok(truth.into());
    }
    if let Ok(number) = given.extract::<f64>() {
        return Ok(number.into());
    }
    match given.cast::<PyString>() {
        Ok(text) => Ok(text.to_str()?.into()),
        Err(_) => Err(PyTypeError::new_err("a filter compares with a str, a number or a bool")),
    }
}

/// The type of an association: its name, or its number.
#[derive(Clone, Debug, FromPyObject)]
pub enum OwnedType {
    /// By number.
    Number(u16),
    /// By name.
    Name(String),
}

impl OwnedType {
    /// As the store takes it.
    pub fn as_type(&self) -> TypeRef<'_> {
        match self {
            OwnedType::Number(number) => TypeRef::Number(*number),
            OwnedType::Name(name) => TypeRef::Name(name),
        }
    }
}

/// An association of a bulk write: `(source, target)`, `(source, target, type)` or
/// `(source, target, type, confidence)`.
pub fn with_association<T>(
    given: &Bound<'_, PyAny>,
    create_missing: bool,
    act: impl FnOnce(&Associate<'_>) -> T,
) -> PyResult<T> {
    let wrong = || {
        PyTypeError::new_err(
            "an association is (source, target), (source, target, type) or (source, target, type, \
             confidence)",
        )
    };
    let parts = given.cast::<PyTuple>().map_err(|_| wrong())?;
    if !(2..=4).contains(&parts.len()) {
        return Err(wrong());
    }
    let (source, target): (OwnedId, OwnedId) =
        (parts.get_item(0)?.extract()?, parts.get_item(1)?.extract()?);
    let kind = match parts.get_item(2) {
        Ok(kind) => kind.extract::<OwnedType>()?,
        Err(_) => OwnedType::Number(0),
    };
    let confidence = match parts.get_item(3) {
        Ok(confidence) => Some(confidence.extract()?),
        Err(_) => None,
    };
    Ok(act(&Associate {
        source: source.as_id(),
        target: target.as_id(),
        kind: kind.as_type(),
        confidence,
        create_missing,
        ..Associate::default()
    }))
}
