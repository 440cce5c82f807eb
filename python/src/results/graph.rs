//! What questions about associations give.

use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList, PyString};
use sutra_store::Held;
use sutra_store::reader::Direction;

use super::{Concept, content_of, id_of, metadata_of};

/// The name of a direction.
pub fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Out => "out",
        Direction::In => "in",
        Direction::Both => "both",
    }
}

/// A concept that an association leads to.
#[pyclass(frozen, module = "sutra_storage")]
pub struct Neighbor {
    pub held: Held,
    pub direction: Direction,
    /// The association's type, by name.
    #[pyo3(get)]
    pub r#type: String,
    /// The association's confidence, 0 to 1.
    #[pyo3(get)]
    pub confidence: f32,
    /// The association's weight.
    #[pyo3(get)]
    pub weight: f32,
}

#[pymethods]
impl Neighbor {
    /// What the concept is called.
    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        id_of(py, &self.held)
    }

    /// Its text.
    #[getter]
    fn content<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        content_of(py, &self.held)
    }

    /// `"out"` if the association leads from the concept asked about, else `"in"`.
    #[getter]
    fn direction(&self) -> &'static str {
        direction_name(self.direction)
    }

    /// The concept.
    #[getter]
    fn concept(&self) -> Concept {
        Concept { held: self.held.clone() }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let id = id_of(py, &self.held)?;
        Ok(format!(
            "Neighbor(id={}, type={:?}, direction={:?})",
            id.repr()?,
            self.r#type,
            direction_name(self.direction)
        ))
    }
}

/// A chain of associations from one concept to another.
#[pyclass(frozen, module = "sutra_storage")]
pub struct Path {
    pub nodes: Vec<Held>,
    /// The associations' types, by name, in order.
    #[pyo3(get)]
    pub types: Vec<String>,
    /// The product of the associations' confidences.
    #[pyo3(get)]
    pub confidence: f32,
    /// The product or sum that `find_paths` ranks it by; of `find_path` the confidence.
    #[pyo3(get)]
    pub score: f64,
}

#[pymethods]
impl Path {
    /// What the concepts are called, both ends included.
    #[getter]
    fn ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let ids = self.nodes.iter().map(|held| id_of(py, held)).collect::<PyResult<Vec<_>>>()?;
        PyList::new(py, ids)
    }

    /// The concepts, both ends included.
    #[getter]
    fn concepts(&self) -> Vec<Concept> {
        self.nodes.iter().map(|held| Concept { held: held.clone() }).collect()
    }

    /// How many associations it has.
    fn __len__(&self) -> usize {
        self.types.len()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Path(ids={})", self.ids(py)?.repr()?))
    }
}

/// An association as it is stored, whichever way it was followed.
#[pyclass(frozen, module = "sutra_storage")]
pub struct Association {
    pub ends: [Held; 2],
    /// Its type, by name.
    #[pyo3(get)]
    pub r#type: String,
    /// 0 to 1.
    #[pyo3(get)]
    pub confidence: f32,
    /// Any number.
    #[pyo3(get)]
    pub weight: f32,
}

#[pymethods]
impl Association {
    /// What the concept is called that it leads from.
    #[getter]
    fn source<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        id_of(py, &self.ends[0])
    }

    /// What the concept is called that it leads to.
    #[getter]
    fn target<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        id_of(py, &self.ends[1])
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (source, target) = (self.source(py)?.repr()?, self.target(py)?.repr()?);
        Ok(format!("Association(source={source}, target={target}, type={:?})", self.r#type))
    }
}

/// A concept among those that surround some.
#[pyclass(frozen, module = "sutra_storage")]
pub struct Expanded {
    pub held: Held,
    pub seed: Held,
    pub from: Option<Held>,
    /// The seed's score times the confidences along the best path to it.
    #[pyo3(get)]
    pub score: f64,
    /// How many associations that path has; 0: it is a seed.
    #[pyo3(get)]
    pub hops: u32,
    /// The type of the last association of that path; `None`: it is a seed.
    #[pyo3(get)]
    pub r#type: Option<String>,
}

#[pymethods]
impl Expanded {
    /// What the concept is called.
    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        id_of(py, &self.held)
    }

    /// Its text.
    #[getter]
    fn content<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        content_of(py, &self.held)
    }

    /// Its metadata; `None` if it has none.
    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        metadata_of(py, &self.held)
    }

    /// The concept.
    #[getter]
    fn concept(&self) -> Concept {
        Concept { held: self.held.clone() }
    }

    /// What the concept is called that the path to it begins at.
    #[getter]
    fn seed<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        id_of(py, &self.seed)
    }

    /// What the concept before it on that path is called; `None`: it is a seed.
    #[getter]
    fn via<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.from.as_ref().map(|from| id_of(py, from)).transpose()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let id = id_of(py, &self.held)?.repr()?;
        Ok(format!("Expanded(id={id}, score={}, hops={})", self.score, self.hops))
    }
}

/// What surrounds some concepts: iterated it gives the concepts.
#[pyclass(frozen, module = "sutra_storage")]
pub struct Expansion {
    /// The concepts, the best first, the seeds among them.
    #[pyo3(get)]
    pub concepts: Py<PyList>,
    /// The associations between them, each once.
    #[pyo3(get)]
    pub associations: Py<PyList>,
    /// Whether a limit left out concepts that could have been given.
    #[pyo3(get)]
    pub is_cut: bool,
    /// Why it stopped before it was done; `None`: it did not. What is given is right, and not all.
    #[pyo3(get)]
    pub stopped: Option<String>,
}

#[pymethods]
impl Expansion {
    fn __len__(&self, py: Python<'_>) -> usize {
        self.concepts.bind(py).len()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.concepts.bind(py).try_iter()
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let associations = self.associations.bind(py).len();
        format!("Expansion({} concepts, {associations} associations)", self.__len__(py))
    }
}
