//! Arguments that several commands take, and the texts they are read from.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::value::RawValue;
use sutra_layout::limits::METADATA_SIZE_MAX;
use sutra_reader::{Filter, Namespaces, Snapshot};

use crate::exit::Failure;

/// Which part of a store: namespaces never see each other's concepts.
#[derive(Clone, Debug, clap::Args)]
pub struct NamespaceArgs {
    /// The namespace of a user, agent or project [default: the one without a name]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub namespace: String,
}

/// Which parts of a store.
#[derive(Clone, Debug, clap::Args)]
pub struct ScopeArgs {
    #[command(flatten)]
    pub one: NamespaceArgs,
    /// All namespaces
    #[arg(long, conflicts_with = "namespace")]
    all_namespaces: bool,
}

impl ScopeArgs {
    /// The namespaces to look into.
    pub fn namespaces(&self) -> Namespaces<'_> {
        if self.all_namespaces { Namespaces::All } else { Namespaces::One(&self.one.namespace) }
    }
}

/// Which version of a store is read.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct AsOfArgs {
    /// The store as it was: a log sequence number, a time such as 2026-11-20T11:05:17Z, or how long
    /// ago, such as 10m
    #[arg(long, value_name = "LSN|TIME|AGO")]
    pub as_of: Option<Moment>,
}

/// Which concepts are wanted.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct FilterArgs {
    /// Only concepts like this: `kind = note and confidence >= 0.5 and meta.pos in (n, v)`
    ///
    /// Fields: kind, confidence, strength, created_at, updated_at, expires_at, namespace, id,
    /// author, lsn, version, and meta.PATH with dots and array indices. Operators: = != < <= > >=,
    /// in (…), exists, and, or, not, parentheses.
    #[arg(long, value_name = "EXPR")]
    pub filter: Option<String>,
}

impl AsOfArgs {
    /// The store as it was then; as it is now unless told otherwise.
    pub fn of(&self, newest: Snapshot) -> Result<Snapshot, Failure> {
        match self.as_of {
            None => Ok(newest),
            Some(Moment::Lsn(lsn)) => Ok(newest.as_of(lsn)?),
            Some(Moment::Time(time_us)) => Ok(newest.as_of_time(time_us)?),
        }
    }
}

impl FilterArgs {
    /// The filter, read.
    pub fn parse(&self) -> Result<Option<Filter>, Failure> {
        let filter = self.filter.as_deref().map(Filter::parse).transpose();
        filter.map_err(|error| Failure::usage(format!("--filter: {error}")))
    }
}

/// A point in a store's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After that log entry.
    Lsn(u64),
    /// At that time, in microseconds since the Unix epoch.
    Time(u64),
}

impl std::str::FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Moment, String> {
        if let Ok(lsn) = text.parse() {
            return Ok(Moment::Lsn(lsn));
        }
        if let Ok(time_us) = time(text) {
            return Ok(Moment::Time(time_us));
        }
        let ago = humantime::parse_duration(text).map_err(|_| {
            "expected a log sequence number such as 1200, a time such as 2026-11-20T11:05:17Z, or \
             how long ago, such as 10m"
                .to_owned()
        })?;
        Ok(Moment::Time(now_us().saturating_sub(us(ago))))
    }
}

/// An RFC 3339 time in UTC as microseconds since the Unix epoch.
pub fn time(text: &str) -> Result<u64, String> {
    let expected = || format!("{text:?} is no time; expected one such as 2026-11-20T11:05:17Z");
    let time = humantime::parse_rfc3339_weak(text).map_err(|_| expected())?;
    Ok(us(time.duration_since(UNIX_EPOCH).map_err(|_| expected())?))
}

/// A duration such as `30d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).ok().filter(|duration| !duration.is_zero());
    duration.ok_or_else(|| "expected a duration such as 90s, 12h or 30d".to_owned())
}

/// A duration such as `30d`, in microseconds; `never` is 0.
pub fn duration_us(text: &str) -> Result<u64, String> {
    if text == "never" {
        return Ok(0);
    }
    match humantime::parse_duration(text).map(us) {
        Ok(0) | Err(_) => Err("expected a duration such as 90s, 12h, 30d, or `never`".to_owned()),
        Ok(time_us) => Ok(time_us),
    }
}

/// Metadata or properties: one JSON object, kept as it is typed.
pub fn object(text: &str) -> Result<String, String> {
    if text.len() > METADATA_SIZE_MAX {
        return Err(format!("it has {} bytes, above {METADATA_SIZE_MAX}", text.len()));
    }
    match serde_json::from_str::<&RawValue>(text) {
        Ok(value) if value.get().starts_with('{') => Ok(text.to_owned()),
        Ok(_) => Err(r#"expected a JSON object, such as {"pos": "n"}"#.to_owned()),
        Err(error) => Err(format!(r#"{error}; expected a JSON object, such as {{"pos": "n"}}"#)),
    }
}

/// Microseconds since the Unix epoch.
pub fn now_us() -> u64 {
    us(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_an_lsn_a_time_or_an_age() {
        assert_eq!("1200".parse(), Ok(Moment::Lsn(1200)));
        assert_eq!("1970-01-01T00:00:02.5Z".parse(), Ok(Moment::Time(2_500_000)));
        let Ok(Moment::Time(time_us)) = "1h".parse() else { panic!("no time") };
        assert!(time_us <= now_us() - 3_600_000_000);
        assert!("yesterday".parse::<Moment>().unwrap_err().contains("expected"));
    }

    #[test]
    fn a_duration_has_a_unit_or_is_never() {
        assert_eq!((duration_us("90s"), duration_us("never")), (Ok(90_000_000), Ok(0)));
        for bad in ["", "0s", "soon", "-1h"] {
            assert!(duration_us(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn metadata_is_one_json_object() {
        assert_eq!(object(r#" {"b": 1,  "a": 1.50}"#).unwrap(), r#" {"b": 1,  "a": 1.50}"#);
        for bad in ["", "[1]", "7", r#"{"a": 1} {}"#, "{"] {
            assert!(object(bad).is_err(), "{bad}");
        }
    }
}
