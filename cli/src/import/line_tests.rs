//! What lines mean, and what the rejects file says of those that mean nothing.

use super::*;

fn parse(text: &str) -> Result<Line<'_>, String> {
    Parser::default().parse(text.as_bytes())
}

fn reason(text: &str) -> String {
    parse(text).expect_err(text)
}

#[test]
fn a_concept_line_borrows_its_texts() {
    let text =
        r#"{"id": "dog.n.01", "content": "dog: a member of the genus Canis", "strength": 0.5}"#;
    let Line::Concept(concept) = parse(text).unwrap() else { panic!("no concept") };
    assert!(matches!(concept.id, Some(Cow::Borrowed("dog.n.01"))));
    assert!(matches!(concept.content, Cow::Borrowed(_)));
    assert_eq!(
        (concept.strength, concept.confidence, concept.has_embedding),
        (Some(0.5), None, false)
    );
}

#[test]
fn escapes_are_undone() {
    let Line::Concept(concept) = parse(r#"{"content": "a\n\u00e9"}"#).unwrap() else {
        panic!("no concept")
    };
    assert_eq!(concept.content, "a\né");
    assert_eq!(concept.id(), Id::Content);
}

#[test]
fn an_embedding_is_read_into_the_parser_and_forgotten_by_the_next_line() {
    let mut parser = Parser::default();
    let line = parser.parse(br#"{"embedding": [1, -0.5, 2e1], "content": "x"}"#).unwrap();
    assert!(matches!(line, Line::Concept(ConceptLine { has_embedding: true, .. })));
    assert_eq!(parser.embedding, [1.0, -0.5, 20.0]);
    parser.parse(br#"{"content": "x", "embedding": null}"#).unwrap();
    assert!(parser.embedding.is_empty());
}

#[test]
fn an_association_names_its_type_or_numbers_it() {
    let named =
        parse(r#"{"source": "a", "target": "b", "type": "hypernym", "weight": -2}"#).unwrap();
    let Line::Association(named) = named else { panic!("no association") };
    assert_eq!(named.kind, Kind::Name("hypernym".into()));
    assert_eq!((named.confidence, named.weight), (None, Some(-2.0)));
    let numbered = parse(r#"{"source": "a", "target": "b", "type": 1}"#).unwrap();
    assert!(matches!(numbered, Line::Association(AssociationLine { kind: Kind::Number(1), .. })));
}

#[test]
fn null_is_the_same_as_absent() {
    let line = parse(r#"{"id": null, "content": "x", "strength": null, "source": null}"#).unwrap();
    assert!(matches!(line, Line::Concept(ConceptLine { id: None, strength: None, .. })));
}

#[test]
fn keys_that_no_line_has_are_passed_over_and_counted() {
    let mut parser = Parser::default();
    for _ in 0..3 {
        parser.parse(br#"{"content": "x", "lemma": ["y", {"z": 1}], "rank": 2}"#).unwrap();
    }
    let ignored: Vec<(&str, u64)> =
        parser.ignored_keys.iter().map(|(key, count)| (key.as_str(), *count)).collect();
    assert_eq!(ignored, [("lemma", 3), ("rank", 3)]);
}

#[test]
fn a_bad_line_is_told_what_is_wrong_with_it() {
    let long_embedding = format!(r#"{{"content": "x", "embedding": [{}1]}}"#, "1,".repeat(4096));
    let cases = [
        ("", "EOF while parsing a value"),
        ("{", "EOF while parsing an object"),
        ("[1, 2]", "invalid type: sequence, expected an object"),
        ("not json", "expected ident"),
        (r#"{"content": "x"} {"content": "y"}"#, "trailing characters"),
        ("{}", "neither a concept nor an association"),
        (r#"{"id": "a"}"#, "neither a concept nor an association"),
        (r#"{"content": 7}"#, "content: invalid type: integer `7`, expected a text (column"),
        (r#"{"content": "x", "strength": "high"}"#, "strength: invalid type"),
        (r#"{"content": "x", "content": "y"}"#, "content: the key is given twice"),
        (r#"{"content": "x", "embedding": []}"#, "embedding: no elements"),
        (r#"{"content": "x", "embedding": [1, "2"]}"#, "embedding: invalid type"),
        (r#"{"content": "x", "source": "a"}"#, "keys of a concept and of an association"),
        (r#"{"source": "a", "type": "t"}"#, "an association without target"),
        (r#"{"source": "a"}"#, "an association without target and type"),
        (r#"{"source": "a", "target": "b", "type": 70000}"#, "type: invalid value"),
        (&long_embedding, "embedding: more than 4096 elements"),
    ];
    for (text, expected) in cases {
        let reason = reason(text);
        assert!(reason.contains(expected), "{}: {reason}", &text[..text.len().min(60)]);
        assert!(!reason.contains("at line"), "{reason}");
    }
}

#[test]
fn bytes_that_are_no_text_are_a_reason_and_no_panic() {
    let mut parser = Parser::default();
    assert!(parser.parse(b"{\"content\": \"\xff\xfe\"}").unwrap_err().contains("content"));
    assert!(parser.parse(&[0, 1, 2, 255]).is_err());
}

#[test]
fn a_broken_line_with_content_takes_its_row_of_the_vectors() {
    assert!(looks_like_a_concept(br#"{"id": "a", "content": "x"#));
    assert!(!looks_like_a_concept(br#"{"source": "a", "target": "#));
    assert!(!looks_like_a_concept(b"# a comment"));
}
