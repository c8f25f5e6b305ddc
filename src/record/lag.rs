use jiff::Timestamp;

/// How far a stream of changes is behind its source, as the source last told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// When the last transaction that was handed on was committed; `None` where the source has nothing after it.
    pub since: Option<Timestamp>,
    /// How much of the source's log is still to be read, where it tells.
    pub bytes: Option<u64>,
}

impl Lag {
    /// How old what was handed on last is, or 0 where nothing is newer. Clocks that differ make nobody be ahead.
    pub fn seconds(&self, now: Timestamp) -> u64 {
        let age = self.since.map_or(0, |since| now.duration_since(since).as_secs());
        u64::try_from(age).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_ahead() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let seconds = |since| Lag { since, bytes: None }.seconds(at(100));
        assert_eq!([seconds(None), seconds(Some(at(40))), seconds(Some(at(130)))], [0, 60, 0]);
    }
}
