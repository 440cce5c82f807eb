//! The log of a store as its entries are meant: what `sutra verify` looks at.

use std::path::Path;

use crate::entry::Entry;
use crate::wal::{Inspection, WalError, inspect_with};

/// Reads the log in directory `path`, each entry included, past the system's cache if that is not
/// to be trusted; changes nothing and takes no lock.
///
/// # Errors
/// If it cannot be read. What is damaged is told in the result.
pub fn inspect_log(path: &Path, past_cache: bool) -> Result<Inspection, WalError> {
    let mut unreadable = None;
    let mut inspection = inspect_with(path, past_cache, &mut |lsn, payload| {
        let read = Entry::decode(payload).and_then(|entry| {
            entry.operations.enumerate().try_for_each(|(index, operation)| {
                operation.map(|_| ()).map_err(|fault| format!("operation {index}: {fault}"))
            })
        });
        if let (Err(what), None) = (read, &unreadable) {
            unreadable = Some(format!(
                "log entry {lsn} has its checksum and cannot be read: {what}; what follows it is \
                 lost to `sutra repair`, unless a newer Sutra can read it"
            ));
        }
        Ok(())
    })?;
    inspection.damage = inspection.damage.or(unreadable);
    Ok(inspection)
}
