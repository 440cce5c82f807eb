//! Vectors and matrices, in the forms that Python has for them.

use half::f16;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors;
use crate::view;

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

/// A matrix that is read row by row: where it lies, if that is a buffer of float32 rows one behind
/// the other, and no second copy of it is made.
#[derive(Debug)]
pub enum Matrix {
    /// Somebody else's, with the elements of a row.
    Lent(PyBuffer<f32>, usize),
    /// Converted from another form.
    Own(Rows),
}

impl Matrix {
    /// What was given as one.
    pub fn of(given: &Bound<'_, PyAny>) -> PyResult<Matrix> {
        if let Ok(buffer) = PyBuffer::<f32>::get(given)
            && let [_, dimension] = *buffer.shape()
            && dimension > 0
            && buffer.is_c_contiguous()
        {
            return Ok(Matrix::Lent(buffer, dimension));
        }
        rows(given).map(Matrix::Own)
    }

    /// How many rows there are.
    pub fn count(&self) -> usize {
        match self {
            Matrix::Lent(buffer, dimension) => buffer.item_count() / dimension,
            Matrix::Own(rows) => rows.count(),
        }
    }

    /// Copies one row.
    pub fn copy_row(&self, py: Python<'_>, at: usize, row: &mut Vec<f32>) {
        match self {
            Matrix::Lent(buffer, dimension) => {
                view::copy_of(py, buffer, at * dimension..(at + 1) * dimension, row);
            }
            Matrix::Own(rows) => {
                row.clear();
                row.extend(rows.iter().nth(at).unwrap_or_default());
            }
        }
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
