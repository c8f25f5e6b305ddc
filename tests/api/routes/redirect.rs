//! Redirects, to this host and away from it.

use super::super::http::{Host, Reply};
use super::{Call, bad_parameter};

/// `to` is a path with its query, `host` is `own` or `other`. `/redirect/loop` leads to itself.
pub fn to(call: &Call<'_>, status: &str) -> Reply {
    if status == "loop" {
        return Reply::bare(302).with("Location", call.url(call.request.to, &call.request.path));
    }
    let Some(status) = status.parse().ok().filter(|status| [301, 302, 303, 307, 308].contains(status)) else {
        return bad_parameter("the status");
    };
    let to = call.request.get("to").unwrap_or("/array");
    let location = match call.request.get("host") {
        Some("other") => call.url(Host::Other, to),
        // Relative, as most redirects within a host are.
        _ => to.to_owned(),
    };
    Reply::bare(status).with("Location", location)
}
