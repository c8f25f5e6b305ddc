//! What a stream asks of its server: the keys of a `[stream]` section.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::body::{Envelope, Field, Format, Found, Path, Step, Wanted, Written, charset};
use super::children::{self, Children, Templates};
use super::digest;
use super::incremental::Incremental;
use super::paging::Paging;
use super::report::{Answers, Report};
use super::request::{Params, Request};
use super::rules::Rules;
use super::target::Target;
use crate::config::{Key, Section, Value};
use crate::error::{Error, Result};
use crate::record::Mode;
use crate::source::masking;

pub const KEYS: &[Key] = &[
    Key::new("method", Value::OneOf(&["get", "post"]), "How it is asked.").default("get"),
    Key::new(
        "param.",
        Value::Text,
        "A parameter of the query. A value of several lines, all but the first indented, is several parameters of that name.",
    )
    .family()
    .example("active"),
    Key::new("header.", Value::Text, "A header of each request. What is secret belongs to the keys of `auth`.").family().example("2024-01"),
    Key::new("body", Value::Text, "Of `method = post`: what is sent, JSON or `name=value&…`.").example(r#"{"filter": "active"}"#),
    Key::new(
        "params_in",
        Value::OneOf(&["query", "body"]),
        "Where `param.NAME`, pages and cursors go: into the query, or into the body, whose fields they are then (`page.size` is one within another).",
    )
    .default("query"),
    Key::new(
        "concurrency",
        Value::Integer(1, 100),
        "How many requests of the stream are under way at once, where it can be told where the next pages are (`pagination = page` and `offset`).",
    )
    .default("1"),
    Key::new(
        "response_format",
        Value::OneOf(&["json", "json_lines", "csv", "xml"]),
        "How answers are written. Of CSV the first line names the columns.",
    )
    .default("json"),
    Key::new("response_delimiter", Value::Text, "Of `response_format = csv`.").default(","),
    Key::new(
        "response_charset",
        Value::Checked("charset (`windows-1252`, `shift_jis`, `utf-16`)", |name| match charset::named(name) {
            Some(_) => Ok(()),
            None => Err("must be the name of a charset, such as `windows-1252`, `iso-8859-2`, `shift_jis` or `utf-16`"),
        }),
        "What answers are written in, whatever the server says. Where absent, a byte order mark, the charset of Content-Type or the XML declaration says it, \
         and UTF-8 is what it is where none does.",
    )
    .example("windows-1252"),
    Key::new(
        "xml_lists",
        Value::Checked("paths (`line`, `parts.part`)", |text| match lists(text) {
            Some(_) => Ok(()),
            None => Err("must be paths of names within a record, such as `line` or `parts.part`"),
        }),
        "Of `response_format = xml`: elements that are lists even where a record has one of them, by their paths in the record. Others are lists where there are several.",
    )
    .example("line, parts.part"),
    Key::new(
        "records",
        Value::Checked("path (`data`, `$.result[*].items`)", |text| match Path::parse(text) {
            Ok(_) => Ok(()),
            Err(_) => Err("must be a path such as `data`, `result.items` or `$.groups[*].members`"),
        }),
        "Where the records are in an answer: the path of a list, or of one object. `$` is the whole answer.",
    )
    .default("$"),
    Key::new(
        "records_absent",
        Value::OneOf(&["fail", "empty"]),
        "What an answer is that has nothing, or null, at `records`: an error, or a page without records.",
    )
    .default("fail"),
    Key::new("retry_when", RULES, "Answers after which to wait and ask again, whatever their status: conditions on values of the body.")
        .example("error.code in 4, 17, 32, 613"),
    Key::new("fail_when", RULES, "Answers that are failures, whatever their status.").example("error exists"),
    Key::new("renew_when", RULES, "Answers that say that the credentials are no longer good, besides those with status 401: others are fetched then, and the request is sent once more.")
        .example("error.code = 190"),
    Key::new(
        "on_error",
        Value::OneOf(&["fail", "keep_going"]),
        "What a request is that came to nothing after all its retries: the end of the run; or one that is left out and kept, so that `tidemark retry` asks for it again, where it can          be told what comes behind it. The run is then done but for those (`partial`).",
    )
    .default("fail"),
    Key::new("max_failures", Value::Integer(1, 1_000_000), "Of `on_error = keep_going`: so many requests are open at most; one more ends the run.").default("100"),
    Key::new("ignore_when", RULES, "Answers that are taken for no records, whatever their status.").example("status = 404"),
];

const RULES: Value = Value::Checked("condition (`error.code in 4, 17`)", |text| match Rules::parse(text) {
    Ok(_) => Ok(()),
    Err(_) => Err(
        "must be conditions such as `error.code in 4, 17` (without parentheses), `status = 420`, `error exists` or `error.message contains limit`; `;` joins alternatives, and odd values stand in double quotes",
    ),
});

/// A checked endpoint.
pub struct Endpoint {
    request: Request,
    /// Texts of the request with places for values of a parent.
    templates: Templates,
    pub written: Written,
    pub paging: Paging,
    /// Where the stream follows a cursor.
    pub incremental: Option<Incremental>,
    pub wanted: Wanted,
    pub retry_when: Rules,
    pub fail_when: Rules,
    pub ignore_when: Rules,
    pub renew_when: Rules,
    pub records_may_be_absent: bool,
    /// Whether anything of the records is masked, or of those that it is read for: then nothing of a body is in any message.
    pub is_masked: bool,
    /// Where requests that fail may be left out.
    pub skip: Option<Skip>,
    /// Where it is read once for each record of another stream.
    pub children: Option<Children>,
    /// Where the stream's one page is a file that has to be ordered. Its order is what [`Endpoint::request`] makes; all else here is of the
    /// file.
    pub report: Option<(Report, Answers)>,
    base: Url,
    /// Of what it asks for, and takes for records: [`digest::of_stream`].
    pub digest: String,
}

/// How many requests may be left out.
#[derive(Debug, Clone, Copy)]
pub struct Skip {
    pub most: usize,
}

/// Of these keys.
type AllRules = [Rules; RULE_KEYS.len()];
const RULE_KEYS: [&str; 4] = ["retry_when", "fail_when", "ignore_when", "renew_when"];

impl Endpoint {
    /// Of a stream's section; `base` is its server's URL.
    pub fn of(section: &Section, (base, path): (&Url, &str), mode: Mode) -> Result<Self> {
        let rules = |key: &str| {
            Rules::parse(section.get(key).unwrap_or_default()).map_err(|problem| section.error(key, problem))
        };
        let [retry, fail, ignore, renew] = RULE_KEYS.map(rules);
        let rules = [retry?, fail?, ignore?, renew?];
        let children = Children::of(section, base)?;
        let request = request(section, base, path)?;
        let report = Report::of(section)?;
        let records = Path::parse(section.text("records")?).map_err(|problem| section.error("records", problem))?;
        // A report is one page, whatever its source says of other streams.
        let paging = if report.is_some() { Paging::once() } else { Paging::of(section)? };
        let written = written(section)?;
        let of_page = match (&report, written.format) {
            // They are of what is asked on the way: a file of lines has nothing but records.
            (Some(_), Format::Lines | Format::Csv { .. }) => rules.clone().map(Rules::without_body),
            _ => rules.clone(),
        };
        let page = Self::judging(section, (base, request.clone()), (written.format, records), (&paging, &[]), of_page)?;
        let report = report.map(|report| Self::answers(section, (base, request), &report, rules).map(|a| (report, a)));
        Ok(Self {
            written,
            incremental: (mode == Mode::Incremental).then(|| Incremental::of(section)).transpose()?,
            records_may_be_absent: section.text("records_absent")? == "empty",
            report: report.transpose()?,
            templates: Templates::of(section, (base, path), children.as_ref())?,
            skip: skip(section, mode)?,
            digest: digest::of_stream(section, (base, path), children.as_ref())?,
            children,
            ..page
        })
    }

    /// What a report's order is answered with, and what is said of it later.
    fn answers(
        section: &Section,
        (base, request): (&Url, Request),
        report: &Report,
        [retry_when, fail_when, ignore_when, renew_when]: AllRules,
    ) -> Result<Answers> {
        for (key, path) in report.paths() {
            at(base, &path).map_err(|problem| section.error(key, problem))?;
        }
        let judging = |values: &[(&'static str, &Path)], rules: AllRules| {
            let (paged, of) = ((&Paging::once(), values), (Format::Json, Path::root()));
            Self::judging(section, (base, request.clone()), of, paged, rules).map(Arc::new)
        };
        // Of a report that is not known, say, nothing is left out in silence.
        let of_status = [retry_when.clone(), fail_when.clone(), Rules::default(), renew_when.clone()];
        Ok(Answers {
            status: judging(&report.of_status(), of_status)?,
            order: judging(&report.of_order(), [retry_when, fail_when, ignore_when, renew_when])?,
        })
    }

    /// Answers of a format that are judged by these rules, and have these values looked for in them besides.
    fn judging(
        section: &Section,
        (base, request): (&Url, Request),
        (format, records): (Format, Path),
        (paging, values): (&Paging, &[(&'static str, &Path)]),
        rules: AllRules,
    ) -> Result<Self> {
        let of_rules =
            RULE_KEYS.iter().zip(&rules).flat_map(|(key, rules)| rules.paths().map(move |path| (*key, path)));
        let values: Vec<_> = paging.wanted().chain(values.iter().copied()).chain(of_rules).collect();
        let wanted = wanted(section, format, records, &values)?;
        let [retry_when, fail_when, ignore_when, renew_when] = rules;
        Ok(Self {
            request,
            templates: Templates::default(),
            written: format.into(),
            paging: paging.clone(),
            incremental: None,
            wanted,
            retry_when,
            fail_when,
            ignore_when,
            renew_when,
            skip: None,
            children: None,
            records_may_be_absent: false,
            is_masked: is_masked(section),
            report: None,
            base: base.clone(),
            digest: String::new(),
        })
    }

    /// A GET for another path of the same server, with what all its requests have, and without what is of this endpoint alone.
    pub fn beside(&self, path: &str) -> Result<Request> {
        let url = at(&self.base, path).map_err(|problem| Error::data(format!("a path {problem}")))?;
        let mut request = at_url(url);
        request.headers = self.request.headers.clone();
        request.headers.remove(CONTENT_TYPE);
        Ok(request)
    }

    pub fn is_of_server(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// The request for a page.
    pub fn request(&self, target: &Target) -> Result<Request> {
        let mut request = self.request.clone();
        if let (Some(children), Some(parent)) = (&self.children, &target.parent) {
            self.templates.fill(&mut request, &children.values(parent))?;
        }
        if let (Some(settings), Some(window)) = (&self.incremental, &target.window) {
            settings.apply(window, &mut request)?;
        }
        self.paging.apply(&target.place, &mut request)?;
        Ok(request)
    }

    /// What an answer has at one of the paths that were asked for.
    pub fn value<'e>(&self, envelope: &'e Envelope, path: &Path) -> &'e Found {
        const ABSENT: &Found = &Found::Absent;
        let at = self.wanted.values().iter().position(|known| known == path);
        at.and_then(|at| envelope.values.get(at)).unwrap_or(ABSENT)
    }
}

fn is_masked(section: &Section) -> bool {
    masking::is_set(section) || children::stream(section).is_some_and(masking::is_set)
}

/// What is looked for in a body of this format: its records, and values, each with the key that names it.
fn wanted(section: &Section, format: Format, records: Path, values: &[(&str, &Path)]) -> Result<Wanted> {
    const BESIDE: &str = "What such an answer says besides, its headers say: `header.NAME` may stand in conditions and in the keys of pages.";
    format.check_records(&records).map_err(|problem| section.error("records", problem))?;
    let mut paths: Vec<Path> = Vec::new();
    for (key, path) in values {
        format.check_value(path).map_err(|problem| section.error(key, problem).hint(BESIDE))?;
        if !paths.contains(path) {
            paths.push((*path).clone());
        }
        if paths.len() > Wanted::MOST_VALUES {
            let most = Wanted::MOST_VALUES;
            return Err(section.error(key, format!("looks for one value too many: {most} of an answer are looked for")));
        }
    }
    Wanted::new(records, paths).map_err(Error::bug)
}

fn skip(section: &Section, mode: Mode) -> Result<Option<Skip>> {
    if section.text("on_error")? != "keep_going" {
        return Ok(None);
    }
    // What a later run reads again, or reads on behind, would come with it and once more with a retry.
    if mode == Mode::Incremental && (!section.is_set("until_param") || section.is_set("lookback")) {
        return Err(section
            .error("on_error", "is `keep_going`, which an incremental stream takes with `until_param` and without `lookback` alone")
            .hint("Then each window is asked for once, and a retry brings what it lacks. Otherwise leave it out: the next run goes on where this one ends."));
    }
    Ok(Some(Skip { most: usize::try_from(section.integer("max_failures")?).unwrap_or(usize::MAX) }))
}

/// Checks what single keys do not tell.
pub fn check(section: &Section) -> Result<()> {
    let base = Url::parse("http://localhost/").map_err(|_| section.fault("query", "has no URL"))?;
    let endpoint = Endpoint::of(section, (&base, section.get("query").unwrap_or_default()), Mode::Full)?;
    masking::refuse(section, "keyset_field", endpoint.paging.key().map(Field::name))
}

fn written(section: &Section) -> Result<Written> {
    let (format, lists) = (format(section)?, lists(section.get("xml_lists").unwrap_or_default()));
    if section.is_set("xml_lists") && format != Format::Xml {
        return Err(section.error("xml_lists", "is of `response_format = xml`"));
    }
    Ok(Written {
        charset: section.get("response_charset").and_then(charset::named),
        mends: section.get("invalid_text") == Some("replace"),
        lists: lists.unwrap_or_default(),
        ..format.into()
    })
}

/// Paths of names; `None` where one is something else.
fn lists(text: &str) -> Option<Vec<Path>> {
    let is_named =
        |path: &Path| !path.steps().is_empty() && path.steps().iter().all(|step| matches!(step, Step::Name(_)));
    let paths = text.split([',', '\n']).map(str::trim).filter(|path| !path.is_empty());
    paths.map(|path| Path::parse(path).ok().filter(is_named)).collect()
}

fn format(section: &Section) -> Result<Format> {
    Ok(match section.text("response_format")? {
        "json_lines" => Format::Lines,
        "csv" => match section.text("response_delimiter")?.as_bytes() {
            [delimiter] => Format::Csv { delimiter: *delimiter },
            b"\\t" => Format::Csv { delimiter: b'\t' },
            _ => return Err(section.error("response_delimiter", "must be one character, or `\\t`")),
        },
        "xml" => Format::Xml,
        _ => Format::Json,
    })
}

fn request(section: &Section, base: &Url, path: &str) -> Result<Request> {
    let mut request = at_url(at(base, path).map_err(|problem| section.error("query", problem))?);
    if section.text("method")? == "post" {
        request.method = Method::POST;
    }
    headers(section, &mut request.headers)?;
    if let Some(body) = body(section) {
        let is_json = body.trim_start().starts_with(['{', '[']);
        if is_json && serde_json::from_str::<serde_json::Value>(body).is_err() {
            return Err(section.error("body", "begins as JSON does, and is none"));
        }
        let kind = if is_json { "application/json" } else { "application/x-www-form-urlencoded" };
        request.headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
        request.body = Some(Bytes::copy_from_slice(body.as_bytes()));
    }
    if section.text("params_in")? == "body" {
        request.params = Params::of_body(request.body.as_deref()).ok_or_else(|| {
            section.error("params_in", "is `body`, and `body` is neither a JSON object nor `name=value&…`")
        })?;
    }
    for (name, lines) in section.members("param.") {
        for value in lines.lines().map(str::trim) {
            request.add_param(name, value);
        }
    }
    Ok(request)
}

/// What is sent: another method than POST sends nothing.
pub fn body(section: &Section) -> Option<&str> {
    section.get("body").filter(|_| section.get("method") == Some("post"))
}

/// A path behind the server's URL. A whole URL must be of that server.
pub fn at(base: &Url, path: &str) -> Result<Url, &'static str> {
    let whole = match path.contains("://") {
        true => Url::parse(path).map_err(|_| "is no URL")?,
        false => {
            let (base_text, path) = (base.as_str().trim_end_matches('/'), path.trim_start_matches('/'));
            Url::parse(&format!("{base_text}/{path}")).map_err(|_| "is no path of a URL")?
        }
    };
    match whole.origin() == base.origin() {
        true => Ok(whole),
        false => Err("leads to another server than `base_url`"),
    }
}

fn at_url(url: Url) -> Request {
    let mut request = Request::get(url);
    request.query = request.url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    request.url.set_query(None);
    request
}

fn headers(section: &Section, headers: &mut HeaderMap) -> Result<()> {
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
    for (name, value) in section.members("header.") {
        let key = format!("header.{name}");
        let name: HeaderName = name.parse().map_err(|_| section.error(&key, "is no name of a header"))?;
        if name == "authorization" || name == "cookie" {
            return Err(section
                .error(&key, "would go to other servers too")
                .hint("Use `auth`, whose keys go to this server alone and are never shown."));
        }
        let value = HeaderValue::from_str(value).map_err(|_| section.error(&key, "is no value of a header"))?;
        headers.insert(name, value);
    }
    Ok(())
}
