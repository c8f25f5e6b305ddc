//! Columns that have their order before they have their types.

use super::*;

fn ordered() -> Settings {
    Settings { key: None, order: ["c", "b", "a"].map(str::to_owned).to_vec(), ..settings() }
}

fn names(documents: &Documents) -> Vec<String> {
    let fields = documents.table().schema.fields().iter();
    fields.map(|field| format!("{} {}", field.name(), field.data_type())).collect()
}

#[test]
fn columns_come_in_their_order_and_of_the_types_of_their_values() {
    let mut documents = begun(ordered());
    assert!(names(&documents).is_empty() && !documents.is_known());
    rows(&mut documents, &[json!({ "b": 1 }), json!({ "a": { "x": 1 }, "b": 2 })]);
    let wanted = ["b Int32", "a Struct(\"x\": Int32)"];
    assert_eq!(names(&documents), wanted);
    // What goes on from here knows them.
    let mut on = Documents::of("t", ordered(), &documents.state().unwrap()).unwrap();
    assert!(on.is_known());
    assert_eq!(on.table(), documents.table());
    rows(&mut on, &[json!({ "c": true })]);
    assert_eq!(names(&on), ["c Boolean", wanted[0], wanted[1]]);
}

/// Files without columns cannot be read.
#[test]
fn rows_without_anything_have_columns_all_the_same() {
    let mut documents = begun(ordered());
    for _ in 0..2 {
        assert_eq!(rows(&mut documents, &[json!({}), json!({ "a": null })]).num_rows(), 2);
        assert_eq!(names(&documents), ["c Utf8", "b Utf8", "a Utf8"]);
    }
    let mut on = Documents::of("t", ordered(), &documents.state().unwrap()).unwrap();
    assert!(names(&on).is_empty() && !on.is_known());
    for of in [&mut documents, &mut on] {
        rows(of, &[json!({}), json!({ "a": 1 })]);
        assert_eq!(names(of), ["a Int32"]);
    }
}

#[test]
fn defaults_are_no_documents() {
    let defaults = Some(bson(&json!({ "b": 1 })));
    assert!(!begun(Settings { defaults, ..ordered() }).is_known());
    let whole = |key: Option<&str>| Settings { key: key.map(str::to_owned), schema: Schema::Document, ..settings() };
    assert!(begun(whole(None)).is_known() && !begun(whole(Some("id"))).is_known());
}
