//! How fast documents become Arrow, on one core: `cargo bench --bench documents --no-default-features -- [WORD…]`, only the lines with a
//! WORD in them.
//!
//! CPU seconds where the system tells them (Linux), wall seconds elsewhere; the best of some rounds.

use std::hint::black_box;
use std::time::Instant;

use serde_json::Value as Json;
use tidemark::source::documents::declared::Type;
use tidemark::source::documents::{Coercion, Declared, Documents, OnMisfit, Schema, Settings};

const ROUNDS: usize = 9;
const BATCHES: usize = 12;
const ROWS: usize = 8192;

/// Adds the fields of a document of that number.
type Fields = fn(&mut Document, u64);

/// What is measured, of which documents, with which columns.
type Line = (&'static str, Fields, fn() -> Schema);

fn main() {
    let words: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let lines: [Line; 8] = [
        ("flat, 10 fields", flat, || Schema::Infer),
        ("flat, 10 fields, declared", flat, declared),
        ("flat, 10 fields, whole", flat, || Schema::Document),
        ("flat, 40 fields", wide, || Schema::Infer),
        ("flat, 40 fields, a third of them missing", sparse, || Schema::Infer),
        ("flat, 40 fields in any order", shuffled, || Schema::Infer),
        ("nested, records and lists", nested, || Schema::Infer),
        ("mixed types", mixed, || Schema::Infer),
    ];
    for (line, fields, schema) in lines {
        if words.is_empty() || words.iter().any(|word| line.contains(word.as_str())) {
            measure(line, fields, schema());
        }
    }
}

fn measure(line: &str, fields: Fields, schema: Schema) {
    let all: Vec<Vec<u8>> = (0..(BATCHES * ROWS) as u64)
        .map(|number| {
            let mut document = Document::begun();
            fields(&mut document, number);
            document.ended()
        })
        .collect();
    let bytes: usize = all.iter().map(Vec::len).sum();
    let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    let settings = Settings { key: Some("_id".to_owned()), most_columns: 1000, schema, ..Settings::default() };
    let mut documents = Documents::of("t", settings, &Json::Null).expect("settings");
    // What a stream that has run for a while knows.
    documents.observe(all.iter().copied()).expect("documents");
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let begin = (cpu_seconds(), Instant::now());
        for documents_of_batch in all.chunks(ROWS) {
            black_box(documents.rows(black_box(documents_of_batch)).expect("rows"));
        }
        let seconds = match (begin.0, cpu_seconds()) {
            (Some(begin), Some(end)) => end - begin,
            _ => begin.1.elapsed().as_secs_f64(),
        };
        best = best.min(seconds);
    }
    let rows = all.len() as f64;
    println!(
        "{line:44} {:6.0} bytes each {:9.0} documents/s {:6.0} MB/s",
        bytes as f64 / rows,
        rows / best,
        bytes as f64 / best / 1e6
    );
}

/// What this thread has had of a processor.
fn cpu_seconds() -> Option<f64> {
    // The kernel counts when a thread leaves its processor; else a few milliseconds may be missing.
    std::thread::yield_now();
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    line.split(' ').next()?.parse::<f64>().ok().map(|nanoseconds| nanoseconds / 1e9)
}

/// BSON that is being written.
struct Document(Vec<u8>);

impl Document {
    fn begun() -> Self {
        Self(vec![0; 4])
    }

    fn ended(mut self) -> Vec<u8> {
        self.0.push(0);
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_le_bytes());
        self.0
    }

    fn put(&mut self, kind: u8, name: &str, value: &[u8]) {
        self.0.push(kind);
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(0);
        self.0.extend_from_slice(value);
    }

    fn text(&mut self, name: &str, text: &str) {
        self.put(0x02, name, &(text.len() as u32 + 1).to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
    }

    fn id(&mut self, number: u64) {
        let mut id = [0x65, 0x5F, 0x1A, 0x2B, 0, 0, 0, 0, 0, 0, 0, 0];
        id[4..].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
        self.put(0x07, "_id", &id);
    }

    fn long(&mut self, name: &str, number: u64) {
        self.put(0x12, name, &number.to_le_bytes());
    }

    fn int(&mut self, name: &str, number: u64) {
        self.put(0x10, name, &(number as u32).to_le_bytes());
    }

    fn double(&mut self, name: &str, number: f64) {
        self.put(0x01, name, &number.to_le_bytes());
    }

    fn date(&mut self, name: &str, number: u64) {
        self.put(0x09, name, &(1_700_000_000_000 + number * 977).to_le_bytes());
    }
}

fn flat(document: &mut Document, n: u64) {
    document.id(n);
    document.int("customer_number", n % 50_000);
    document.long("amount_in_cents", n * 31);
    document.double("discount", (n % 777) as f64 / 8.0);
    document.text("status", ["open", "paid", "shipped", "returned"][n as usize % 4]);
    document.text("customer_name", &format!("name of the customer {}", n % 9999));
    document.date("created_at", n);
    document.date("updated_at", n + 5);
    document.put(0x08, "is_gift", &[n.is_multiple_of(3).into()]);
    document.int("quantity", n % 12);
}

fn declared() -> Schema {
    let columns = [
        ("_id", Type::ObjectId),
        ("customer_number", Type::Int),
        ("amount_in_cents", Type::Long),
        ("discount", Type::Double),
        ("status", Type::Text),
        ("customer_name", Type::Text),
        ("created_at", Type::Timestamp),
        ("updated_at", Type::Timestamp),
        ("is_gift", Type::Bool),
        ("quantity", Type::Int),
    ];
    let columns = columns.map(|(name, of)| (name.to_owned(), of)).to_vec();
    Schema::Declared(Declared { columns, on_misfit: OnMisfit::Quarantine, rest: false, coercion: Coercion::Never })
}

/// A field of one of the types that a flat document has.
fn one(document: &mut Document, at: u64, n: u64) {
    let name = format!("field_{at}");
    match at % 5 {
        0 => document.int(&name, n % 1000),
        1 => document.long(&name, n * 7),
        2 => document.double(&name, n as f64 / 16.0),
        3 => document.text(&name, &format!("text {}", n % 1000)),
        _ => document.date(&name, n),
    }
}

fn wide(document: &mut Document, n: u64) {
    document.id(n);
    (0..39).for_each(|at| one(document, at, n));
}

fn sparse(document: &mut Document, n: u64) {
    document.id(n);
    (0..39).filter(|at| !(at * 31 + n * 17).is_multiple_of(3)).for_each(|at| one(document, at, n));
}

fn shuffled(document: &mut Document, n: u64) {
    document.id(n);
    (0..39).for_each(|at| one(document, (at * 17 + n) % 39, n));
}

fn nested(document: &mut Document, n: u64) {
    document.id(n);
    document.text("name", "somebody");
    let mut address = Document::begun();
    address.text("street", "a street of some length");
    address.text("city", ["Oslo", "Bergen", "Tromsø"][n as usize % 3]);
    address.int("number", n % 100);
    document.put(0x03, "address", &address.ended());
    let mut items = Document::begun();
    for at in 0..3 {
        let mut item = Document::begun();
        item.int("product", n % 300 + at);
        item.double("price", at as f64 + 0.5);
        item.int("quantity", at);
        items.put(0x03, &at.to_string(), &item.ended());
    }
    document.put(0x04, "items", &items.ended());
}

fn mixed(document: &mut Document, n: u64) {
    document.id(n);
    for at in 0..9 {
        let name = format!("field_{at}");
        match (n + at) % 4 {
            0 => document.int(&name, n % 1000),
            1 => document.long(&name, n * 7),
            2 => document.text(&name, "text"),
            _ => document.double(&name, n as f64 / 16.0),
        }
    }
}
