//! What reaches the sender, and in which order.

use std::fs::File;
use std::io::{BufReader, Write};
use std::sync::mpsc::{channel, sync_channel};

use super::*;
use crate::npy::Rows;

/// One import's reading end, run to its end: the lines sent, the rejects, and the report.
struct Run {
    frames: Vec<Vec<(u64, Sort)>>,
    rejects: Vec<(u64, String)>,
    result: Result<FeedReport, FeedError>,
}

impl Run {
    fn lines(&self) -> Vec<u64> {
        self.frames.iter().flatten().map(|(line, _)| *line).collect()
    }

    fn vectors(&self) -> usize {
        let is_vector = |sort| matches!(sort, Sort::Concept { has_vector: true });
        self.frames.iter().flatten().filter(|(_, sort)| is_vector(*sort)).count()
    }
}

fn run(batch_count: usize, vectors: Option<&[u8]>, text: &str) -> Run {
    let options = FeedOptions { batch_count, namespace: String::new(), is_atomic: false };
    run_with(options, vectors, text)
}

fn run_with(options: FeedOptions, vectors: Option<&[u8]>, text: &str) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input.ndjson");
    std::fs::write(&path, text).unwrap();
    let vectors = vectors.map(|bytes| {
        let path = folder.path().join("vectors.npy");
        File::create(&path).unwrap().write_all(bytes).unwrap();
        Rows::new("vectors.npy", BufReader::new(File::open(&path).unwrap())).unwrap()
    });
    let (output, fed) = sync_channel(1 << 16);
    let (_spare, spare) = channel();
    let bytes_read = Arc::new(AtomicU64::new(0));
    let mut inputs = [Input::open(&path).unwrap()];
    let feed = Feed::new(options, vectors, Arc::clone(&bytes_read), output, spare);
    let result = feed.run(&mut inputs);
    if result.is_ok() {
        assert_eq!(bytes_read.load(Ordering::Relaxed), text.len() as u64);
    }
    let (mut frames, mut rejects) = (Vec::new(), Vec::new());
    for item in fed {
        match item {
            Fed::Frame(frame) => {
                let lines = (0..frame.batch.len() as u32).map(|index| frame.line(index).unwrap());
                frames.push(lines.map(|line| (line.place.line, line.sort)).collect());
            }
            Fed::Reject { place, reason, .. } => rejects.push((place.line, reason)),
            Fed::Space { .. } => panic!("no line names a vector space"),
        }
    }
    Run { frames, rejects, result }
}

/// `rows` vectors of one element, as numpy.save writes them.
fn vectors(rows: u32) -> Vec<u8> {
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, 1), }}");
    let text = format!("{text:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.extend((1..=rows).flat_map(|row| (row as f32).to_le_bytes()));
    bytes
}

const A: &str = "{\"id\": \"a\", \"content\": \"A\"}\n";
const B: &str = "{\"id\": \"b\", \"content\": \"B\"}\n";
const A_TO_B: &str = "{\"source\": \"a\", \"target\": \"b\", \"type\": \"t\"}\n";
const B_TO_Z: &str = "{\"source\": \"b\", \"target\": \"z\", \"type\": \"t\"}\n";

#[test]
fn an_association_is_sent_after_both_its_ends() {
    let text = [A_TO_B, B, A_TO_B, A, A_TO_B].concat();
    assert_eq!(run(100, None, &text).lines(), [2, 4, 1, 3, 5]);
}

#[test]
fn an_association_whose_end_never_comes_is_sent_at_the_end() {
    let text = [B_TO_Z, A_TO_B, A, B].concat();
    assert_eq!(run(100, None, &text).lines(), [3, 4, 2, 1]);
}

#[test]
fn a_frame_holds_as_many_operations_as_it_was_told() {
    let run = run(2, None, &A.repeat(5));
    assert_eq!(run.frames.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
}

#[test]
fn large_lines_make_small_frames() {
    let line = format!("{{\"content\": \"{}\"}}\n", "x".repeat(200 << 10));
    let run = run(1024, None, &line.repeat(5));
    assert_eq!(run.frames.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
}

#[test]
fn bad_lines_are_rejected_by_number_and_blank_ones_passed_over() {
    let text = [A, "\n", "{oops\n", "  \t\n", "{\"id\": \"\", \"content\": \"x\"}\n", B].concat();
    let run = run(100, None, &text);
    assert_eq!(run.lines(), [1, 6]);
    let rejected: Vec<u64> = run.rejects.iter().map(|(line, _)| *line).collect();
    assert_eq!(rejected, [3, 5]);
    assert!(run.rejects[1].1.contains("the id is empty"), "{}", run.rejects[1].1);
}

#[test]
fn a_row_belongs_to_the_concept_line_of_its_number_whatever_stands_between() {
    let broken = "{\"id\": \"x\", \"content\": oops}\n";
    let text = [A, A_TO_B, broken, B, "{\"source\": oops}\n"].concat();
    let run = run(100, Some(&vectors(3)), &text);
    assert_eq!(run.rejects.len(), 2);
    assert_eq!((run.vectors(), run.result.unwrap().vectors_unused), (2, 0));
}

#[test]
fn rows_and_concepts_that_find_no_partner_are_told() {
    let few = run(100, Some(&vectors(1)), &[A, B].concat());
    assert_eq!(few.lines(), [1]);
    assert!(few.rejects[0].1.contains("--vectors has 1 rows"), "{}", few.rejects[0].1);
    let many = run(100, Some(&vectors(5)), &[A, B].concat());
    assert_eq!(many.result.unwrap().vectors_unused, 3);
}

#[test]
fn a_concept_has_one_vector() {
    let own = "{\"content\": \"x\", \"embedding\": [1]}\n";
    assert_eq!(run(100, None, own).vectors(), 1);
    let both = run(100, Some(&vectors(1)), own);
    assert!(both.rejects[0].1.contains("two vectors"), "{}", both.rejects[0].1);
}

#[test]
fn vectors_that_are_cut_off_end_the_import_with_the_row() {
    let bytes = vectors(2);
    let run = run(1, Some(&bytes[..bytes.len() - 2]), &[A, B].concat());
    assert_eq!(run.lines(), [1]);
    assert!(run.result.unwrap_err().to_string().contains("row 1 of 2"));
}

#[test]
fn keys_that_no_line_has_are_reported() {
    let report = run(100, None, "{\"content\": \"x\", \"lemma\": 1}\n").result.unwrap();
    assert_eq!(report.ignored_keys.get("lemma"), Some(&1));
}

#[test]
fn an_atomic_import_is_one_frame_or_none() {
    let options = FeedOptions { batch_count: 2, namespace: String::new(), is_atomic: true };
    let whole = run_with(options.clone(), None, &A.repeat(5));
    assert_eq!(whole.frames.iter().map(Vec::len).collect::<Vec<_>>(), [5]);
    let spoilt = run_with(options.clone(), None, &[A, "{oops\n", A].concat());
    assert!(spoilt.frames.is_empty() && spoilt.rejects.is_empty());
    assert!(matches!(spoilt.result, Err(FeedError::Spoilt { line: 2, .. })), "{:?}", spoilt.result);
    let too_many = run_with(options, None, &A.repeat(65_537));
    assert!(too_many.frames.is_empty());
    assert!(matches!(too_many.result, Err(FeedError::TooManyForOneFrame)));
}

#[test]
fn lines_wait_for_ends_of_their_own_namespace() {
    let in_alice = A.replace("{", "{\"namespace\": \"alice\", ");
    let link = "{\"source\": \"a\", \"target\": \"a\", \"type\": \"t\"}\n";
    let options = FeedOptions { batch_count: 9, namespace: "alice".into(), is_atomic: false };
    let in_bob = A.replace("{", "{\"namespace\": \"bob\", ");
    let run = run_with(options, None, &[link, &in_bob, &in_alice].concat());
    assert_eq!(run.lines(), [2, 3, 1]);
}
