//! Times as people write them.

/// The microseconds since the Unix epoch of an RFC 3339 time, such as `2026-01-31T08:30:00Z` or
/// `2026-01-31 08:30:00.25+02:00`, or of a date alone, which is its midnight in UTC. `None` if it is
/// no such time, or before 1970.
pub fn parse_time(text: &str) -> Option<u64> {
    let (date, rest) = text.split_at_checked(10)?;
    let day = days_of(date)?;
    let seconds_of_day = |text: &str| {
        let [hours, minutes, seconds] = numbers::<3>(text, b':')?;
        let is_possible = hours < 24 && minutes < 60 && seconds < 61;
        is_possible.then_some(hours * 3600 + minutes * 60 + seconds)
    };
    if rest.is_empty() {
        return u64::try_from(day * 86_400_000_000).ok();
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let mut seconds = day * 86_400 + seconds_of_day(clock)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            rest.split_at_checked(end).filter(|(digits, _)| !digits.is_empty())?
        }
        None => ("", rest),
    };
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(6);
    let micros = digits.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    if !zone.eq_ignore_ascii_case("z") {
        let [hours, minutes] = numbers::<2>(zone.get(1..)?, b':')?;
        if hours >= 24 || minutes >= 60 {
            return None;
        }
        let offset = hours * 3600 + minutes * 60;
        seconds += match zone.as_bytes()[0] {
            b'+' => -offset,
            b'-' => offset,
            _ => return None,
        };
    }
    u64::try_from(seconds * 1_000_000 + micros).ok()
}

/// Days from 1970-01-01 to a date (H. Hinnant, "chrono-compatible low-level date algorithms", 2013).
fn days_of(date: &str) -> Option<i64> {
    if date.len() != 10 || date.as_bytes()[4] != b'-' {
        return None;
    }
    let [year] = numbers::<1>(date.get(..4)?, b'-')?;
    let [month, day] = numbers::<2>(date.get(5..)?, b'-')?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Numbers of two digits (one alone: of four), with `separator` between them.
fn numbers<const COUNT: usize>(text: &str, separator: u8) -> Option<[i64; COUNT]> {
    let digits = if COUNT == 1 { 4 } else { 2 };
    let mut numbers = [0; COUNT];
    let mut parts = text.split(char::from(separator));
    for number in &mut numbers {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_written() {
        let times = [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01", 0),
            ("2000-02-29T12:00:00Z", 951_825_600_000_000),
            ("2026-01-01T00:00:00Z", 1_767_225_600_000_000),
            ("2026-01-01 02:30:00.25+02:30", 1_767_225_600_250_000),
            ("2025-12-31t23:00:00.0000019-01:00", 1_767_225_600_000_001),
        ];
        for (text, micros) in times {
            assert_eq!(parse_time(text), Some(micros), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        let texts = [
            "",
            "2026",
            "2026-1-1",
            "2026-13-01",
            "2026-02-29",
            "2026-01-01T",
            "2026-01-01T00:00",
            "2026-01-01T00:00:00",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.5",
            "2026-01-01T00:00:00+1",
            "1969-12-31T23:59:59Z",
            "日日日日日日",
            "2026-01-01T00:00:00é00:00",
            "2026-01-01T00:00:00Zé",
        ];
        for text in texts {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
