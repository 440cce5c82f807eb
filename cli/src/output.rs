//! What commands print: JSON for programs, tables and sentences for people.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::exit::{Exit, Failure};

/// How to print.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct OutputArgs {
    /// Print JSON, with times in RFC 3339
    #[arg(long)]
    pub json: bool,
}

/// Prints one line of JSON.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    print(&json_line(value)?)
}

/// One line of JSON, with its end.
pub fn json_line(value: &impl Serialize) -> Result<String, Failure> {
    let mut text = serde_json::to_string(value).map_err(Failure::usage)?;
    text.push('\n');
    Ok(text)
}

/// Prints text that ends with its own line end.
///
/// A reader that went away, as `| head` does, ends the command without a word.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| {
        let exit = match error.kind() {
            io::ErrorKind::BrokenPipe => Exit::Done,
            _ => Exit::Usage,
        };
        Failure { exit, error: anyhow::anyhow!("standard output cannot be written ({error})") }
    })
}

/// Prints rows under their headings, as wide as the terminal allows.
pub fn table<const N: usize>(
    headings: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headings);
    for row in rows {
        table.add_row(row.map(|cell| plain(&cell)));
    }
    print(&(table.trim_fmt() + "\n"))
}

/// Prints names and values, one pair a line.
pub fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> Result<(), Failure> {
    let pairs: Vec<(&str, String)> = pairs.into_iter().collect();
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in pairs {
        let _ = writeln!(text, "{name:width$}  {}", plain(&value));
    }
    print(&text)
}

/// Text that cannot steer a terminal: whoever wrote the store is not who reads it.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c })
        .collect()
}

/// Microseconds since the Unix epoch as RFC 3339, such as `2026-11-20T11:05:17.250000Z`.
pub fn rfc3339(time_us: u64) -> String {
    // What humantime can print ends with the year 9999.
    const TIME_US_MAX: u64 = 253_402_300_799_999_999;
    let time = SystemTime::UNIX_EPOCH + Duration::from_micros(time_us.min(TIME_US_MAX));
    humantime::format_rfc3339_micros(time).to_string()
}

/// A duration as it may be typed: `30days`, `1h 30m`.
pub fn duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// A namespace by its name, the one without a name by what it is.
pub fn namespace(name: &str) -> &str {
    if name.is_empty() { "the default namespace" } else { name }
}

/// JSON text that somebody stored as one value, or as a text where it is no JSON.
///
/// Line ends between its tokens become spaces, so that it stays on the line it is printed on.
pub fn value(text: &str) -> Box<RawValue> {
    let line = text.replace(['\n', '\r'], " ");
    serde_json::from_str(&line).unwrap_or_else(|_| {
        let text = serde_json::to_string(text).expect("a text is JSON");
        RawValue::from_string(text).expect("a text is JSON")
    })
}

/// A whole number with its thousands apart: `117,659`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size in bytes with its unit: `4.0 MiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A time span in the unit that suits it: `312 µs`, `4.1 ms`, `2.31 s`.
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        0.0..0.001 => format!("{:.0} µs", seconds * 1e6),
        0.001..1.0 => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}

/// The first line of a text, cut to `width` characters.
pub fn short(text: &str, width: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= width && line.len() == text.len() {
        return line.to_owned();
    }
    line.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_with_microseconds() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(rfc3339(1_700_000_000_250_001), "2023-11-14T22:13:20.250001Z");
        assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59.999999Z");
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(
            [0, 999, 1000, 117_659, 1_000_000].map(count),
            ["0", "999", "1,000", "117,659", "1,000,000"]
        );
        assert_eq!(
            [0, 1023, 1024, 5 << 20].map(size),
            ["0 bytes", "1023 bytes", "1.0 KiB", "5.0 MiB"]
        );
        let spans = [312, 4_100, 2_310_000].map(|us| span(Duration::from_micros(us)));
        assert_eq!(spans, ["312 µs", "4.1 ms", "2.31 s"]);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(short("wölfe", 5), "wölfe");
        assert_eq!(short("wölfe", 4), "wöl…");
        assert_eq!(short("two\nlines", 20), "two…");
    }

    #[test]
    fn stored_text_cannot_steer_the_terminal() {
        assert_eq!(plain("a\x1b[2Jb\tc"), "a\u{fffd}[2Jb\tc");
    }
}
