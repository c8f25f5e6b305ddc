//! Answers as a file has them.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use super::asked::Asked;
use super::line::{Head, Line};
use crate::error::{Error, Result};
use crate::source::rest::request::Request;
use crate::source::rest::secrets::Secrets;
use crate::source::rest::transport::faults::Faults;
use crate::source::rest::transport::{Answer, Broken, Transport, What};

/// Answers out of a file, in the order in which they were given to each request; the last one again and again.
pub struct Replay {
    path: PathBuf,
    file: Arc<Mutex<File>>,
    lines: Mutex<HashMap<Asked, VecDeque<Spot>>>,
    /// Whether it has come to where the recording was cut: behind that there is nothing.
    is_at_cut: AtomicBool,
    faults: Faults,
    /// When the recording was begun: what the source takes for now.
    pub begun: Timestamp,
}

/// Where in the file a line is: of all answers, only those that are asked for are in memory.
#[derive(Debug, Clone, Copy)]
enum Spot {
    Answer { start: u64, bytes: usize },
    Cut,
}

impl Replay {
    /// Reads the file once. What is no recording is refused, by its line.
    pub fn of(path: &Path, faults: Faults) -> Result<Self> {
        let wrong = |problem: String| {
            Error::config(format!("{}: {problem}", path.display())).hint("`tidemark record` makes such a file.")
        };
        let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
        let mut reader = BufReader::new(&file);
        let (mut begun, mut lines) = (None, HashMap::<Asked, VecDeque<Spot>>::new());
        let (mut start, mut number) = (0, 0);
        let mut text = Vec::new();
        while reader.read_until(b'\n', &mut text).map_err(|error| wrong(error.to_string()))? > 0 {
            number += 1;
            let line = line(&text);
            if text.iter().all(u8::is_ascii_whitespace) {
                // People leave such lines behind.
            } else if begun.is_none() {
                begun = Some(Head::parse(&text).map_err(wrong)?);
            } else if line.is_err() && !text.ends_with(b"\n") {
                tracing::warn!(file = %path.display(), "the recording ends within an answer, which is left out");
            } else {
                let (asked, has_answer) = line
                    .map_err(|place| wrong(format!("line {number}, column {place}: is no answer that was kept")))?
                    .asked();
                let answer = Spot::Answer { start, bytes: text.len() };
                lines.entry(asked).or_default().push_back(if has_answer { answer } else { Spot::Cut });
            }
            start += text.len() as u64;
            text.clear();
        }
        let begun = begun.ok_or_else(|| wrong("is empty".to_owned()))?;
        let (path, file) = (path.to_owned(), Arc::new(Mutex::new(file)));
        Ok(Self { path, file, lines: Mutex::new(lines), is_at_cut: AtomicBool::new(false), faults, begun })
    }

    fn spot(&self, asked: &Asked) -> Result<Spot, Broken> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let spot = lines.get_mut(asked).and_then(|spots| match spots.len() {
            0 | 1 => spots.front().copied(),
            _ => spots.pop_front(),
        });
        match spot {
            Some(spot) => Ok(spot),
            None if self.is_at_cut.load(Ordering::SeqCst) => Ok(Spot::Cut),
            None => Err(self.unknown(asked, lines.keys())),
        }
    }

    fn unknown<'a>(&self, asked: &Asked, known: impl Iterator<Item = &'a Asked>) -> Broken {
        let of_path = known.filter(|known| (&known.method, &known.path) == (&asked.method, &asked.path)).count();
        let (file, names) = (self.path.display(), asked.names());
        let others = match of_path {
            0 => "it has none to this method and path".to_owned(),
            _ => format!("it has answers to {of_path} others of this method and path"),
        };
        let message = format!(
            "{file} has no answer to this request, with {names} as they are now ({others}): record the stream again with `tidemark record`"
        );
        Broken::new(What::Refused, message)
    }
}

/// A line of the file, or the column where it is none. Not serde's words: they may quote what stands there.
fn line(text: &[u8]) -> Result<Line, usize> {
    serde_json::from_slice(text).map_err(|error| error.column())
}

fn read(file: &Mutex<File>, start: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
    let mut text = vec![0; bytes];
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut text)?;
    Ok(text)
}

#[async_trait]
impl Transport for Replay {
    async fn send(&self, request: &Request) -> Result<Answer, Broken> {
        if let Some(fault) = self.faults.next() {
            return fault.answer();
        }
        let Spot::Answer { start, bytes } = self.spot(&Asked::of(request, &Secrets::default()))? else {
            self.is_at_cut.store(true, Ordering::SeqCst);
            return Err(Broken::cut());
        };
        let (file, path) = (self.file.clone(), self.path.clone());
        let changed = move || Broken::new(What::Refused, format!("{} has changed while it was read", path.display()));
        let answer = tokio::task::spawn_blocking(move || {
            let text = read(&file, start, bytes).map_err(|_| changed())?;
            line(&text).map_err(|_| changed())?.answer()
        });
        answer.await.map_err(|_| Broken::new(What::CutOff, "the program is ending"))?
    }
}
