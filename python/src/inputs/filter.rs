//! Filters, as text or as a `dict`.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use sutra_store::reader::{Filter, FilterError, Value};

use crate::errors;

/// A filter: text as `sutra list --filter` takes it, or a `dict` of fields and the values they must
/// have, a list being any of its values.
pub fn filter(given: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Filter>> {
    let Some(given) = given.filter(|given| !given.is_none()) else {
        return Ok(None);
    };
    let py = given.py();
    let wrong = |failed: FilterError| errors::invalid(py, failed.to_string());
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
