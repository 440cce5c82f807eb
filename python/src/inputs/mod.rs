//! What Python may give for an id, a vector, a matrix, metadata or a filter.

mod concept;
mod filter;
mod vectors;

pub use concept::{AssociateArguments, LearnArguments};
pub use filter::filter;
pub use vectors::{Matrix, rows, vector};

use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};
use sutra_client::Associate;
use sutra_layout::id::Id;
use sutra_layout::sys::clock;
use sutra_store::TypeRef;

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

/// When what lives for so many seconds from now on ends; `None` for what nobody said.
pub fn expires_at(py: Python<'_>, expires_in: Option<f64>) -> PyResult<Option<u64>> {
    let Some(seconds) = expires_in else {
        return Ok(None);
    };
    if seconds.is_infinite() && seconds > 0.0 {
        return Ok(Some(0)); // for ever
    }
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) => Ok(Some(clock::now_us().saturating_add(time.as_micros() as u64))),
        Err(_) => Err(errors::invalid(py, format!("expires_in is {seconds}; give seconds from 0"))),
    }
}

/// A time in seconds; for ever if nobody said.
pub fn timeout(py: Python<'_>, seconds: Option<f64>) -> PyResult<Duration> {
    match seconds {
        None => Ok(Duration::MAX),
        Some(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| {
            errors::invalid(py, format!("a timeout of {seconds}; give seconds from 0"))
        }),
    }
}
