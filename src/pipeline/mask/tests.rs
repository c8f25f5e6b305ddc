use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float64Array,
    Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, Schema};
use async_trait::async_trait;
use proptest::prelude::*;
use ring::hmac;

use super::reader::{Masking, Warned};
use super::table::Masked;
use crate::config::Section;
use crate::error::{Kind, Result};
use crate::pipeline::columns::Columns;
use crate::record::change::{self, Changes, Op};
use crate::record::{Event, Mode, Rows, StreamId, Table, field};
use crate::source::masking::{KEYS, Masks};
use crate::source::{Reader, STREAM_KEYS};

const SECRET: &str = "0123456789abcdef";

fn masks(rules: &[(&str, &str)]) -> Masks {
    let keys: Vec<_> = rules.iter().map(|(name, how)| (format!("mask.{name}"), *how)).collect();
    let mut values: Vec<_> = keys.iter().map(|(key, how)| (key.as_str(), *how)).collect();
    values.push(("mask_secret", SECRET));
    let section = Section::of_keys("stream s", STREAM_KEYS.iter().chain(KEYS).collect(), &values).unwrap();
    Masks::of(&section, Mode::Full).unwrap()
}

fn table(columns: Vec<Field>) -> Table {
    Table::new("people", Arc::new(Schema::new(columns)), vec!["id".to_owned()])
}

/// The same where columns were found.
fn found(columns: Vec<Field>) -> Table {
    let metadata = HashMap::from([(field::FOUND.to_owned(), "yes".to_owned())]);
    Table::new("people", Arc::new(Schema::new_with_metadata(columns, metadata)), Vec::new())
}

fn masked(table: &Table, columns: Vec<ArrayRef>, rules: &[(&str, &str)]) -> Rows {
    let batch = RecordBatch::try_new(table.schema.clone(), columns).unwrap();
    let masks = masks(rules);
    Masked::of(&masks, table, Mode::Full).unwrap().rows(&masks, &batch).unwrap()
}

#[track_caller]
fn refused(table: &Table, rules: &[(&str, &str)], words: &str) {
    let error = Masked::of(&masks(rules), table, Mode::Full).map(drop).unwrap_err();
    assert!(error.to_string().contains(words), "{error}");
}

fn texts(array: &ArrayRef) -> Vec<Option<&str>> {
    array.as_string::<i32>().iter().collect()
}

fn hash(text: &str) -> String {
    hex::encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), text.as_bytes()))
}

#[test]
fn each_type_has_one_text_to_hash() {
    let ints = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None])]);
    let uuid = hex::decode("00112233445566778899aabbccddeeff").unwrap();
    let named = |name: &str, of: &ArrayRef| field::nullable(name, of.data_type().clone());
    let cases: Vec<(ArrayRef, &str)> = vec![
        (Arc::new(StringArray::from(vec!["ada@example.org"])), "ada@example.org"),
        (Arc::new(StringArray::from(vec![""])), ""),
        (Arc::new(Int32Array::from(vec![7])), "7"),
        (Arc::new(Int64Array::from(vec![-7])), "-7"),
        (Arc::new(Float64Array::from(vec![0.5])), "0.5"),
        (Arc::new(Float64Array::from(vec![f64::NAN])), "NaN"),
        (Arc::new(BooleanArray::from(vec![true])), "true"),
        (Arc::new(Decimal128Array::from(vec![-150]).with_precision_and_scale(10, 2).unwrap()), "-1.50"),
        (Arc::new(Date32Array::from(vec![0])), "1970-01-01"),
        (Arc::new(BinaryArray::from(vec![b"\x00\xff".as_slice()])), "00ff"),
        (Arc::new(ints), "[1,null]"),
    ];
    for (array, text) in cases {
        let column = named("a", &array);
        let rows = masked(&table(vec![column]), vec![array], &[("a", "hash")]);
        assert_eq!(texts(rows.batch.column(0)), [Some(hash(text).as_str())], "{text}");
        assert_eq!(rows.table.schema.field(0).data_type(), &DataType::Utf8);
    }
    let ids: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter([uuid].into_iter()).unwrap());
    let rows = masked(&table(vec![field::uuid("a")]), vec![ids], &[("a", "hash")]);
    assert_eq!(texts(rows.batch.column(0)), [Some(hash("00112233-4455-6677-8899-aabbccddeeff").as_str())]);
    assert!(!field::is_uuid(rows.table.schema.field(0)));
    let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0]).with_timezone("UTC"));
    let rows = masked(&table(vec![named("a", &at)]), vec![at], &[("a", "hash")]);
    assert_eq!(texts(rows.batch.column(0)), [Some(hash("1970-01-01T00:00:00.000000Z").as_str())]);
    // As any other program would make it: tables of several programs can be joined.
    assert_eq!(hash("ada@example.org"), "48eef52843ab78cd641876afd0f93ce36cd8f1140d12da77c82ac27f919a849d");
    assert_eq!(hash("7"), "f69cf4852626eee19b92af564b9413e44aa526cc9e726ab9b8972af1d3b39092");
}

#[test]
fn nulls_stay_and_only_what_is_named_changes() {
    let columns = vec![
        field::with_native(field::nullable("email", DataType::Utf8), "enum('ada','bob')"),
        Field::new("id", DataType::Int32, false),
        field::json("about"),
        field::nullable("phone", DataType::Utf8),
        field::nullable("born", DataType::Int32),
    ];
    let email: ArrayRef = Arc::new(StringArray::from(vec![Some("ada"), None, Some("ada")]));
    let ids: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
    let about: ArrayRef = Arc::new(StringArray::from(vec![Some("{}"), None, Some("[]")]));
    let phone: ArrayRef = Arc::new(StringArray::from(vec![Some("žluťoučký"), Some("ab"), None]));
    let born: ArrayRef = Arc::new(Int32Array::from(vec![Some(1815), None, Some(0)]));
    let rules = [("email", "hash"), ("about", "redact"), ("phone", "truncate(3)"), ("born", "redact")];
    let rows = masked(&table(columns), vec![email, ids.clone(), about, phone, born], &rules);
    let (of, schema) = (|at: usize| texts(rows.batch.column(at)), &rows.table.schema);
    let ada = hash("ada");
    assert_eq!(of(0), [Some(ada.as_str()), None, Some(ada.as_str())]);
    assert_eq!(rows.batch.column(1), &ids);
    assert_eq!(of(2), [Some("***"), None, Some("***")]);
    assert_eq!(of(3), [Some("žlu"), Some("ab"), None]);
    assert_eq!(of(4), [Some("***"), None, Some("***")]);
    assert_eq!(rows.batch.schema(), *schema);
    // The words of an enumeration are values.
    assert_eq!(field::native(schema.field(0)), Some("enum"));
    assert!(!field::is_json(schema.field(2)) && field::mask(schema.field(3)) == Some("truncate(3)"));
    assert!(field::mask(schema.field(0)).unwrap().starts_with("hash, key "));
    assert_eq!(field::mask(schema.field(1)), None);
}

#[test]
fn fields_of_records_and_of_lists_of_records() {
    let city: ArrayRef = Arc::new(StringArray::from(vec![Some("hidden"), Some("Oslo"), Some("Rome")]));
    let zip: ArrayRef = Arc::new(StringArray::from(vec!["1", "2", "3"]));
    let fields = [field::nullable("city", DataType::Utf8), field::nullable("zip", DataType::Utf8)];
    let nulls = NullBuffer::from(vec![false, true, true]);
    let home = StructArray::new(fields.to_vec().into(), vec![city, zip], Some(nulls));
    let item = Arc::new(field::nullable("item", home.data_type().clone()));
    let list =
        ListArray::new(item, arrow_buffer::OffsetBuffer::new(vec![0, 1, 1, 3].into()), Arc::new(home.clone()), None);
    let columns =
        vec![field::nullable("home", home.data_type().clone()), field::nullable("all", list.data_type().clone())];
    let columns: (Table, Vec<ArrayRef>) = (table(columns), vec![Arc::new(home), Arc::new(list)]);
    let rules = [("home.city", "hash"), ("all.city", "drop"), ("all.zip", "redact")];
    let rows = masked(&columns.0, columns.1.clone(), &rules);
    let home = rows.batch.column(0).as_struct();
    assert_eq!(home.column(0).as_string::<i32>().value(1), hash("Oslo"));
    assert!(home.is_null(0) && home.column(1).as_string::<i32>().value(2) == "3");
    let items = rows.batch.column(1).as_list::<i32>();
    assert_eq!((items.value_length(0), items.value_length(2)), (1, 2));
    let items = items.values().as_struct();
    assert_eq!((items.column_names(), items.column(0).as_string::<i32>().value(1)), (vec!["zip"], "***"));
    // No format has records without fields.
    let rows = masked(&columns.0, columns.1.clone(), &[("all.city", "drop"), ("all.zip", "drop")]);
    assert_eq!(rows.batch.schema().fields().len(), 1);
    // Of two masks the outer counts.
    let rows = masked(&columns.0, columns.1, &[("home", "redact"), ("home.city", "drop")]);
    assert_eq!(texts(rows.batch.column(0)), [None, Some("***"), Some("***")]);
}

#[test]
fn what_would_pass_is_refused() {
    let text = |name: &str| field::nullable(name, DataType::Utf8);
    let people = table(vec![Field::new("id", DataType::Int32, false), text("email"), field::json("about")]);
    refused(&people, &[("emial", "hash")], "`mask.emial` names no column of people (did you mean `mask.email`?)");
    refused(
        &people,
        &[("Email", "hash if present")],
        "`mask.Email` names no column of people (did you mean `mask.email`?)",
    );
    refused(&people, &[("email.x", "hash")], "`mask.email.x` names no column");
    refused(&people, &[("about.phone", "hash")], "cannot reach into about, which is text");
    refused(&people, &[("about.phone", "hash")], "`mask.about = hash`");
    refused(&people, &[("id", "hash")], "masks id, which is of the table's key");
    refused(&people, &[("ID", "drop if present")], "masks id, which is of the table's key");
    refused(&people, &[("about", "truncate(3)")], "truncates a text, and about is none");
    let one = Table::new("t", Arc::new(Schema::new(vec![text("a")])), Vec::new());
    refused(&one, &[("a", "drop")], "leave no column");
    assert!(Masked::of(&masks(&[("emial", "hash if present")]), &people, Mode::Full).is_ok());

    let documents = found(vec![text("a"), field::with_others(field::json("_rest"))]);
    refused(&documents, &[("a", "hash")], "does not reach what is in _rest");
    assert!(Masked::of(&masks(&[("a", "hash"), ("_rest", "drop")]), &documents, Mode::Full).is_ok());
    // A record beside texts is within a text there.
    refused(
        &found(vec![field::with_native(text("user"), "object or string")]),
        &[("user.email", "drop")],
        "cannot reach into user",
    );
}

#[test]
fn a_name_with_dots_is_taken_for_whatever_is_there() {
    let inner: ArrayRef = Arc::new(StringArray::from(vec!["in"]));
    let outer: ArrayRef = Arc::new(StringArray::from(vec!["out"]));
    let record = StructArray::new(vec![field::nullable("b.c", DataType::Utf8)].into(), vec![inner], None);
    let columns = vec![field::nullable("a", record.data_type().clone()), field::nullable("a.b.c", DataType::Utf8)];
    let rows = masked(&table(columns), vec![Arc::new(record), outer], &[("a.b.c", "redact")]);
    assert_eq!(rows.batch.column(0).as_struct().column(0).as_string::<i32>().value(0), "***");
    assert_eq!(texts(rows.batch.column(1)), [Some("***")]);
}

/// A log's own columns are as they were, but that a column that is not there is not named.
#[test]
fn rows_of_changes() {
    let own = table(vec![
        Field::new("id", DataType::Int32, false),
        field::nullable("a", DataType::Utf8),
        field::nullable("b", DataType::Utf8),
    ]);
    let read = Arc::new(change::table(&own).unwrap());
    let ids: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
    let (a, b): (ArrayRef, ArrayRef) = (
        Arc::new(StringArray::from(vec![None, Some("x"), None])),
        Arc::new(StringArray::from(vec![None::<&str>, None, None])),
    );
    let mut changes = Changes::default();
    changes.push(Op::Update, None, "1", ["a", "b"]);
    changes.push(Op::Update, None, "2", ["b"]);
    changes.push(Op::Delete, None, "3", []);
    let batch = RecordBatch::try_new(own.schema.clone(), vec![ids, a, b]).unwrap();
    let rows = changes.finish(&read, &batch).unwrap();
    let masks = masks(&[("a", "hash"), ("b", "drop")]);
    let of = Masked::of(&masks, &read, Mode::Cdc).unwrap();
    let written = of.rows(&masks, &rows.batch).unwrap();
    assert!(written.batch.column_by_name("b").is_none());
    let named = |at: usize| {
        let lists = written.batch.column_by_name(change::UNCHANGED).unwrap().as_list::<i32>();
        lists.is_valid(at).then(|| texts(&lists.value(at)).into_iter().flatten().map(str::to_owned).collect::<Vec<_>>())
    };
    assert_eq!((named(0), named(1), named(2)), (Some(vec!["a".to_owned()]), None, None));
    assert_eq!(texts(written.batch.column(1)), [None, Some(hash("x").as_str()), None]);
    let gone = of.rows(&masks, &change::truncate(&read, None, "4").unwrap().batch).unwrap();
    assert_eq!((gone.batch.num_rows(), gone.batch.column(1).null_count()), (1, 1));
}

/// Yields what it was given.
struct Given(VecDeque<Event>);

#[async_trait]
impl Reader for Given {
    async fn next(&mut self) -> Result<Option<Event>> {
        Ok(self.0.pop_front())
    }
}

fn reader(rules: &[(&str, &str)], tables: &[Table]) -> Masking {
    let events = tables.iter().map(|table| Event::Rows(Rows::none(Arc::new(table.clone())))).collect();
    let (stream, warned) = (StreamId::new("s"), Warned::default());
    Masking {
        reader: Box::new(Given(events)),
        masks: masks(rules),
        mode: Mode::Cdc,
        stream,
        warned,
        tables: BTreeMap::new(),
    }
}

#[tokio::test]
async fn a_column_that_gets_another_name_is_refused() {
    let (email, mail) = (field::nullable("email", DataType::Utf8), field::nullable("mail", DataType::Utf8));
    let id = field::nullable("id", DataType::Int32);
    let tables = [table(vec![id.clone(), email]), table(vec![id.clone(), mail])];
    let mut of = reader(&[("email", "hash if present")], &tables);
    assert!(of.next().await.unwrap().is_some());
    let error = of.next().await.unwrap_err();
    assert!(error.kind() == Kind::Schema && error.to_string().contains("email, which is masked, is gone"), "{error}");
    let mut of = reader(&[("email", "hash")], &tables);
    assert!(of.next().await.is_ok() && of.next().await.is_err());
}

#[tokio::test]
async fn a_field_that_comes_late_is_masked_when_it_comes() {
    let a = field::with_native(field::nullable("a", DataType::Int32), "int");
    let email = field::with_native(field::nullable("email", DataType::Utf8), "string");
    let tables = [found(vec![a.clone()]), found(vec![a.clone()]), found(vec![a, email])];
    let mut of = reader(&[("email", "hash")], &tables);
    let mut seen = Vec::new();
    while let Some(Event::Rows(rows)) = of.next().await.unwrap() {
        seen.push(rows.table);
    }
    // What is the same stays the very same: each table begins new files.
    assert!(Arc::ptr_eq(&seen[0], &seen[1]));
    assert!(field::mask(seen[2].schema.field(1)).is_some());
}

/// Before it is known what a named column holds, nothing but nulls are in it: or nothing is handed on.
#[test]
fn a_column_that_nobody_knows_yet_holds_nothing() {
    let table = found(vec![field::nullable("user", DataType::Utf8)]);
    let masks = masks(&[("user.email", "drop")]);
    let of = Masked::of(&masks, &table, Mode::Full).unwrap();
    let rows = |text: Option<&str>| {
        let column: ArrayRef = Arc::new(StringArray::from(vec![text]));
        of.rows(&masks, &RecordBatch::try_new(table.schema.clone(), vec![column]).unwrap())
    };
    assert!(rows(None).is_ok() && rows(Some("{}")).is_err());
}

#[test]
fn another_mask_or_secret_is_a_change_of_columns() {
    let of =
        |table: &Table, masks: &Masks| Columns::of(&Masked::of(masks, table, Mode::Full).unwrap().table.definition().1);
    let text = || field::with_native(field::nullable("a", DataType::Utf8), "string");
    let keys = |secret: &'static str| {
        let values = [("mask.a", "hash"), ("mask_secret", secret)];
        let section = Section::of_keys("stream s", KEYS.iter().collect(), &values).unwrap();
        Masks::of(&section, Mode::Full).unwrap()
    };
    for table in [Table::new("t", Arc::new(Schema::new(vec![text()])), Vec::new()), found(vec![text()])] {
        let plain = Columns::of(&table.definition().1);
        let (one, other) = (of(&table, &keys(SECRET)), of(&table, &keys("another secret, as long")));
        let redacted = of(&table, &masks(&[("a", "redact")]));
        assert!(one.changes(&one).is_none() && one.growth(&one).is_none());
        for (before, after) in [(&plain, &one), (&one, &plain), (&one, &other), (&one, &redacted)] {
            assert!(before.changes(after).unwrap().contains("masked by"));
            assert!(before.growth(after).unwrap().contains("masked by"));
        }
    }
}

/// All bytes of a column, those of what it is made of too.
fn bytes(array: &ArrayRef) -> Vec<Vec<u8>> {
    let (mut all, mut parts) = (Vec::new(), vec![array.to_data()]);
    while let Some(data) = parts.pop() {
        all.extend(data.buffers().iter().map(|buffer| buffer.as_slice().to_vec()));
        parts.extend(data.child_data().iter().cloned());
    }
    all
}

fn has(bytes: &[Vec<u8>], value: &str) -> bool {
    bytes.iter().any(|bytes| bytes.windows(value.len()).any(|window| window == value.as_bytes()))
}

proptest! {
    /// Not even in what lies in a buffer and in no row: in parts of other batches, under nulls.
    #[test]
    fn no_bytes_of_a_masked_value_are_anywhere(
        rows in proptest::collection::vec((proptest::option::of("[g-zG-Z§ž!]{6,20}"), any::<bool>()), 1..40),
        how in prop_oneof![Just("hash"), Just("redact"), Just("drop"), Just("truncate(2)")],
        from in 0_usize..40,
    ) {
        let from = from % rows.len();
        let values: Vec<Option<&str>> = rows.iter().map(|(text, _)| text.as_deref()).collect();
        let secret: ArrayRef = Arc::new(StringArray::from(values.clone()));
        let nulls: NullBuffer = rows.iter().map(|(_, valid)| *valid).collect();
        let inner = StructArray::new(
            vec![field::nullable("email", DataType::Utf8), field::nullable("n", DataType::Int32)].into(),
            vec![secret.clone(), Arc::new(Int32Array::from_iter_values(0..rows.len() as i32))],
            Some(nulls),
        );
        let item = Arc::new(field::nullable("item", inner.data_type().clone()));
        let offsets: Vec<i32> = (0..=rows.len() as i32).collect();
        let list = ListArray::new(item, arrow_buffer::OffsetBuffer::new(offsets.into()), Arc::new(inner.clone()), None);
        let ids: ArrayRef = Arc::new(Int32Array::from_iter_values(0..rows.len() as i32));
        let table = table(vec![
            Field::new("id", DataType::Int32, false),
            field::nullable("email", DataType::Utf8),
            field::nullable("user", inner.data_type().clone()),
            field::nullable("all", list.data_type().clone()),
        ]);
        let batch = RecordBatch::try_new(table.schema.clone(), vec![ids, secret, Arc::new(inner), Arc::new(list)]).unwrap();
        let batch = batch.slice(from, rows.len() - from);
        let rules = [("email", how), ("user.email", how), ("all.email", how)];
        let masks = masks(&rules);
        let written = Masked::of(&masks, &table, Mode::Full).unwrap().rows(&masks, &batch).unwrap();
        prop_assert_eq!(written.batch.num_rows(), batch.num_rows());
        let all: Vec<_> = written.batch.columns().iter().flat_map(bytes).collect();
        for value in values.iter().flatten() {
            prop_assert!(!has(&all, value));
        }
        // The same search finds them in what was read.
        let read: Vec<_> = batch.columns().iter().flat_map(bytes).collect();
        prop_assert!(values.iter().flatten().all(|value| has(&read, value)));
        if how != "drop" {
            let own = written.batch.column_by_name("email").unwrap();
            for (row, value) in values[from..].iter().enumerate() {
                prop_assert_eq!(own.is_null(row), value.is_none());
            }
        }
    }
}
