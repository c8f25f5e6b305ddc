//! Which process this is, in words that another process can check: the holder of a lease.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

const PROC: &str = "/proc";

/// A process, so exactly that a reused pid, a reboot or another container is not taken for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub host: String,
    pub pid: u32,
    /// When it started, in clock ticks since boot: with the pid, unique until the next boot.
    pub start_ticks: Option<u64>,
    /// New with every boot.
    pub boot_id: Option<String>,
    /// Pids mean something within one namespace only.
    pub pid_namespace: Option<String>,
}

/// What can be said of a process from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// It is this process.
    Ours,
    Lives,
    Ended,
    /// On another machine, in another container, or hidden from us: only its heartbeat can tell.
    OutOfSight,
}

impl Process {
    /// This process. Without `/proc` some fields are unknown, and heartbeats alone tell who lives.
    pub fn current() -> Self {
        let read = |path| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let host = read("/proc/sys/kernel/hostname").or_else(|| std::env::var("HOSTNAME").ok());
        let pid = std::process::id();
        Self {
            host: host.filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned()),
            pid,
            start_ticks: running_since(pid),
            boot_id: read("/proc/sys/kernel/random/boot_id").filter(|_| super::TEST_TIMING.is_none()),
            pid_namespace: std::fs::read_link("/proc/self/ns/pid").ok().map(|ns| ns.to_string_lossy().into_owned()),
        }
    }

    /// Looks at `self`, which may be anywhere, from `here`.
    pub fn life(&self, here: &Process) -> Life {
        let known = self.boot_id.is_some() && self.pid_namespace.is_some() && self.start_ticks.is_some();
        if !known || self.boot_id != here.boot_id || self.pid_namespace != here.pid_namespace {
            return Life::OutOfSight;
        }
        if self.pid == here.pid && self.start_ticks == here.start_ticks {
            return Life::Ours;
        }
        self.looked_up(Path::new(PROC))
    }

    /// What `proc` says of it, if it is one that this machine's pids mean something to.
    fn looked_up(&self, proc: &Path) -> Life {
        match std::fs::read_to_string(proc.join(self.pid.to_string()).join("stat")) {
            Ok(stat) if parse_stat(&stat) == self.start_ticks => Life::Lives,
            Ok(_) => Life::Ended,
            // Where others' processes are hidden (`hidepid`), one that lives looks like one that is not there. The machine's
            // first process is there always, and nearly always another user's: who sees it sees all.
            Err(error) if error.kind() == ErrorKind::NotFound && proc.join("1").exists() => Life::Ended,
            Err(_) => Life::OutOfSight,
        }
    }
}

/// When the process started, in ticks since boot; `None` if there is none that still runs.
fn running_since(pid: u32) -> Option<u64> {
    parse_stat(&std::fs::read_to_string(format!("{PROC}/{pid}/stat")).ok()?)
}

/// `pid (name) state …`, with the start as the 22nd field. The name may hold spaces and brackets.
fn parse_stat(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace();
    // A zombie runs no more: it only waits for its parent.
    let state = fields.next()?;
    (!matches!(state, "Z" | "X" | "x")).then(|| fields.nth(18)?.parse().ok())?
}

static LIVE: LazyLock<Mutex<BTreeSet<String>>> = LazyLock::new(Mutex::default);

/// A lease's token, which counts as live in this process until it is dropped, whatever the table still says.
#[derive(Debug)]
pub(super) struct Token(String);

impl Token {
    pub fn new() -> Self {
        let token = uuid::Uuid::now_v7().to_string();
        LIVE.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone());
        Self(token)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a lease of this process has it.
    pub fn is_live(token: &str) -> bool {
        LIVE.lock().unwrap_or_else(PoisonError::into_inner).contains(token)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        LIVE.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_start_of_a_process_with_an_ugly_name() {
        let rest = "S 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 8675309 1 1";
        assert_eq!(parse_stat(&format!("7 (a) b (c) {rest}")), Some(8_675_309));
        assert_eq!(parse_stat(&format!("7 (a) {}", rest.replacen('S', "Z", 1))), None);
    }

    #[test]
    fn knows_itself_and_a_reused_pid() {
        let here = Process::current();
        assert_eq!(here.life(&here), Life::Ours);
        let earlier = Process { start_ticks: here.start_ticks.map(|ticks| ticks - 1), ..here.clone() };
        assert_eq!(earlier.life(&here), Life::Ended);
        let init = Process { pid: 1, start_ticks: running_since(1), ..here.clone() };
        assert_eq!(init.life(&here), Life::Lives);
    }

    #[test]
    fn cannot_see_other_machines_containers_and_boots() {
        let here = Process::current();
        let other = |change: fn(&mut Process)| {
            let mut process = here.clone();
            change(&mut process);
            process.life(&here)
        };
        assert_eq!(other(|p| p.boot_id = Some("another".to_owned())), Life::OutOfSight);
        assert_eq!(other(|p| p.pid_namespace = Some("pid:[1]".to_owned())), Life::OutOfSight);
        assert_eq!(other(|p| p.boot_id = None), Life::OutOfSight);
    }

    /// With `hidepid`, `/proc` shows one's own processes only: one of another user is not there, dead or alive.
    #[test]
    fn a_hidden_process_has_not_ended() {
        let proc = tempfile::tempdir().unwrap();
        let show = |pid: u32, start: u64| {
            let folder = proc.path().join(pid.to_string());
            std::fs::create_dir(&folder).unwrap();
            let stat = format!("{pid} (x) S 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 {start} 1 1");
            std::fs::write(folder.join("stat"), stat).unwrap();
        };
        let process = |pid| Process { pid, start_ticks: Some(7), ..Process::current() };
        show(20, 7);
        show(21, 8);
        assert_eq!(process(20).looked_up(proc.path()), Life::Lives);
        assert_eq!(process(21).looked_up(proc.path()), Life::Ended, "its pid is another's now");
        assert_eq!(process(22).looked_up(proc.path()), Life::OutOfSight);
        // It shows a process that is nobody's but the machine's: what is not there is not.
        show(1, 1);
        assert_eq!(process(22).looked_up(proc.path()), Life::Ended);
        // Seen, but not to be looked into.
        std::fs::create_dir_all(proc.path().join("23/stat")).unwrap();
        assert_eq!(process(23).looked_up(proc.path()), Life::OutOfSight);
    }

    #[test]
    fn a_token_is_live_until_it_is_dropped() {
        let token = Token::new();
        let text = token.as_str().to_owned();
        assert!(Token::is_live(&text));
        drop(token);
        assert!(!Token::is_live(&text));
    }
}
