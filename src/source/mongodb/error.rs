//! What the driver's errors mean to whoever runs Tidemark: by code, never by wording.

use mongodb::error::{Error as DriverError, ErrorKind};

use super::config::Settings;
use crate::error::{Error, Kind};

/// The server's code of a refused command.
pub fn code(e: &DriverError) -> Option<i32> {
    match &*e.kind {
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}

/// The driver's or the server's own words.
pub fn words(e: &DriverError) -> String {
    match &*e.kind {
        ErrorKind::Command(command) => command.message.clone(),
        kind => kind.to_string(),
    }
}

/// An error of a command, or of connecting.
pub fn of(e: &DriverError, settings: &Settings) -> Error {
    let address = &settings.address;
    // What the server says of a plan that it cannot make repeats the condition.
    let said = |words: &str| format!("{address}: {}", words.split("Tree:").next().unwrap_or_default().trim_end());
    if PASSING_LABELS.iter().any(|label| e.contains_label(label)) {
        return Error::unavailable(said(&words(e)));
    }
    match &*e.kind {
        ErrorKind::Authentication { message, .. } => refused(&said(message)),
        ErrorKind::Command(command) => of_command(command.code, &said(&command.message), settings),
        ErrorKind::DnsResolve { message, .. } => {
            Error::unavailable(said(message)).hint("Check the host names in `url` or `hostname`.")
        }
        ErrorKind::ServerSelection { message, .. } => Error::unavailable(said(&selection(message))).hint(
            "Check `hostname` and `port`, that the server takes connections from here, and `tls`. Members of a replica set are \
             connected to by the names that it has for them; `directConnection=true` in `url` leads to the one that is named alone.",
        ),
        ErrorKind::InvalidTlsConfig { message, .. } => Error::config(said(message)).hint("Check `tls_ca` and `tls_cert`."),
        ErrorKind::InvalidArgument { message, .. } => Error::config(said(message)),
        ErrorKind::IncompatibleServer { message, .. } => Error::config(said(message)),
        ErrorKind::Io(io) => Error::unavailable(said(&format!("the connection broke: {io}"))),
        ErrorKind::ConnectionPoolCleared { message, .. } => Error::unavailable(said(message)),
        ErrorKind::InvalidResponse { message, .. } => {
            Error::data(said(&format!("the server's answer cannot be read: {message}")))
        }
        ErrorKind::Shutdown => Error::unavailable(said("the connection was closed")),
        _ => Error::bug(said(&words(e))),
    }
}

/// What the driver saw of each member, in fewer words than its own, as far as they are as we know them.
fn selection(message: &str) -> String {
    let members: Vec<_> = message.split("{ Address: ").skip(1).filter_map(member).collect();
    let set = message.split_once("Set Name: ").and_then(|(_, rest)| rest.split([',', ' ']).next());
    match (members.is_empty(), set) {
        (true, Some(set)) if !message.contains("Servers:") => {
            format!("no server there is a member of replica set {set}")
        }
        (true, _) => message.split_whitespace().collect::<Vec<_>>().join(" "),
        (false, _) => format!("no server can be used: {}", members.join("; ")),
    }
}

fn member(told: &str) -> Option<String> {
    let (address, rest) = told.split_once(", Type: ")?;
    if let Some((_, failed)) = rest.split_once("Error: Kind: ") {
        return Some(format!("{address}: {}", failed.split(", labels: ").next()?));
    }
    let kind = rest.split([',', ' ']).next()?;
    Some(match kind {
        "Unknown" => format!("{address}: no answer yet"),
        kind => format!("{address} is of type {kind}"),
    })
}

fn refused(message: &str) -> Error {
    Error::denied(message)
        .hint("Check `username` and `password`, and `auth_source`, the database that has the user (often `admin`).")
}

fn of_command(code: i32, message: &str, settings: &Settings) -> Error {
    match code {
        // AuthenticationFailed, UserNotFound, MechanismUnavailable
        18 | 11 | 334 => refused(message),
        // Unauthorized
        13 => Error::denied(message).hint(format!(
            "The user needs the role `read` on {0}: db.getSiblingDB(\"admin\").grantRolesToUser(\"…\", [{{ role: \"read\", db: \"{0}\" }}]). \
             A change stream needs it too.",
            settings.database
        )),
        // BadValue, FailedToParse, TypeMismatch, unknown operators and fields
        2 | 9 | 14 | 40415 | 40324 | 168 => Error::config(message).hint("Check `filter`, if there is one."),
        LOST | 260 => Error::new(Kind::Lost, message),
        // Documents that are larger than BSON may be: of events, with the document as it was before and after.
        10334 => Error::data(message)
            .hint("An event is larger than 16 MB: MongoDB 7.0 sends it in pieces; `full_document = none` and `before_images = no` make events smaller."),
        280 => Error::data(message),
        code if PASSING.contains(&code) => Error::unavailable(message),
        _ => Error::data(format!("{message} (code {code})")),
    }
}

/// ChangeStreamHistoryLost.
pub const LOST: i32 = 286;
/// `$changeStream` on a server that is no member of a replica set.
pub const NO_REPLICA_SET: i32 = 40573;
/// Unauthorized.
pub const UNAUTHORIZED: i32 = 13;
/// Of commands that we may not run, or that the server does not have: Unauthorized, CommandNotFound, unknown stages and
/// options, and what Atlas does not allow.
pub const NOT_OURS: [i32; 5] = [UNAUTHORIZED, 59, 40324, 40415, 8000];

/// What passes by itself: elections, shut-downs, timeouts, and cursors that were ended.
const PASSING: &[i32] = &[
    6, 7, 43, 50, 63, 89, 91, 112, 133, 134, 136, 150, 175, 189, 202, 234, 237, 239, 262, 317, 365, 9001, 10107, 11600,
    11601, 11602, 13388, 13435, 13436,
];

/// The server's own word for what passes.
const PASSING_LABELS: [&str; 3] = ["ResumableChangeStreamError", "RetryableError", "SystemOverloadedError"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_cannot_be_used_are_told_in_a_line() {
        let told = "Server selection timeout: No available servers. Topology: { Type: ReplicaSetNoPrimary, Set Name: rs0, Servers: [ \
                    { Address: a:1, Type: Unknown, Error: Kind: I/O error: Connection refused (os error 111), labels: {\"X\"}, source: None }, \
                    { Address: b:2, Type: RsSecondary, Average RTT: 1ms }, { Address: c:3, Type: Unknown } ] }";
        assert_eq!(
            selection(told),
            "no server can be used: a:1: I/O error: Connection refused (os error 111); b:2 is of type RsSecondary; c:3: no answer yet"
        );
        let another = "No available servers. Topology: { Type: ReplicaSetNoPrimary, Set Name: other }";
        assert_eq!(selection(another), "no server there is a member of replica set other");
        assert_eq!(selection("something\n else"), "something else");
    }
}
