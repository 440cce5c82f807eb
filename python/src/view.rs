//! Vectors as they lie in the mapped file, for numpy to look at.
#![expect(unsafe_code, reason = "the buffer protocol hands out a pointer into the mapping")]

use std::ffi::{c_int, c_void};
use std::ops::Range;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use sutra_store::Held;

use crate::errors;

/// A concept's vector: a read-only buffer of float32 that keeps its snapshot alive.
#[pyclass(frozen, module = "sutra_storage._native")]
pub struct Row {
    held: Held,
    /// Elements and bytes from one to the next, where the buffer's holder can point to.
    shape: [ffi::Py_ssize_t; 1],
    strides: [ffi::Py_ssize_t; 1],
}

#[pymethods]
impl Row {
    /// # Safety
    /// Called by the interpreter, with a buffer structure to fill.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("no place for the buffer"));
        }
        if flags & ffi::PyBUF_WRITABLE == ffi::PyBUF_WRITABLE {
            return Err(PyBufferError::new_err("a vector of a store is read-only; copy it"));
        }
        let row = slf.get();
        let elements = elements(slf.py(), &row.held)?.unwrap_or_default();
        let (start, size) = (elements.as_ptr(), size_of_val(elements) as ffi::Py_ssize_t);
        // SAFETY: `view` is the interpreter's, not null. The elements are truth below the snapshot's
        // counts: they never change, and stay mapped while the snapshot in `row` lives, which the
        // reference in `obj` sees to; so do shape and strides, as the object is frozen. Nobody
        // writes through the pointer, as the buffer says that it is read-only.
        unsafe {
            (*view).buf = start.cast_mut().cast::<c_void>();
            (*view).len = size;
            (*view).itemsize = size_of::<f32>() as ffi::Py_ssize_t;
            (*view).readonly = 1;
            (*view).ndim = 1;
            (*view).format = match flags & ffi::PyBUF_FORMAT == ffi::PyBUF_FORMAT {
                true => c"f".as_ptr().cast_mut(),
                false => std::ptr::null_mut(),
            };
            (*view).shape = row.shape.as_ptr().cast_mut();
            (*view).strides = row.strides.as_ptr().cast_mut();
            (*view).suboffsets = std::ptr::null_mut();
            (*view).internal = std::ptr::null_mut();
            (*view).obj = slf.into_any().into_ptr();
        }
        Ok(())
    }
}

fn elements<'h>(py: Python<'_>, held: &'h Held) -> PyResult<Option<&'h [f32]>> {
    let raised = |failed| errors::raised(py, failed);
    let concept = held.concept().map_err(raised)?;
    concept.embedding().map_err(|failed| raised(failed.into()))
}

/// The concept's vector as a read-only numpy array without a copy; `None` if it has none.
pub fn embedding<'py>(py: Python<'py>, held: &Held) -> PyResult<Option<Bound<'py, PyAny>>> {
    static FROM_BUFFER: PyOnceLock<(Py<PyAny>, Py<PyAny>)> = PyOnceLock::new();
    let Some(found) = elements(py, held)? else {
        return Ok(None);
    };
    let row = Row {
        held: held.clone(),
        shape: [found.len() as ffi::Py_ssize_t],
        strides: [size_of::<f32>() as ffi::Py_ssize_t],
    };
    let (from_buffer, float32) = FROM_BUFFER.get_or_try_init(py, || {
        let numpy = py.import("numpy")?;
        PyResult::Ok((numpy.getattr("frombuffer")?.unbind(), numpy.getattr("float32")?.unbind()))
    })?;
    from_buffer.bind(py).call1((Bound::new(py, row)?, float32.bind(py))).map(Some)
}

/// Copies a part of somebody's buffer of float32 that is one behind the other.
///
/// # Panics
/// If the part is not in it, or it is not of that form.
pub fn copy_of(_: Python<'_>, buffer: &PyBuffer<f32>, part: Range<usize>, copy: &mut Vec<f32>) {
    assert!(part.start <= part.end && part.end <= buffer.item_count(), "outside of the buffer");
    assert!(buffer.is_c_contiguous(), "elements with gaps");
    copy.clear();
    copy.resize(part.len(), 0.0);
    // SAFETY: the part lies in the buffer, whose elements are float32 one behind the other; it stays
    // where it is as long as it is held, and the copy is memory of our own. A thread that writes into
    // the buffer meanwhile spoils the numbers, as it does those of every copy that Python makes.
    unsafe {
        let elements = buffer.buf_ptr().cast::<f32>().cast_const().add(part.start);
        std::ptr::copy_nonoverlapping(elements, copy.as_mut_ptr(), part.len());
    }
}

/// Numbers as a numpy array of its own, of the shape given.
pub fn array<'py, T: Element>(
    py: Python<'py>,
    elements: &[T],
    shape: &[usize],
) -> PyResult<Bound<'py, PyAny>> {
    static NUMPY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let numpy =
        NUMPY.get_or_try_init(py, || PyResult::Ok(py.import("numpy")?.into_any().unbind()))?;
    // SAFETY: numbers without padding, read as the bytes they are made of.
    let bytes = unsafe {
        std::slice::from_raw_parts(elements.as_ptr().cast::<u8>(), size_of_val(elements))
    };
    let bytes = pyo3::types::PyByteArray::new(py, bytes);
    let flat = numpy.bind(py).call_method1("frombuffer", (bytes, T::DTYPE))?;
    match shape {
        [_] => Ok(flat),
        shape => flat.call_method1("reshape", (shape.to_vec(),)),
    }
}

/// A number that numpy has under a name.
pub trait Element: Copy {
    /// The name.
    const DTYPE: &'static str;
}

impl Element for f32 {
    const DTYPE: &'static str = "f4";
}

impl Element for i64 {
    const DTYPE: &'static str = "i8";
}
