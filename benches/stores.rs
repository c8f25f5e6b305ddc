//! How fast a store takes data files: `cargo bench --bench stores -- [local PATH | s3 | gcs | memory] [MIB] [KEY=VALUE…]`.
//!
//! The servers are those of the live tests, by the same variables.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tidemark::config::Section;
use tidemark::destination::files::store::Store;
use tidemark::destination::files::stores::{self, memory::Memory};
use tidemark::error::Result;

const MIB: usize = 1 << 20;
/// What an encoder hands over at once, about.
const PIECE: usize = MIB;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match runtime.block_on(run(&words)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(words: &[String]) -> Result<()> {
    let mut words = words.iter().map(String::as_str).peekable();
    let kind = words.next().unwrap_or("memory");
    let path = if kind == "local" { words.next().unwrap_or("/tmp/tidemark-bench") } else { "" };
    let size = words.next_if(|word| !word.contains('=')).and_then(|size| size.parse().ok()).unwrap_or(256);
    let keys: Vec<_> = words.filter_map(|word| word.split_once('=')).collect();
    let store = store(kind, path, &keys)?;
    let noise = noise(16 * MIB);
    for round in 0..3 {
        let key = format!("bench/{round}");
        let (before, cpu) = (Instant::now(), cpu_seconds());
        let (mut upload, mut most) = (store.upload(&key).await?, 0);
        for n in 0..size {
            let at = n % (noise.len() / PIECE) * PIECE;
            upload.write(noise.slice(at..at + PIECE)).await?;
            most = most.max(upload.held());
        }
        upload.finish().await?;
        let (seconds, cpu) = (before.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        println!(
            "{kind}: {size} MiB in {seconds:.2} s: {:.0} MiB/s, {cpu:.2} CPU-s, {} MiB held at most, {} MiB resident at most",
            size as f64 / seconds,
            most / MIB,
            resident_mib()
        );
        store.delete(&[key]).await?;
    }
    Ok(())
}

fn store(kind: &str, path: &str, more: &[(&str, &str)]) -> Result<Arc<dyn Store>> {
    let variable = |name: &str| std::env::var(format!("TIDEMARK_TEST_{name}")).unwrap_or_default();
    let mut values = match kind {
        "memory" => return Ok(Arc::new(Memory::new())),
        "local" => vec![("path", path.to_owned())],
        "s3" => vec![
            ("endpoint", variable("S3")),
            ("bucket", variable("S3_BUCKET")),
            ("access_key", variable("S3_KEY")),
            ("secret_key", variable("S3_SECRET")),
        ],
        _ => vec![("endpoint", variable("GCS")), ("bucket", variable("GCS_BUCKET"))],
    };
    values.extend(more.iter().map(|(key, value)| (*key, (*value).to_owned())));
    let values: Vec<_> = values.iter().map(|(key, value)| (*key, value.as_str())).collect();
    stores::store(kind, &Section::of_kind(&stores::maker(kind)?.kind, &values)?)
}

fn noise(size: usize) -> Bytes {
    let mut state = 42_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(size).collect()
}

/// User and system time of this process, from Linux's /proc; 0 elsewhere.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1024
}
