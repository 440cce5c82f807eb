//! The errors of the store as the exceptions of `sutra_storage._errors`.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyModule, PyType};
use sutra_store::reader::{OpenError, ReadError};
use sutra_store::{
    BatchReceipt, ClientError, CoordinatorError, ErrorCode, OperationError, StoreError,
};

static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();

const ENOSPC: i32 = 28;

/// An exception of that class.
pub fn error(py: Python<'_>, class: &str, message: String) -> PyErr {
    let module = MODULE
        .get_or_try_init(py, || PyModule::import(py, "sutra_storage._errors").map(Bound::unbind));
    let found = module.and_then(|module| module.bind(py).getattr(class));
    match found.and_then(|class| Ok(class.cast_into::<PyType>()?)) {
        Ok(class) => PyErr::from_type(class, (message,)),
        // The package is being torn down with the interpreter.
        Err(_) => PyRuntimeError::new_err(message),
    }
}

/// One that says that an argument cannot be used.
pub fn invalid(py: Python<'_>, message: impl Into<String>) -> PyErr {
    error(py, "InvalidInputError", message.into())
}

/// The exception for an error of the store.
pub fn raised(py: Python<'_>, failed: StoreError) -> PyErr {
    let class = class_of(&failed);
    let raised = error(py, class, failed.to_string());
    let noted = match failed {
        StoreError::CoordinatorStalled { pid, .. } => raised.value(py).setattr("pid", pid),
        _ if class == "StorageFullError" => raised.value(py).setattr("errno", ENOSPC),
        _ => Ok(()),
    };
    noted.err().unwrap_or(raised)
}

/// The exception for a bulk write of which a part was refused.
pub fn raised_in_bulk(py: Python<'_>, receipt: &BatchReceipt) -> PyErr {
    let (count, first) = (receipt.errors.len(), &receipt.errors[0]);
    let message = format!(
        "{count} operations of the batch were not applied, the first at place {}: {}",
        first.index, first.message
    );
    let raised = error(py, "BatchError", message);
    let pair = |error: &OperationError| (error.index, error.message.clone());
    let errors: Vec<_> = receipt.errors.iter().map(pair).collect();
    let value = raised.value(py);
    let noted =
        value.setattr("errors", errors).and_then(|()| value.setattr("last_lsn", receipt.last_lsn));
    noted.err().unwrap_or(raised)
}

fn class_of(error: &StoreError) -> &'static str {
    if let Some(code) = error.code() {
        return class_of_code(code);
    }
    match error {
        StoreError::Open(error) => class_of_open(error),
        StoreError::NeedsRecovery { .. } => "NeedsRecoveryError",
        StoreError::Read(error) => class_of_read(error),
        StoreError::UnknownConcept { .. } => "UnknownConceptError",
        StoreError::Client(ClientError::NoStore { .. }) => "StoreNotFoundError",
        StoreError::Filter(_)
        | StoreError::Batch(_)
        | StoreError::Mode(_)
        | StoreError::Environment { .. }
        | StoreError::NoPath => "InvalidInputError",
        StoreError::CoordinatorStalled { .. } => "CoordinatorStalledError",
        StoreError::NoWriter { .. } | StoreError::NotRunning(_) => "NoWriterError",
        StoreError::Client(ClientError::NotListening { .. }) => "NoWriterError",
        StoreError::Client(ClientError::NotLoopback { .. }) => "InvalidInputError",
        StoreError::NotAllowed { .. } => "NotAllowedError",
        StoreError::WrittenElsewhere { .. } => "WrittenElsewhereError",
        StoreError::ReadOnly { .. } | StoreError::NotWritable { .. } => "ReadOnlyError",
        StoreError::Unanswered(_) => "UnansweredError",
        StoreError::OtherVectors { .. }
        | StoreError::Host(CoordinatorError::OtherDimension { .. }) => "DimensionMismatchError",
        StoreError::Host(CoordinatorError::BadDimension { .. }) => "InvalidInputError",
        StoreError::Host(CoordinatorError::StorageFull { .. }) => "StorageFullError",
        StoreError::Host(CoordinatorError::Damaged { .. }) => "DamagedError",
        _ => "Error",
    }
}

fn class_of_code(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::UnknownConcept | ErrorCode::UnknownAssociation => "UnknownConceptError",
        ErrorCode::DimensionMismatch => "DimensionMismatchError",
        ErrorCode::StorageFull | ErrorCode::LimitReached => "StorageFullError",
        ErrorCode::Conflict => "ConflictError",
        ErrorCode::StoppedEarly => "StoppedEarlyError",
        ErrorCode::ReadOnly => "ReadOnlyError",
        ErrorCode::InvalidVector
        | ErrorCode::TooLarge
        | ErrorCode::InvalidId
        | ErrorCode::InvalidType
        | ErrorCode::InvalidText
        | ErrorCode::InvalidNumber
        | ErrorCode::UnknownVectorSpace
        | ErrorCode::Exists => "InvalidInputError",
        _ => "Error",
    }
}

fn class_of_open(error: &OpenError) -> &'static str {
    match error {
        OpenError::NotFound { .. } | OpenError::NotAStore { .. } => "StoreNotFoundError",
        OpenError::NeedsRecovery { .. } => "NeedsRecoveryError",
        OpenError::Damaged { .. } => "DamagedError",
        OpenError::NotReadable { .. } => "ReadOnlyError",
        _ => "Error",
    }
}

fn class_of_read(error: &ReadError) -> &'static str {
    match error {
        ReadError::Damaged { .. } => "DamagedError",
        ReadError::WrongDimension { .. } => "DimensionMismatchError",
        ReadError::Timeout { .. } => "WaitTimeoutError",
        ReadError::StoppedEarly { .. } => "StoppedEarlyError",
        ReadError::InvalidId(_)
        | ReadError::NoId
        | ReadError::NoWords
        | ReadError::NoSuchSpace { .. }
        | ReadError::NotFinite { .. }
        | ReadError::ZeroVector
        | ReadError::NotYet { .. }
        | ReadError::HistoryDropped { .. } => "InvalidInputError",
        _ => "Error",
    }
}
