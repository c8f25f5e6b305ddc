//! How fast bodies of JSON are looked at and become documents, on one core: `cargo bench --bench json_bodies --no-default-features
//! --features rest -- [WORD…]`, only the lines with a WORD in them.
//!
//! CPU seconds where the system tells them (Linux), wall seconds elsewhere; the best of some rounds.

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use serde::de::IgnoredAny;
use tidemark::source::documents::from_json::Converter;
use tidemark::source::rest::body::{Batch, Format, Path, Records, Wanted, look, records};
use tidemark::source::rest::transport::{Answer, Body, Spool};

/// Adds a record of that number.
type Record = fn(&mut Vec<u8>, u64);

/// As large as batches are.
const BATCH: usize = 4 << 20;
/// Larger bodies are in a file.
const IN_MEMORY: usize = 4 << 20;

fn main() {
    let words: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let lines: [(&str, u64, Record); 5] = [
        ("flat, 1,000 records", 1_000, flat),
        ("flat, 1,000,000 records", 1_000_000, flat),
        ("long texts", 1_000, long),
        ("escapes and other languages", 10_000, escaped),
        ("doubles and nested records", 10_000, nested),
    ];
    for (line, count, record) in lines {
        if words.is_empty() || words.iter().any(|word| line.contains(word.as_str())) {
            page(line, count, record);
        }
    }
}

fn page(line: &str, count: u64, record: Record) {
    let mut all = b"{\"data\":[".to_vec();
    for number in 0..count {
        all.extend_from_slice(if number == 0 { b"" } else { b"," });
        record(&mut all, number);
    }
    all.extend_from_slice(b"],\"paging\":{\"next\":\"abc\"},\"total\":1000}");
    let path = |text: &str| Path::parse(text).expect("a path");
    let wanted = Wanted::new(path("data"), vec![path("paging.next"), path("total"), path("error.code")]).expect("few");
    let body = || {
        let mut spool = Spool::new(IN_MEMORY);
        spool.add(&all).expect("room");
        spool.finish()
    };
    let here = answer(body());
    let rounds = if count > 100_000 { 3 } else { 100 };
    let of = |what: &str| format!("{line}: {what}");
    measure(&of("looked at"), all.len(), count, rounds, || {
        black_box(look(black_box(&here), &Format::Json.into(), &wanted).expect("JSON"));
    });
    let mut batch = Batch::new(BATCH);
    measure(&of("documents of it"), all.len(), count, rounds, || {
        let mut records = records(answer(same(&here.body)), &Format::Json.into(), &wanted).expect("a body");
        while read(&mut *records, &mut batch) {
            black_box(batch.last());
        }
    });
    let (mut one, mut json, mut converter) = (Vec::new(), Vec::new(), Converter::default());
    record(&mut json, count / 2);
    measure(&of("one document, again and again"), json.len() * 10_000, 10_000, rounds, || {
        for _ in 0..10_000 {
            one.clear();
            converter.add(&mut one, black_box(&json)).expect("JSON");
        }
    });
    // What whoever checks the whole in memory has.
    measure(&of("checked by serde_json, in memory"), all.len(), count, rounds, || {
        black_box(serde_json::from_slice::<IgnoredAny>(black_box(&all)).expect("JSON"));
    });
}

fn answer(body: Body) -> Answer {
    Answer { status: reqwest::StatusCode::OK, headers: reqwest::header::HeaderMap::new(), body, redirects: Vec::new() }
}

fn same(body: &Body) -> Body {
    match body {
        Body::Memory(bytes) => Body::Memory(bytes.clone()),
        Body::File { file, bytes } => Body::File { file: file.try_clone().expect("a file"), bytes: *bytes },
    }
}

/// Whether there may be more.
fn read(records: &mut dyn Records, batch: &mut Batch) -> bool {
    batch.clear();
    records.read(batch).expect("JSON").is_none()
}

fn measure(line: &str, bytes: usize, records: u64, rounds: usize, mut run: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..rounds {
        let begin = (cpu_seconds(), Instant::now());
        run();
        let seconds = match (begin.0, cpu_seconds()) {
            (Some(begin), Some(end)) => end - begin,
            _ => begin.1.elapsed().as_secs_f64(),
        };
        best = best.min(seconds);
    }
    println!("{line:62} {:6.0} MB/s {:10.0} records/s", bytes as f64 / best / 1e6, records as f64 / best);
}

/// What this thread has had of a processor.
fn cpu_seconds() -> Option<f64> {
    // The kernel counts when a thread leaves its processor; else a few milliseconds may be missing.
    std::thread::yield_now();
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    line.split(' ').next()?.parse::<f64>().ok().map(|nanoseconds| nanoseconds / 1e9)
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("memory");
}

fn flat(out: &mut Vec<u8>, n: u64) {
    put(
        out,
        format_args!(
            r#"{{"id":{n},"customer_number":{},"amount_in_cents":{},"discount":{},"status":"{}","customer_name":"name of the customer {}","created_at":"2024-01-31T13:{:02}:06Z","email":"someone{}@example.com","is_gift":{},"quantity":{}}}"#,
            n % 50_000,
            n * 31_000,
            (n % 777) as f64 / 8.0,
            ["open", "paid", "shipped", "returned"][n as usize % 4],
            n % 9999,
            n % 60,
            n % 5000,
            n.is_multiple_of(3),
            n % 12
        ),
    );
}

fn long(out: &mut Vec<u8>, n: u64) {
    put(out, format_args!(r#"{{"id":{n},"text":"{}"}}"#, "a sentence of some length, ".repeat(100)));
}

fn escaped(out: &mut Vec<u8>, n: u64) {
    put(
        out,
        format_args!(
            r#"{{"id":{n},"html":"<a href=\"https:\/\/example.com\/{n}\">link<\/a>\n","name":"\u00e9\u00e8\ud83d\ude00","city":"Tromsø, Жж, 東京"}}"#
        ),
    );
}

fn nested(out: &mut Vec<u8>, n: u64) {
    put(
        out,
        format_args!(
            r#"{{ "id": {n}, "at": {{ "lat": {:?}, "lon": {:?} }}, "items": [ {{ "price": {}.99, "tags": ["a", "b"] }}, {{ "price": 1e3, "tags": [] }} ] }}"#,
            59.0 + (n as f64).sqrt() / 7.0,
            10.0 + (n as f64).sqrt() / 3.0,
            n % 100
        ),
    );
}
