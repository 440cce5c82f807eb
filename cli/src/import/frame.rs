//! A batch on its way to the coordinator, with the lines that it was made of.

use sutra_client::Batch;

use super::held::Place;

/// Operations for one write, and for each the line it came from.
#[derive(Debug, Default)]
pub struct Frame {
    /// The operations, encoded.
    pub batch: Batch,
    origins: Vec<Origin>,
    texts: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Origin {
    place: Place,
    text_end: usize,
    sort: Sort,
}

/// What a line became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A concept.
    Concept {
        /// Whether it brought a vector.
        has_vector: bool,
    },
    /// An association.
    Association,
    /// A time to live.
    Setting,
}

/// The line behind one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Where it stands.
    pub place: Place,
    /// As it was read.
    pub text: &'a [u8],
    /// What it became.
    pub sort: Sort,
}

impl Frame {
    /// Notes the line of the operation that was just added to the batch.
    pub fn note(&mut self, place: Place, text: &[u8], sort: Sort) {
        self.texts.extend_from_slice(text);
        self.origins.push(Origin { place, text_end: self.texts.len(), sort });
        debug_assert_eq!(self.origins.len(), self.batch.len());
    }

    /// The line of the operation at `index`.
    pub fn line(&self, index: u32) -> Option<Line<'_>> {
        let index = index as usize;
        let Origin { place, text_end, sort } = *self.origins.get(index)?;
        let text_start = index.checked_sub(1).map_or(0, |before| self.origins[before].text_end);
        Some(Line { place, text: &self.texts[text_start..text_end], sort })
    }

    /// What each operation is, in order.
    pub fn sorts(&self) -> impl Iterator<Item = Sort> {
        self.origins.iter().map(|origin| origin.sort)
    }

    /// Empties it and keeps its buffers.
    pub fn clear(&mut self) {
        self.batch.clear();
        self.origins.clear();
        self.texts.clear();
    }
}

#[cfg(test)]
mod tests {
    use sutra_client::Learn;

    use super::*;

    #[test]
    fn every_operation_leads_back_to_its_line() {
        let mut frame = Frame::default();
        for (line, text) in [(4, "{\"content\": \"a\"}"), (9, "{\"content\": \"b\"}")] {
            frame.batch.learn(&Learn { content: Some("a"), ..Learn::default() }).unwrap();
            frame.note(
                Place { input: 0, line },
                text.as_bytes(),
                Sort::Concept { has_vector: line == 9 },
            );
        }
        let line = frame.line(1).unwrap();
        assert_eq!((line.place.line, line.text), (9, b"{\"content\": \"b\"}".as_slice()));
        assert_eq!(frame.line(0).unwrap().text, b"{\"content\": \"a\"}");
        assert_eq!(frame.line(2), None);
        assert_eq!(frame.sorts().last(), Some(Sort::Concept { has_vector: true }));
        frame.clear();
        assert_eq!(frame.line(0), None);
    }
}
