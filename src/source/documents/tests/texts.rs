//! Documents that are none, whose texts are none, or that are too deep.

use super::super::{Built, Coercion, DOCUMENT, Declared, InvalidText, OnMisfit, Schema};
use super::*;

#[test]
fn what_is_no_document_is_refused() {
    let mut documents = begun(settings());
    let good = bson(&json!({ "_id": 1, "name": "aé" }));
    for at in 0..good.len() {
        assert!(documents.rows(&[&good[..at]]).is_err());
    }
    let mut bad = good.clone();
    let at = bad.windows(2).position(|two| two == "é".as_bytes()).unwrap();
    bad[at] = 0xFF;
    let error = documents.rows(&[&bad]).unwrap_err();
    assert_eq!(error.message(), "table t, field name: a text is not UTF-8");
    assert_eq!(documents.rows(&[&good]).unwrap().batch.num_rows(), 1);
    // Whatever bytes are others: an error or rows, never a panic.
    for at in 0..good.len() {
        for byte in [0, 1, 2, 3, 4, 5, 8, 15, 16, 0x7F, 0xFF] {
            let mut other = good.clone();
            other[at] = byte;
            let _ = begun(settings()).rows(&[&other]);
        }
    }
}

/// A document with texts that are not UTF-8: wherever it has `é`, the second half of it is missing.
fn broken(document: &Json) -> Vec<u8> {
    let mut bytes = bson(document);
    let places: Vec<_> = (1..bytes.len()).filter(|at| bytes[at - 1..=*at] == *"é".as_bytes()).collect();
    places.iter().for_each(|at| bytes[*at] = b'!');
    bytes
}

fn replacing(schema: Schema) -> Documents {
    begun(Settings { schema, invalid_text: InvalidText::Replace, ..settings() })
}

fn column(built: &Built, name: &str) -> Vec<Option<String>> {
    let column = built.batch.column_by_name(name).unwrap().as_string::<i32>();
    column.iter().map(|text| text.map(str::to_owned)).collect()
}

#[test]
fn a_broken_text_is_named_by_its_field_and_leaves_nothing_behind() {
    let good =
        [json!({ "_id": 1, "a": "a", "b": "b" }), json!({ "_id": 2, "a": "aa", "b": "bb" })].map(|one| bson(&one));
    let mut documents = begun(settings());
    documents.observe(good.iter().map(Vec::as_slice)).unwrap();
    for (document, field) in [
        (json!({ "_id": 3, "a": "é", "b": "b" }), "a"),
        (json!({ "_id": 3, "a": "a", "r": { "x": ["é"] } }), "r"),
        (json!({ "_id": 3, "a": "a", "r": { "é": 1 } }), "r"),
        (json!({ "_id": 3, "a": ["é"] }), "a"),
    ] {
        let error = documents.rows(&[&good[0], &broken(&document)]).unwrap_err();
        assert_eq!(error.message(), format!("table t, field {field}: a text is not UTF-8"));
        let built = documents.rows(&[&good[1]]).unwrap();
        assert_eq!(column(&built, "b"), [Some("bb".to_owned())]);
    }
}

#[test]
fn broken_texts_are_mended_where_they_are_to_be() {
    let bad = broken(&json!({ "_id": "é", "a": "xéy", "é": "é", "r": { "é": ["é"] }, "s": { "$symbol": "é" } }));
    let good = bson(&json!({ "_id": "good", "a": "é" }));
    let mut documents = replacing(Schema::Infer);
    let built = documents.rows(&[&bad, &good]).unwrap();
    assert_eq!(column(&built, "_id"), [Some("\u{FFFD}!".to_owned()), Some("good".to_owned())]);
    assert_eq!(column(&built, "a"), [Some("x\u{FFFD}!y".to_owned()), Some("é".to_owned())]);
    assert_eq!(column(&built, "\u{FFFD}!"), [Some("\u{FFFD}!".to_owned()), None]);
    assert_eq!(column(&built, "s")[0].as_deref(), Some("\u{FFFD}!"));
    let inner = built.batch.column_by_name("r").unwrap().as_struct();
    assert_eq!(
        inner.column_by_name("\u{FFFD}!").unwrap().as_list::<i32>().value(0).as_string::<i32>().value(0),
        "\u{FFFD}!"
    );
    // Known by names alone, too.
    let mut observed = replacing(Schema::Infer);
    observed.observe([&*bad, &*good]).unwrap();
    assert_eq!(without_native(observed.table()), without_native(documents.table()));
    // Halves of one character in two rows are two broken texts.
    let (mut first, mut second) = (bson(&json!({ "a": "x" })), bson(&json!({ "a": "y" })));
    *first.iter_mut().find(|byte| **byte == b'x').unwrap() = "é".as_bytes()[0];
    *second.iter_mut().find(|byte| **byte == b'y').unwrap() = "é".as_bytes()[1];
    assert!(begun(settings()).rows(&[&first, &second]).is_err());
    assert_eq!(
        column(&documents.rows(&[&first, &second]).unwrap(), "a"),
        ["\u{FFFD}", "\u{FFFD}"].map(|of| Some(of.to_owned()))
    );
}

#[test]
fn broken_texts_are_mended_in_whole_and_refused_documents() {
    let bad = broken(&json!({ "_id": 1, "a": "é" }));
    let built = replacing(Schema::Document).rows(&[&bad]).unwrap();
    assert_eq!(column(&built, DOCUMENT)[0].as_deref(), Some("{\"_id\":{\"$numberInt\":\"1\"},\"a\":\"\u{FFFD}!\"}"));
    let of = super::super::declared::Type::Int;
    let declared = Declared {
        columns: vec![("a".to_owned(), of)],
        on_misfit: OnMisfit::Quarantine,
        rest: false,
        coercion: Coercion::Never,
    };
    let mut documents = replacing(Schema::Declared(declared));
    let built = documents.rows(&[&bad]).unwrap();
    assert_eq!(built.batch.num_rows(), 0);
    let refused = documents.quarantine(&[&bad], &built.refused).unwrap();
    assert!(refused.column(1).as_string::<i32>().value(0).contains("\u{FFFD}!"));
}

/// `{name: {name: … 1}}`, so many levels.
fn deep(levels: usize, name: &[u8]) -> Vec<u8> {
    let around = 4 + 1 + name.len() + 1 + 1;
    let inner = 4 + 1 + name.len() + 1 + 4 + 1;
    let mut out = Vec::new();
    for level in (0..levels).rev() {
        let (length, kind) = if level == 0 { (inner, 0x10) } else { (inner + level * around, 0x03) };
        out.extend_from_slice(&(length as u32).to_le_bytes());
        out.push(kind);
        out.extend_from_slice(name);
        out.push(0);
    }
    out.extend_from_slice(&1u32.to_le_bytes());
    out.resize(out.len() + levels, 0);
    out
}

#[test]
fn documents_may_be_deep_and_those_that_are_too_deep_are_an_error() {
    let declared = |of| {
        let columns = vec![("a".to_owned(), of)];
        Schema::Declared(Declared { columns, on_misfit: OnMisfit::Quarantine, rest: true, coercion: Coercion::Never })
    };
    use super::super::declared::Type;
    let schemas = [Schema::Infer, Schema::Document, declared(Type::Json), declared(Type::Text), declared(Type::Int)];
    for schema in schemas {
        for invalid_text in [InvalidText::Fail, InvalidText::Replace] {
            for name in ["a", "_id", "é"] {
                for levels in [1, 8, 9, 100, 200, 256, 300, 100_000] {
                    let document = deep(levels, name.as_bytes());
                    assert!(Elements::of(&document).is_ok());
                    let mut documents = begun(Settings { schema: schema.clone(), invalid_text, ..settings() });
                    let built = documents.rows(&[&document]);
                    let refused = built.and_then(|built| match documents.quarantine_table() {
                        Some(_) => documents.quarantine(&[&document], &built.refused).map(drop),
                        None => Ok(()),
                    });
                    match (levels, refused) {
                        (..=256, refused) => refused.unwrap(),
                        (_, Ok(())) => assert!(matches!(schema, Schema::Declared(_)), "{name} {levels}"),
                        (_, Err(error)) => assert!(error.message().contains("256 deep"), "{error:?}"),
                    }
                    // Broken at the very bottom.
                    let mut broken = document.clone();
                    let at = broken.len() - levels - 4 - name.len() - 1;
                    broken[at] = 0xFF;
                    let _ = begun(Settings { schema: schema.clone(), invalid_text, ..settings() }).rows(&[&broken]);
                }
            }
        }
    }
}

#[test]
fn documents_may_be_large() {
    let text = "é".repeat(5 << 20);
    let large = bson(&json!({ "_id": 1, "a": text, "r": { "b": { "c": text } }, "l": [[text]] }));
    assert!(large.len() > 16 << 20);
    let mut documents = begun(settings());
    let batch = documents.rows(&[&large]).unwrap().batch;
    assert_eq!(batch.column(1).as_string::<i32>().value(0), text);
}
