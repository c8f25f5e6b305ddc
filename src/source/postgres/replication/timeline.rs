//! Timelines: the log of a server that took over from another one is the other's up to where it did.
//! https://www.postgresql.org/docs/current/protocol-replication.html#PROTOCOL-REPLICATION-TIMELINE-HISTORY

use super::lsn::Lsn;

/// A timeline that a server's own comes from, and where it ended for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ancestor {
    pub timeline: u32,
    pub end: Lsn,
}

/// Reads a history file: a line for each ancestor, and comments. `None` where a line is neither.
pub(super) fn ancestors(file: &str) -> Option<Vec<Ancestor>> {
    let lines = file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let ancestor = |line: &str| {
        let mut words = line.split_whitespace();
        let timeline = words.next()?.parse().ok()?;
        Some(Ancestor { timeline, end: words.next()?.parse().ok()? })
    };
    lines.map(ancestor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_ancestor() {
        let file =
            "1\t0/3000148\tno recovery target specified\n\n# by hand\n2\t16/B374D848\tbefore 2024-01-01 00:00:00+00\n";
        let of = |timeline, end| Ancestor { timeline, end };
        assert_eq!(ancestors(file).unwrap(), [of(1, Lsn(0x300_0148)), of(2, Lsn(0x16_B374_D848))]);
        assert_eq!(ancestors("").unwrap(), []);
        assert!(ancestors("1 here").is_none() && ancestors("x\t0/1").is_none());
    }
}
