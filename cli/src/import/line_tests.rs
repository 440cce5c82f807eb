//! What lines mean, and what the rejects file says of those that mean nothing.

use sutra_layout::space::Quantization;

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
    assert!(matches!(concept.content, Some(Cow::Borrowed(_))));
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
    assert_eq!(concept.content.as_deref(), Some("a\né"));
    assert_eq!(concept.id(""), Id::Content);
}

#[test]
fn an_embedding_is_read_into_the_parser_and_forgotten_by_the_next_line() {
    let mut parser = Parser::default();
    let line = parser.parse(br#"{"embedding": [1, -0.5, 2e1], "content": "x"}"#).unwrap();
    assert!(matches!(line, Line::Concept(ConceptLine { has_embedding: true, .. })));
    assert_eq!(parser.embedding(), [1.0, -0.5, 20.0]);
    parser.parse(br#"{"content": "x", "embedding": null}"#).unwrap();
    assert!(parser.embedding().is_empty());
}

#[test]
fn an_association_names_its_type_or_numbers_it() {
    let named =
        parse(r#"{"source": "a", "target": "b", "type": "hypernym", "weight": -2}"#).unwrap();
    let Line::Association(named) = named else { panic!("no association") };
    assert_eq!(named.edge_type, Type::Name("hypernym".into()));
    assert_eq!((named.confidence, named.weight), (None, Some(-2.0)));
    let numbered = parse(r#"{"source": "a", "target": "b", "type": 1}"#).unwrap();
    assert!(matches!(
        numbered,
        Line::Association(AssociationLine { edge_type: Type::Number(1), .. })
    ));
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
        parser.ignored_keys().iter().map(|(key, count)| (key.as_str(), *count)).collect();
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
        (r#"{"content": "x", "metadata": [1]}"#, "metadata: [1] is no object"),
        (r#"{"content": "x", "expires_at": "soon"}"#, "expires_at: \"soon\" is no time"),
        (r#"{"content": "x", "space": "b"}"#, "space: expected an embedding"),
        (r#"{"content": "x", "id_form": "odd"}"#, "id_form: \"odd\" is not raw or content"),
        (r#"{"content": "x", "weight": 1}"#, "keys of a concept and of an association"),
        (r#"{"vector_space": "b"}"#, "a vector space without dimension"),
        (r#"{"vector_space": "b", "dimension": 2, "metric": "odd"}"#, "metric: \"odd\" is not"),
        (r#"{"vector_space": "b", "dimension": 2, "graph": {"m": 1}}"#, "graph: M is 1, not 2 to"),
        (r#"{"namespace": "a", "time_to_live": "long"}"#, "time_to_live: expected a duration"),
        (r#"{"time_to_live": "1d", "content": "x"}"#, "or of a setting, on one line"),
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

#[test]
fn a_concept_line_may_say_all_that_a_concept_has() {
    let text = r#"{"id": "n1", "content": "x", "namespace": "alice", "metadata": {"b": 1,  "a": [1.50]},
                   "kind": "note", "created_at": "1970-01-01T00:00:01Z", "expires_at": "1970-01-01T00:00:02.5Z"}"#;
    let Line::Concept(concept) = parse(text).unwrap() else { panic!("no concept") };
    let metadata = r#"{"b": 1,  "a": [1.50]}"#;
    assert!(matches!(concept.metadata, Some(Cow::Borrowed(text)) if text == metadata));
    assert_eq!((concept.created_at, concept.expires_at), (Some(1_000_000), Some(2_500_000)));
    assert_eq!(
        (concept.namespace.as_deref(), concept.kind.as_deref()),
        (Some("alice"), Some("note"))
    );
}

#[test]
fn metadata_that_no_line_can_hold_is_a_text() {
    let text = r#"{"content": "x", "metadata": "{\"a\":\n1}"}"#;
    let Line::Concept(concept) = parse(text).unwrap() else { panic!("no concept") };
    assert_eq!(concept.metadata.as_deref(), Some("{\"a\":\n1}"));
}

#[test]
fn an_association_line_may_say_all_that_an_association_has() {
    let text = r#"{"source": "a", "target": "b", "type": "t", "namespace": "alice",
                   "properties": {"since": 2021}, "valid_until": "1970-01-01T00:00:03Z"}"#;
    let Line::Association(association) = parse(text).unwrap() else { panic!("no association") };
    assert_eq!(association.properties.as_deref(), Some(r#"{"since": 2021}"#));
    assert_eq!(association.valid_until, Some(3_000_000));
    assert_eq!(association.namespace.as_deref(), Some("alice"));
}

#[test]
fn settings_have_lines_of_their_own() {
    let text = r#"{"vector_space": "b", "model": "m", "dimension": 2, "metric": "dot"}"#;
    let Line::Space(space) = parse(text).unwrap() else { panic!("no space") };
    assert_eq!((space.dimension, space.metric, space.graph), (2, Metric::Dot, None));
    let text =
        r#"{"vector_space": "b", "dimension": 2, "graph": {"m": 8, "quantization": "none"}}"#;
    let Line::Space(space) = parse(text).unwrap() else { panic!("no space") };
    let expected =
        GraphSettings { m: 8, quantization: Quantization::None, ..GraphSettings::default() };
    assert_eq!(space.graph, Some(expected));
    let text = r#"{"namespace": "alice", "time_to_live": "1day"}"#;
    let Line::TimeToLive(ttl) = parse(text).unwrap() else { panic!("no time to live") };
    assert_eq!(ttl.time_us, 86_400_000_000);
    let text = r#"{"id": "a", "space": "b", "embedding": [1, 2]}"#;
    assert!(matches!(parse(text).unwrap(), Line::Concept(ConceptLine { content: None, .. })));
}

#[test]
fn an_id_keeps_its_form() {
    let key = Id::Content.key("", "x");
    let hex = sutra_layout::id::key_to_hex(&key);
    for (form, content, expected) in [
        ("content", "x", Id::Content),
        ("content", "learnt anew", Id::Hex(key)),
        ("raw", "x", Id::Raw(key)),
    ] {
        let text = format!(r#"{{"id": "{hex}", "id_form": "{form}", "content": "{content}"}}"#);
        let Line::Concept(concept) = parse(&text).unwrap() else { panic!("no concept") };
        assert_eq!(concept.id(""), expected, "{form} {content}");
    }
}
