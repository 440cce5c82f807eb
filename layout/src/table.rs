//! Holds the byte table in a module's documentation against the struct below it.

/// Reads the rows ``//! | offset | size | `name` | …`` of a source text.
pub fn rows(source: &str) -> Vec<(usize, usize, String)> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix("//! |")?.split('|').map(str::trim).collect();
        let name = cells.get(2)?.strip_prefix('`')?.strip_suffix('`')?;
        Some((cells[0].parse().ok()?, cells[1].parse().ok()?, name.to_owned()))
    };
    source.lines().filter_map(row).collect()
}

/// Asserts that the table of this file lists exactly these fields, at the offsets and with the
/// sizes that the compiler gives them, and that together they are the whole struct.
macro_rules! assert_table {
    ($struct:ty, $($field:ident),+ $(,)?) => {{
        fn size_of_field<S, T>(_: fn(&S) -> &T) -> usize { size_of::<T>() }
        let fields = vec![$((
            std::mem::offset_of!($struct, $field),
            size_of_field(|s: &$struct| &s.$field),
            stringify!($field).to_owned(),
        )),+];
        let names: Vec<&String> = fields.iter().map(|f| &f.2).collect();
        let rows = $crate::table::rows(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../", file!())));
        let rows: Vec<_> = rows.into_iter().filter(|row| names.contains(&&row.2)).collect();
        assert_eq!(rows, fields, "the table in {} is not the struct", file!());
        assert_eq!(fields.iter().map(|f| f.1).sum::<usize>(), size_of::<$struct>());
    }};
}
pub(crate) use assert_table;
