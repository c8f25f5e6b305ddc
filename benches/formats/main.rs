//! How fast tables become bytes, on one core, beside what there is to compare with.
//!
//! `cargo bench --bench formats [WORD…] [!WORD…]`: only the lines with a WORD in them, none with a !WORD. CPU seconds
//! where the system tells them (Linux), wall seconds elsewhere; of some rounds, taken in turns, the best one of each line.

mod cells;
mod peers;
mod tables;

use std::hint::black_box;
use std::time::Instant;

use arrow_array::RecordBatch;
use tidemark::config::Section;
use tidemark::format::{self, Format};
use tidemark::record::Table;

use self::cells::Scratch;

const ROUNDS: usize = 5;

/// A way of encoding a table: gives the number of bytes.
type Encode = Box<dyn Fn(&[RecordBatch]) -> usize>;

fn main() {
    let words = std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    let (without, words): (Vec<_>, Vec<_>) = words.partition(|word| word.starts_with('!'));
    for (name, batches) in tables::all() {
        let arrays = batches.iter().flat_map(RecordBatch::columns);
        let arrow: usize = arrays.map(|array| array.to_data().get_slice_memory_size().unwrap_or(0)).sum();
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        println!("{name}: {rows} rows, {} columns, {:.0} MB as Arrow", batches[0].num_columns(), mega(arrow));
        let wanted = |line: &str| {
            let line = format!("{name} {line}");
            (words.is_empty() || words.iter().any(|word| line.contains(word)))
                && !without.iter().any(|word| line.contains(&word[1..]))
        };
        let lines: Vec<_> = lines().into_iter().filter(|(line, _)| wanted(line)).collect();
        let mut best = vec![(0, f64::MAX); lines.len()];
        for _ in 0..ROUNDS {
            for ((_, encode), best) in lines.iter().zip(&mut best) {
                let begin = Clock::start();
                let bytes = black_box(encode(black_box(&batches)));
                *best = (bytes, begin.seconds().min(best.1));
            }
        }
        for ((line, _), (bytes, seconds)) in lines.iter().zip(best) {
            println!(
                "  {line:44} {seconds:6.3} s {:7.1} MB {:6.0} MB/s out {:6.0} MB/s Arrow {:6.2} Mrows/s",
                mega(bytes),
                mega(bytes) / seconds,
                mega(arrow) / seconds,
                rows as f64 / seconds / 1e6
            );
        }
    }
}

fn lines() -> Vec<(&'static str, Encode)> {
    let ours = |values: &'static [(&str, &str)]| -> Encode { Box::new(move |batches| encode(values, batches)) };
    vec![
        ("csv", ours(&[("format", "csv")])),
        ("csv, csv crate", Box::new(|batches| peers::csv(batches, Scratch::new()))),
        ("csv, csv crate, jiff", Box::new(|batches| peers::csv(batches, Scratch::plain()))),
        ("csv, csv crate, by record", Box::new(peers::csv_by_record)),
        ("csv, csv crate, values ready as text", peers::csv_of_texts()),
        ("csv gzip", ours(&[("format", "csv"), ("compression", "gzip")])),
        ("csv zstd", ours(&[("format", "csv"), ("compression", "zstd")])),
        ("json", ours(&[("format", "json")])),
        ("json, serde_json", Box::new(|batches| peers::json(batches, Scratch::new()))),
        ("json, serde_json, jiff", Box::new(|batches| peers::json(batches, Scratch::plain()))),
        ("json zstd", ours(&[("format", "json"), ("compression", "zstd")])),
        ("parquet", ours(&[])),
        ("parquet, crate's defaults, zstd 1", Box::new(peers::parquet)),
        ("parquet level 3", ours(&[("compression_level", "3")])),
        ("parquet snappy", ours(&[("compression", "snappy")])),
        ("parquet gzip", ours(&[("compression", "gzip")])),
        ("parquet uncompressed", ours(&[("compression", "none")])),
        ("parquet plain encodings", ours(&[("parquet_encoding", "plain")])),
    ]
}

fn encode(values: &'static [(&str, &str)], batches: &[RecordBatch]) -> usize {
    let section = Section::of_keys("bench", format::KEYS.iter().collect(), values).expect("known keys");
    let format: Box<dyn Format> = format::format(&section).expect("a format");
    let table = Table::new("bench", batches[0].schema(), Vec::new());
    let mut encoder = format.encoder(&table, 64 << 20).expect("a table that fits");
    let mut bytes = 0;
    for batch in batches {
        encoder.encode(batch).expect("rows that fit");
        bytes += encoder.take().map_or(0, |piece| piece.len());
    }
    bytes + encoder.finish().expect("an end").len()
}

fn mega(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

struct Clock {
    cpu: Option<f64>,
    wall: Instant,
}

impl Clock {
    fn start() -> Self {
        Self { cpu: cpu_seconds(), wall: Instant::now() }
    }

    fn seconds(&self) -> f64 {
        match (self.cpu, cpu_seconds()) {
            (Some(begin), Some(end)) => end - begin,
            _ => self.wall.elapsed().as_secs_f64(),
        }
    }
}

/// What this thread has had of a processor.
fn cpu_seconds() -> Option<f64> {
    // The kernel counts when a thread leaves its processor; else a few milliseconds may be missing.
    std::thread::yield_now();
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    line.split(' ').next()?.parse::<f64>().ok().map(|nanoseconds| nanoseconds / 1e9)
}
