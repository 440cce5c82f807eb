//! Rows of an `.npy` file, read one at a time: a file of any size costs one row of memory.

use std::io::Read;

use half::f16;
use half::slice::HalfFloatSliceExt;
use npyz::{DType, Endianness, NpyHeader, Order, TypeChar};
use sutra_layout::limits::VECTOR_DIMENSION_MAX;

/// A file that does not hold vectors, or not the ones its header promises.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// Not an `.npy` file, or one of an unknown version.
    #[error("{name} is no .npy file ({source}); save the array with numpy.save")]
    Header {
        /// The file.
        name: String,
        /// What the header's parser found.
        source: std::io::Error,
    },
    /// Elements that are not floats, or of the other byte order.
    #[error(
        "{name} holds elements of type {found}; expected '<f2', '<f4' or '<f8': save array.astype('float32')"
    )]
    Element {
        /// The file.
        name: String,
        /// The type that its header gives.
        found: String,
    },
    /// Neither one vector nor a list of vectors.
    #[error(
        "{name} has the shape {found:?}; expected (dimension,) or (rows, dimension) with 1 to {VECTOR_DIMENSION_MAX} elements a row"
    )]
    Shape {
        /// The file.
        name: String,
        /// The shape that its header gives.
        found: Vec<u64>,
    },
    /// Columns follow each other instead of rows.
    #[error("{name} is stored in Fortran order; save numpy.ascontiguousarray(array)")]
    ColumnsFirst {
        /// The file.
        name: String,
    },
    /// The data ends before the rows do, or cannot be read.
    #[error("{name} cannot be read at row {row} of {row_count} ({source}); write the file again")]
    Row {
        /// The file.
        name: String,
        /// The 0-based row that was asked for.
        row: u64,
        /// The rows that the header promises.
        row_count: u64,
        /// What reading said.
        source: std::io::Error,
    },
}

#[derive(Clone, Copy, Debug)]
enum Element {
    Half,
    Single,
    Double,
}

impl Element {
    fn size(self) -> usize {
        match self {
            Element::Half => 2,
            Element::Single => 4,
            Element::Double => 8,
        }
    }
}

/// The rows of one file, in order.
#[derive(Debug)]
pub struct Rows<R> {
    reader: R,
    name: String,
    element: Element,
    dimension: usize,
    row_count: u64,
    rows_read: u64,
    is_list: bool,
    bytes: Vec<u8>,
    halves: Vec<f16>,
}

impl<R: Read> Rows<R> {
    /// Reads the header; `name` is what errors call the file. `reader` should be buffered.
    pub fn new(name: impl Into<String>, mut reader: R) -> Result<Rows<R>, NpyError> {
        let name = name.into();
        let header = match NpyHeader::from_reader(&mut reader) {
            Ok(header) => header,
            Err(source) => return Err(NpyError::Header { name, source }),
        };
        let Some(element) = element(&header.dtype()) else {
            return Err(NpyError::Element { name, found: header.dtype().descr() });
        };
        let (row_count, dimension, is_list) = match *header.shape() {
            [dimension] => (1, dimension, false),
            [row_count, dimension] => (row_count, dimension, true),
            _ => {
                return Err(NpyError::Shape { name, found: header.shape().to_vec() });
            }
        };
        if dimension == 0 || dimension > VECTOR_DIMENSION_MAX as u64 {
            return Err(NpyError::Shape { name, found: header.shape().to_vec() });
        }
        if is_list && row_count > 1 && dimension > 1 && header.order() == Order::Fortran {
            return Err(NpyError::ColumnsFirst { name });
        }
        let dimension = dimension as usize;
        Ok(Rows {
            reader,
            name,
            element,
            dimension,
            row_count,
            rows_read: 0,
            is_list,
            bytes: vec![0; dimension * element.size()],
            halves: vec![f16::ZERO; dimension],
        })
    }

    /// Rows of the file; 1 for a 1-D array.
    pub fn row_count(&self) -> u64 {
        self.row_count
    }

    /// Rows that were not read yet.
    pub fn rows_left(&self) -> u64 {
        self.row_count - self.rows_read
    }

    /// Whether the array is 2-D: a list of vectors, even if of one.
    pub fn is_list(&self) -> bool {
        self.is_list
    }

    /// Reads the next row into `row`, which is resized to fit; false after the last one.
    pub fn next_row(&mut self, row: &mut Vec<f32>) -> Result<bool, NpyError> {
        if self.rows_read == self.row_count {
            return Ok(false);
        }
        if let Err(source) = self.reader.read_exact(&mut self.bytes) {
            let (row, row_count) = (self.rows_read, self.row_count);
            return Err(NpyError::Row { name: self.name.clone(), row, row_count, source });
        }
        self.rows_read += 1;
        row.resize(self.dimension, 0.0);
        match self.element {
            Element::Half => {
                for (half, bytes) in self.halves.iter_mut().zip(self.bytes.as_chunks().0) {
                    *half = f16::from_le_bytes(*bytes);
                }
                // Eight at a time where the processor can: a third of an import's rows are this loop.
                self.halves.convert_to_f32_slice(row);
            }
            Element::Single => {
                for (element, bytes) in row.iter_mut().zip(self.bytes.as_chunks().0) {
                    *element = f32::from_le_bytes(*bytes);
                }
            }
            Element::Double => {
                for (element, bytes) in row.iter_mut().zip(self.bytes.as_chunks().0) {
                    *element = f64::from_le_bytes(*bytes) as f32;
                }
            }
        }
        Ok(true)
    }
}

fn element(dtype: &DType) -> Option<Element> {
    let DType::Plain(plain) = dtype else {
        return None;
    };
    match (plain.type_char(), plain.endianness(), plain.size_field()) {
        (TypeChar::Float, Endianness::Little, 2) => Some(Element::Half),
        (TypeChar::Float, Endianness::Little, 4) => Some(Element::Single),
        (TypeChar::Float, Endianness::Little, 8) => Some(Element::Double),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
        let order = if fortran { "True" } else { "False" };
        let text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
        let text = format!("{text:<117}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn rows(bytes: &[u8]) -> Result<Vec<Vec<f32>>, NpyError> {
        let mut rows = Rows::new("v.npy", bytes)?;
        let (mut all, mut row) = (Vec::new(), Vec::new());
        while rows.next_row(&mut row)? {
            all.push(row.clone());
        }
        Ok(all)
    }

    #[test]
    fn half_single_and_double_rows_read_the_same() {
        let expected = [[0.5f32, -2.0, 1.0], [0.25, 0.0, 65504.0]];
        let halves: Vec<u8> =
            expected.iter().flatten().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect();
        let singles: Vec<u8> = expected.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
        let doubles: Vec<u8> =
            expected.iter().flatten().flat_map(|&x| f64::from(x).to_le_bytes()).collect();
        for (descr, data) in [("<f2", halves), ("<f4", singles), ("<f8", doubles)] {
            assert_eq!(rows(&file(descr, false, "(2, 3)", &data)).unwrap(), expected, "{descr}");
        }
    }

    #[test]
    fn a_one_dimensional_array_is_one_vector_and_no_list() {
        let bytes = file("<f4", false, "(2,)", &[0, 0, 128, 63, 0, 0, 0, 64]);
        let opened = Rows::new("v.npy", bytes.as_slice()).unwrap();
        assert!(!opened.is_list());
        assert_eq!(opened.row_count(), 1);
        assert_eq!(rows(&bytes).unwrap(), [[1.0, 2.0]]);
    }

    #[test]
    fn what_is_no_list_of_float_vectors_is_refused_by_name() {
        let cases = [
            (b"not numpy at all".to_vec(), "is no .npy file"),
            (file("<i4", false, "(2, 3)", &[]), "elements of type '<i4'"),
            (file(">f4", false, "(2, 3)", &[]), "elements of type '>f4'"),
            (file("<f4", false, "(2, 3, 4)", &[]), "has the shape [2, 3, 4]"),
            (file("<f4", false, "(2, 0)", &[]), "has the shape [2, 0]"),
            (file("<f4", false, "(2, 5000)", &[]), "has the shape [2, 5000]"),
            (file("<f4", true, "(2, 3)", &[]), "Fortran order"),
        ];
        for (bytes, expected) in cases {
            let message = rows(&bytes).unwrap_err().to_string();
            assert!(message.starts_with("v.npy ") && message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_file_that_is_cut_off_gives_its_whole_rows_and_then_the_row_that_is_not() {
        let bytes = file("<f4", false, "(3, 1)", &[0, 0, 128, 63, 0, 0]);
        let mut rows = Rows::new("v.npy", bytes.as_slice()).unwrap();
        let mut row = Vec::new();
        assert!(rows.next_row(&mut row).unwrap());
        let message = rows.next_row(&mut row).unwrap_err().to_string();
        assert!(message.contains("row 1 of 3"), "{message}");
    }
}
