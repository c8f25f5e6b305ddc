//! The job log made anew from the commit logs at the destinations: what `tidemark status --rebuild` does.

use std::sync::Arc;

use futures_util::StreamExt;

use super::inspect::{list_streams, place_to_look};
use super::names::{has_several, is_meant, may_name};
use super::settle;
use crate::config::{Config, StreamSection};
use crate::destination::{self, Place};
use crate::error::{Context, Result};
use crate::job_log::{self, JobLog, Told};
use crate::record::StreamId;

/// How many entries are held at once. One may hold whole tables' definitions, so this bounds memory, not their number.
const PAGE: u64 = 64;
/// How many streams are read at once.
const STREAMS_AT_ONCE: usize = 4;

/// What became of one stream, or of a section whose streams cannot be told.
#[derive(Debug)]
pub struct Rebuilt {
    pub stream: String,
    pub result: Result<Retold>,
}

/// What a stream's commit log holds, and what of it the job log did not know.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Retold {
    pub entries: u64,
    pub runs: u64,
    /// Runs that the job log knew less of, or nothing.
    pub news: u64,
}

/// Notes every run that the destinations know of in the job log; of the streams that `wanted` names, or of all.
///
/// What is known is left as it is, so that it may be done again at any time. The configuration may have been loaded only to
/// look: sources are not asked. Fails itself only where the job log cannot be opened.
pub async fn rebuild(config: &Config, wanted: Option<&str>) -> Result<Vec<Rebuilt>> {
    config.pipeline.have(["name"])?;
    config.job_log.have(job_log::KIND.own_keys().map(|key| key.name))?;
    let pipeline = config.pipeline.text("name")?;
    let log = job_log::open(&config.job_log).await?;
    let (mut rebuilt, mut streams) = (Vec::new(), Vec::new());
    for section in config.streams.iter().filter(|section| may_be_wanted(wanted, section)) {
        match of_section(config, section).await {
            Ok((place, ids)) => streams.extend(ids.into_iter().map(|id| (place.clone(), id))),
            Err(error) => rebuilt.push(Rebuilt { stream: section.name.clone(), result: Err(error) }),
        }
    }
    streams.retain(|(_, id)| wanted.is_none_or(|wanted| is_meant(wanted, id.name())));
    let log = &*log;
    let one = |(place, id): (Arc<dyn Place>, StreamId)| async move {
        let result = leased(&*place, log, pipeline, &id).await;
        Rebuilt { stream: id.to_string(), result }
    };
    let read: Vec<_> = futures_util::stream::iter(streams).map(one).buffered(STREAMS_AT_ONCE).collect().await;
    rebuilt.extend(read);
    Ok(rebuilt)
}

fn may_be_wanted(wanted: Option<&str>, section: &StreamSection) -> bool {
    wanted.is_none_or(|wanted| is_meant(wanted, &section.name) || may_name(wanted, section))
}

/// The streams of a section, those that its file names no more among them, and where they are.
async fn of_section(config: &Config, section: &StreamSection) -> Result<(Arc<dyn Place>, Vec<StreamId>)> {
    let place = place_to_look(config, section)?;
    let ids = match has_several(section) {
        true => list_streams(config, &*place, section).await?,
        false => vec![StreamId::new(section.name.clone())],
    };
    Ok((place, ids))
}

/// Under the stream's lease: a run that is under way tells its commits itself.
async fn leased(place: &dyn Place, log: &dyn JobLog, pipeline: &str, id: &StreamId) -> Result<Retold> {
    let lease = log.lease(pipeline, &id.to_string()).await?;
    let retold = tokio::select! {
        retold = retell(place, log, pipeline, id) => retold.at(|| format!("stream {id}")),
        lost = lease.lost() => Err(lost),
    };
    lease.release().await;
    retold
}

/// Reads the commit log from its first entry to its newest, and tells the job log run by run.
async fn retell(place: &dyn Place, log: &dyn JobLog, pipeline: &str, id: &StreamId) -> Result<Retold> {
    let mark = log.mark(pipeline, &id.to_string()).await?;
    let newest = place.last(id, mark.as_ref().map(|mark| mark.seq)).await?;
    settle::refuse_behind(mark.as_ref(), newest.as_ref())?;
    let mut retold = Retold::default();
    let Some(newest) = newest else { return Ok(retold) };
    let mut run: Option<Told> = None;
    for from in (0..=newest.seq).step_by(PAGE as usize) {
        let to = newest.seq.min(from + PAGE - 1);
        for commit in place.entries(id, from, to).await? {
            if commit.seq == 0 {
                destination::refuse_other_pipeline(&commit, pipeline)?;
            }
            retold.entries += 1;
            run = Some(match run.take() {
                Some(run) if run.is_of(&commit.run) => run.and(&commit),
                ended => {
                    retold.tell(log, pipeline, id, ended).await?;
                    Told::of(&commit)
                }
            });
        }
    }
    retold.tell(log, pipeline, id, run).await?;
    Ok(retold)
}

impl Retold {
    /// Tells of a run that is over, if there is one.
    async fn tell(&mut self, log: &dyn JobLog, pipeline: &str, id: &StreamId, run: Option<Told>) -> Result<()> {
        let Some(run) = run else { return Ok(()) };
        self.runs += 1;
        self.news += u64::from(log.retell(pipeline, &id.to_string(), &run).await?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU64, Ordering};

    use async_trait::async_trait;
    use serde_json::{Value, json};

    use super::*;
    use crate::config::Section;
    use crate::destination::memory::Memory;
    use crate::destination::{Destination, Presence};
    use crate::error::Error;
    use crate::job_log::{Timing, sqlite};
    use crate::record::{Commit, Generations, Mode, PartInfo, Position};

    const ENTRIES: u64 = 100_000;
    const ENTRIES_OF_A_RUN: u64 = 7_001;

    /// A commit log that is as long as it may get, and how many of its entries were asked for at once.
    #[derive(Default)]
    struct Long(AtomicU64);

    fn entry(seq: u64) -> Commit {
        let run = seq / ENTRIES_OF_A_RUN;
        let fence = run * ENTRIES_OF_A_RUN;
        let part = || PartInfo {
            path: format!("t/s-{seq}"),
            table: "t".to_owned(),
            schema: "x".to_owned(),
            rows: 3,
            bytes: 30,
            checksum: "crc32:00000000".to_owned(),
        };
        Commit {
            seq,
            writer: format!("w{run}"),
            run: format!("r{run:02}"),
            mode: Mode::Cdc,
            position: seq.checked_sub(u64::from(seq == fence)).map(|at| Position::new(json!({ "at": at }))),
            last_seq: 0,
            parts: if seq == fence { Vec::new() } else { vec![part()] },
            schemas: BTreeMap::new(),
            complete: false,
            publishes: None,
            reserves: None,
            generations: Generations::default(),
            fences: vec![fence],
            state: Value::Null,
            failures: None,
            identity: if seq == 0 { json!({ "pipeline": "main" }) } else { Value::Null },
            holder: Value::Null,
            at: format!("2026-01-01T00:{:02}:{:02}.5Z", seq / 60 % 60, seq % 60),
        }
    }

    #[async_trait]
    impl Place for Long {
        fn destination(&self, _: &Section, _: &Arc<Memory>) -> Result<Arc<dyn Destination>> {
            Err(Error::bug("not asked for"))
        }

        async fn files(&self, _: &StreamId) -> Result<Vec<String>> {
            Err(Error::bug("not asked for"))
        }

        async fn has(&self, _: &StreamId) -> Result<bool> {
            Ok(true)
        }

        async fn streams(&self, _: &str) -> Result<Vec<StreamId>> {
            Err(Error::bug("not asked for"))
        }

        async fn last(&self, _: &StreamId, _: Option<u64>) -> Result<Option<Commit>> {
            Ok(Some(entry(ENTRIES - 1)))
        }

        async fn entries(&self, _: &StreamId, from: u64, to: u64) -> Result<Vec<Commit>> {
            self.0.fetch_max(to - from + 1, Ordering::Relaxed);
            Ok((from..=to).map(entry).collect())
        }

        async fn presence(&self, _: &StreamId) -> Result<Option<Presence>> {
            Err(Error::bug("not asked for"))
        }

        async fn probe(&self) -> Result<()> {
            Err(Error::bug("not asked for"))
        }
    }

    #[tokio::test]
    async fn a_long_log_is_read_a_page_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let log = sqlite::JobLog::new(folder.path().join("log.db"), Timing::default());
        let (place, id) = (Long::default(), StreamId::new("s"));
        let retold = leased(&place, &log, "main", &id).await.unwrap();
        assert_eq!(retold, Retold { entries: ENTRIES, runs: 15, news: 15 });
        assert_eq!(place.0.load(Ordering::Relaxed), PAGE);
        let rows = log.runs("main", Some("s"), 20).await.unwrap();
        let totals = rows.iter().fold((0, 0), |sums, row| (sums.0 + row.commits, sums.1 + row.rows));
        assert_eq!(totals, (ENTRIES - 15, 3 * (ENTRIES - 15)));
        assert_eq!(log.mark("main", "s").await.unwrap().unwrap().seq, ENTRIES - 1);
        let second = rows.iter().find(|row| row.run_id == "r01").unwrap();
        assert_eq!(second.low_water_mark.as_deref(), Some(r#"{"at":7000}"#));
        assert_eq!(leased(&place, &log, "main", &id).await.unwrap(), Retold { news: 0, ..retold });
        let error = leased(&place, &log, "other", &id).await.unwrap_err();
        assert!(error.message().contains(r#"its pipeline is "main", ours is "other""#), "{error}");
        assert!(log.runs("other", None, 1).await.unwrap().is_empty() && log.holders("other").await.unwrap().is_empty());
    }
}
