//! The keys of reports.

use super::{File, Report, States};
use crate::config::{Key, Section, Value};
use crate::error::Result;
use crate::source::rest::body::{PATH, Path};
use crate::source::rest::paging;

pub const KEYS: &[Key] = &[
    Key::new(
        "report_id",
        PATH,
        "Of an API that makes a file before one can fetch it: where the answer to `path`, the order, has the report's id. The report is asked \
         for until it is done, and its file, in `response_format`, is the stream's one page.",
    )
    .example("id"),
    Key::new("report_status_path", TEMPLATE, "The path, behind `base_url`, that tells how far a report is. `{id}` stands for the id.")
        .example("/reports/{id}"),
    Key::new("report_status", PATH, "Where that answer, which is JSON, has the state.").example("status"),
    Key::new("report_done", Value::List, "The states that mean that the file is there.").example("DONE"),
    Key::new(
        "report_failed",
        Value::List,
        "The states that mean that there will be no file. A report in any other state is waited for.",
    )
    .default("FAILED, EXPIRED, CANCELLED, ERROR"),
    Key::new(
        "report_url",
        PATH,
        "Where the answer that says that it is done has the file's URL. That may be on another server, which gets nothing that requests are \
         signed with; its query is kept nowhere and never shown.",
    )
    .example("url"),
    Key::new("report_path", TEMPLATE, "In place of `report_url`: the path of the file behind `base_url`, with `{id}`.")
        .example("/reports/{id}/download"),
    Key::new(
        "report_poll",
        Value::Duration,
        "The wait before a report is asked for, which grows by half each time. Where the server says how long to wait (Retry-After), it is that.",
    )
    .default("5s"),
    Key::new("report_poll_most", Value::Duration, "It does not grow beyond this.").default("1m"),
    Key::new("report_timeout", Value::Duration, "A report that is not done so long after its order has failed.").default("2h"),
];

const TEMPLATE: Value = Value::Checked("path with `{id}`", |text| match text.contains(super::ID) {
    true => Ok(()),
    false => Err("must have `{id}` in it, where the report's id goes, such as `/reports/{id}`"),
});

/// What the section says of reports, but for where they are; `None` where its stream is no report.
pub(super) fn of(section: &Section) -> Result<Option<Report>> {
    let Some(id) = Path::of_key(section, "report_id")? else { return Ok(None) };
    refuse_pages(section)?;
    let missing = |key: &str, what: &str| section.error("report_id", format!("needs `{key}`: {what}"));
    let needed = |key: &str, what: &str| section.get(key).ok_or_else(|| missing(key, what));
    let status_path =
        needed("report_status_path", "the path that tells how far the report is, such as `/reports/{id}`")?;
    let state = Path::of_key(section, "report_status")?
        .ok_or_else(|| missing("report_status", "where that answer has the state, such as `status`"))?;
    needed("report_done", "the states that mean that the file is there, such as `DONE`")?;
    let file = match (Path::of_key(section, "report_url")?, section.get("report_path")) {
        (Some(path), None) => File::Url(path),
        (None, Some(path)) => File::Path(path.to_owned()),
        (Some(_), Some(_)) => {
            return Err(section.error("report_path", "stands in place of `report_url`: leave one of them out"));
        }
        (None, None) => {
            return Err(section.error(
                "report_id",
                "needs `report_url`, where the answer has the file's URL, or `report_path`, the file's path, such as `/reports/{id}/download`",
            ));
        }
    };
    let states = States { done: section.list("report_done"), failed: section.list("report_failed") };
    if let Some(both) = states.failed.iter().find(|state| states.is_done(state)) {
        return Err(section.error("report_failed", format!("has `{both}`, which `report_done` has too")));
    }
    let (wait, longest_wait) = (section.duration("report_poll")?, section.duration("report_poll_most")?);
    if wait.is_zero() {
        return Err(section.error("report_poll", "must be longer than nothing: a server is not asked without a pause"));
    }
    Ok(Some(Report {
        id,
        status_path: status_path.to_owned(),
        state,
        states,
        file,
        wait,
        longest_wait: longest_wait.max(wait),
        timeout: section.duration("report_timeout")?,
    }))
}

/// A report is one page. What its source says of the pages of other streams is not looked at.
fn refuse_pages(section: &Section) -> Result<()> {
    if section.is_own("pagination") && section.text("pagination")? != "none" {
        return Err(section
            .error("pagination", "cannot stand with `report_id`: a report is one file, which has no pages")
            .hint("Leave `pagination` out. What the order asks for is said by `param.NAME` and `body`."));
    }
    match paging::KEYS.iter().find(|key| key.name != "pagination" && section.is_own(key.name)) {
        Some(key) => Err(section.error(key.name, "is of pages, and a report (`report_id`) has none: leave it out")),
        None => Ok(()),
    }
}
