//! How much log the server keeps for a slot: whether that is more than it may, and when it will be.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::config::Section;
use crate::error::{Error, Kind, Result};
use crate::source::postgres::name::literal;
use crate::source::postgres::replication::{Lsn, Slot};

/// How often it is said that the log is about to be lost.
const WARN_EVERY: Duration = Duration::from_secs(600);
/// So far back looks are compared, and no nearer ones than these: what is kept goes up and down with each commit.
const WINDOW: Duration = Duration::from_secs(300);
const APART: Duration = Duration::from_secs(30);
/// What is to be reached so soon is told before it is.
const SOON: Duration = Duration::from_secs(900);
/// What is kept in any case, more or less, is nothing to tell.
const LITTLE: u64 = 64 << 20;

/// What is kept, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    pub kept: u64,
    /// What may still come before the server gives it up; `None` where it never does.
    pub left: Option<u64>,
}

impl Look {
    /// Of a slot, where the log ends at `end`.
    pub fn of(slot: &Slot, end: Lsn) -> Self {
        let kept = slot.restart.map_or(0, |restart| end.0.saturating_sub(restart.0));
        Self { kept, left: slot.safe_bytes.map(|bytes| u64::try_from(bytes).unwrap_or(0)) }
    }
}

/// What a stream does where the server keeps more log for it than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub bytes: u64,
    policy: Policy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    Warn,
    Fail,
    Snapshot,
}

impl Limit {
    /// `None` where nothing is said.
    pub fn of(section: &Section) -> Result<Option<Self>> {
        if section.get("max_retained_wal").is_none() {
            return Ok(None);
        }
        let policy = match section.text("on_retained_wal")? {
            "fail" => Policy::Fail,
            "snapshot" => Policy::Snapshot,
            _ => Policy::Warn,
        };
        Ok(Some(Self { bytes: section.bytes("max_retained_wal")?, policy }))
    }

    /// Whether a slot that is gone is no reason to fail, since this lets go of it.
    pub fn lets_go(self) -> bool {
        self.policy == Policy::Snapshot
    }

    fn is_passed(self, look: Look) -> bool {
        look.kept > self.bytes
    }

    /// Whether the slot is to be given up for what the server keeps for it.
    pub fn gives_up(self, name: &str, look: Look) -> Result<bool> {
        if !self.is_passed(look) {
            return Ok(false);
        }
        match self.policy {
            Policy::Warn => {
                tracing::warn!("{}", too_much(name, look));
                Ok(false)
            }
            Policy::Fail => Err(failed(name, look)),
            Policy::Snapshot => {
                tracing::warn!("{}: it is let go of, and all tables are read anew", too_much(name, look));
                Ok(true)
            }
        }
    }
}

fn too_much(name: &str, look: Look) -> String {
    format!("the server keeps {} MiB of log for replication slot {name}, more than `max_retained_wal`", look.kept >> 20)
}

fn failed(name: &str, look: Look) -> Error {
    Error::new(Kind::Lost, too_much(name, look)).hint(format!(
        "Raise it to go on from there. Or let go of the log: SELECT pg_drop_replication_slot({}); and then `tidemark run --full-refresh` \
         with the stream's name, which makes the slot anew and reads all of its tables again.",
        literal(name)
    ))
}

/// What there is to say after a look.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    Info(String),
    Warn(String),
}

/// Looks that follow each other.
pub struct Watch {
    name: String,
    limit: Option<Limit>,
    looks: VecDeque<(Instant, u64)>,
    is_over: bool,
    warned_at: Option<Instant>,
    told_at: Option<Instant>,
}

impl Watch {
    /// `first` was judged before: it is not told again.
    pub fn new(name: &str, limit: Option<Limit>, first: Option<Look>) -> Self {
        let is_over = limit.zip(first).is_some_and(|(limit, look)| limit.is_passed(look));
        Self { name: name.to_owned(), limit, looks: VecDeque::new(), is_over, warned_at: None, told_at: None }
    }

    /// What is to be said, and what ends the reading.
    pub fn look(&mut self, at: Instant, look: Look) -> Result<Vec<Said>> {
        while self.looks.front().is_some_and(|(before, _)| at.duration_since(*before) > WINDOW) {
            self.looks.pop_front();
        }
        self.looks.push_back((at, look.kept));
        let mut said: Vec<_> = self.of_ours(look)?.map(Said::Warn).into_iter().collect();
        let is_due = |then: Option<Instant>| then.is_none_or(|then| at.duration_since(then) >= WARN_EVERY);
        if is_due(self.warned_at)
            && let Some(warning) = self.of_servers(look)
        {
            (self.warned_at, self.told_at) = (Some(at), Some(at));
            said.push(Said::Warn(warning));
        } else if is_due(self.told_at) && look.kept >= LITTLE {
            self.told_at = Some(at);
            said.push(Said::Info(self.stands(look)));
        }
        Ok(said)
    }

    /// By the stream's own limit, where that is passed: once for each time that it is.
    fn of_ours(&mut self, look: Look) -> Result<Option<String>> {
        let Some(limit) = self.limit else { return Ok(None) };
        let was_over = self.is_over;
        // Not again where it stands at the limit, and a bit below from time to time.
        self.is_over = limit.is_passed(look) || (was_over && look.kept > limit.bytes / 4 * 3);
        if !limit.is_passed(look) {
            return Ok(None);
        }
        match limit.policy {
            Policy::Warn => Ok((!was_over).then(|| too_much(&self.name, look))),
            Policy::Fail => Err(failed(&self.name, look)),
            // It cannot be dropped while it is read.
            Policy::Snapshot => Err(Error::unavailable(format!(
                "{}: the reading is ended, so that it can be let go of",
                too_much(&self.name, look)
            ))),
        }
    }

    /// Where the server is about to give up the log: a fifth of all that it may keep is left, or it will not last long.
    fn of_servers(&self, look: Look) -> Option<String> {
        let left = look.left?;
        let is_near = left < (look.kept + left) / 5;
        let is_soon = left < look.kept && self.until(left).is_some_and(|until| until < SOON);
        (is_near || is_soon).then(|| {
            format!(
                "the server keeps {} MiB of log for replication slot {}, and gives it up after {} MiB more (max_slot_wal_keep_size){}",
                look.kept >> 20,
                self.name,
                left >> 20,
                self.forecast(left)
            )
        })
    }

    fn stands(&self, look: Look) -> String {
        let own = self.limit.map(|limit| (limit.bytes.saturating_sub(look.kept), "max_retained_wal"));
        let limits = [look.left.map(|left| (left, "max_slot_wal_keep_size")), own];
        let limits: Vec<_> = limits
            .into_iter()
            .flatten()
            .map(|(left, name)| format!(", {} MiB below `{name}`{}", left >> 20, self.forecast(left)))
            .collect();
        format!("the server keeps {} MiB of log for replication slot {}{}", look.kept >> 20, self.name, limits.concat())
    }

    /// When so much more will be kept, if it goes on as it did.
    fn until(&self, left: u64) -> Option<Duration> {
        let growth = self.growth()?;
        Some(Duration::from_secs_f64((left as f64 / growth).min(1e9)))
    }

    /// Bytes a second.
    fn growth(&self) -> Option<f64> {
        let ((first, before), (last, now)) = (self.looks.front()?, self.looks.back()?);
        let (time, more) = (last.duration_since(*first), now.checked_sub(*before)?);
        (time >= APART && more > 0).then(|| more as f64 / time.as_secs_f64())
    }

    fn forecast(&self, left: u64) -> String {
        let Some((growth, until)) = self.growth().zip(self.until(left)) else { return String::new() };
        let minutes = until.as_secs() / 60;
        match minutes {
            0..=2880 => {
                format!(", in about {minutes} min if it goes on at {} MiB a minute", (growth * 60.0) as u64 >> 20)
            }
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn limit(policy: Policy) -> Limit {
        Limit { bytes: 10 * MIB, policy }
    }

    fn look(kept: u64) -> Look {
        Look { kept: kept * MIB, left: None }
    }

    #[test]
    fn more_log_than_it_may_keep_is_told_or_let_go() {
        let gives_up = |policy, kept| limit(policy).gives_up("s", look(kept));
        assert!(!gives_up(Policy::Snapshot, 10).unwrap() && !gives_up(Policy::Fail, 10).unwrap());
        assert!(gives_up(Policy::Snapshot, 11).unwrap() && !gives_up(Policy::Warn, 11).unwrap());
        let error = gives_up(Policy::Fail, 11).unwrap_err();
        assert!(error.kind() == Kind::Lost && error.to_string().contains("11 MiB"), "{error}");
    }

    #[test]
    fn a_limit_is_told_once_each_time_it_is_passed() {
        let now = Instant::now();
        let mut watch = Watch::new("s", Some(limit(Policy::Warn)), None);
        let told: Vec<_> = [9, 11, 12, 9, 11, 5, 11].map(|kept| watch.look(now, look(kept)).unwrap().len()).into();
        assert_eq!(told, [0, 1, 0, 0, 0, 0, 1]);
        let mut watch = Watch::new("s", Some(limit(Policy::Warn)), Some(look(11)));
        assert!(watch.look(now, look(12)).unwrap().is_empty(), "it was told before");
        let ends = |policy| Watch::new("s", Some(limit(policy)), None).look(now, look(11)).unwrap_err().kind();
        assert_eq!([ends(Policy::Fail), ends(Policy::Snapshot)], [Kind::Lost, Kind::Unavailable]);
    }

    #[test]
    fn the_servers_limit_is_told_before_it_is_reached() {
        let begun = Instant::now();
        let mut watch = Watch::new("s", None, None);
        let mut at = |seconds, kept: u64| {
            let look = Look { kept: kept * MIB, left: Some((1000 - kept) * MIB) };
            watch.look(begun + Duration::from_secs(seconds), look).unwrap()
        };
        assert_eq!(at(0, 10), []);
        // A MiB a second, of which nothing is to be said before half of it is used up.
        assert!(
            matches!(at(90, 100).as_slice(), [Said::Info(text)] if text.contains("in about 15 min if it goes on at 60 MiB"))
        );
        assert_eq!(at(390, 400), []);
        assert!(
            matches!(at(510, 520).as_slice(), [Said::Warn(text)] if text.contains("480 MiB more") && text.contains("in about 8 min"))
        );
        assert_eq!(at(900, 900), []);
        assert!(matches!(at(1111, 950).as_slice(), [Said::Warn(_)]));
    }
}
