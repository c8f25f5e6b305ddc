//! What there is to ask for.

mod ads;
mod campaigns;
mod counted;
mod cursors;
mod events;
mod large;
mod plain;
mod redirect;
mod reports;
mod users;

use std::ops::Range;

use bytes::Bytes;
use url::form_urlencoded;

use super::auth;
use super::http::{Host, Reply, Request};
use super::page::{self, Format};
use super::record::Shape;
use super::settings::Settings;
use super::state::State;

pub use self::events::Events;
pub use self::reports::Reports;

/// Every path with the usual values of its parameters, and what it is there for.
pub const PATHS: &[(&str, &str)] = &[
    ("/users?_quantity=10&_seed=0&_offset=0", "status, code, total and data; up to 1,000, or users_most of them"),
    ("/ads?limit=25&after=&access_token=", "cursors, and a next link with the token in it; errors in the body"),
    ("/numbered?page=1&per_page=100", "page numbers from 1, with total and total_pages"),
    ("/numbered/zero?page=0&per_page=100", "page numbers from 0, without a total"),
    ("/numbered/stuck?page=1&per_page=100", "ignores the page number, and gives page 1 for ever"),
    ("/numbered/ends?page=1&per_page=100", "404 behind the last page"),
    ("/offset?offset=0&limit=100", "with total"),
    ("/offset/short?offset=0&limit=100", "returns fewer than asked for"),
    ("/cursor?cursor=&limit=100", "next_cursor in the body, null at the end"),
    ("/cursor/header?cursor=&limit=100", "a plain array; X-Next-Cursor, missing at the end"),
    ("/cursor/last?cursor=&limit=100", "next_cursor with the last page too, which an empty page follows"),
    ("/linked?page=1&per_page=100", "a plain array; Link header with several rels, X-Total and X-Total-Pages"),
    ("/keyset?since_id=0&limit=100", "records above an id, by id"),
    ("/more?page=1&limit=100", "has_more, is_last"),
    ("/cycle?at=&length=2", "next links that go from the first page into a circle"),
    ("POST /numbered, /offset, /cursor", "the same with the parameters as a JSON object in the body"),
    ("/array", "all records as a plain array"),
    ("/object?id=1", "one record, which is the whole body"),
    ("/lines?page=1&per_page=100", "JSON Lines"),
    ("/csv?page=1&per_page=100", "CSV with a line of names"),
    ("/xml?page=1&per_page=100", "XML"),
    ("/events?updated_since=&until=&limit=100&cursor=", "by time of change; since is included, until is not"),
    ("/campaigns?limit=10&after=", "parents"),
    ("/campaigns/ID/insights?since=&until=&limit=100&after=", "children by day; until is not included"),
    ("POST /reports", "a report that is made while one waits; /reports/ID, /reports/ID/download"),
    ("/large?bytes=1000000", "one page of any size"),
    ("/redirect/302?to=/array&host=own", "302, 303, 307, 308; host=other leads away"),
    ("POST /login", "a session token; POST /oauth/token: OAuth 2"),
    ("/auth/KIND/PATH", "PATH behind basic, bearer, oauth, session, header, query, sigv4"),
];

pub fn answer(state: &State, request: &Request) -> Reply {
    let call = Call { state, request, settings: state.settings() };
    let path: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
    match path[..] {
        // The other host has no accounts: it is where files are fetched that a link was given out for.
        ["auth", _, ref rest @ ..] if request.to == Host::Other => call.route(rest),
        ["auth", kind, ref rest @ ..] => match auth::check(state, kind, request) {
            Ok(()) => call.route(rest),
            Err(refusal) => refusal,
        },
        _ => call.route(&path),
    }
}

/// A request and whom it is made to.
struct Call<'a> {
    state: &'a State,
    request: &'a Request,
    settings: Settings,
}

impl Call<'_> {
    fn route(&self, path: &[&str]) -> Reply {
        if self.request.method == "POST" {
            return match path {
                ["login"] => auth::login(self.state, self.request),
                ["oauth", "token"] => auth::token(self.state, self.request),
                ["reports"] => reports::order(self),
                // Their parameters are in the body, or in the query.
                ["numbered"] => counted::numbered(self, 1),
                ["offset"] => counted::offset(self, u64::MAX),
                ["cursor"] => cursors::in_body(self, false),
                _ => not_found(),
            };
        }
        match path {
            ["users"] => users::list(self),
            ["ads"] => ads::list(self),
            ["numbered"] => counted::numbered(self, 1),
            ["numbered", "zero"] => counted::numbered(self, 0),
            ["numbered", "stuck"] => counted::stuck(self),
            ["numbered", "ends"] => counted::ends(self),
            ["offset"] => counted::offset(self, u64::MAX),
            ["offset", "short"] => counted::offset(self, self.settings.short),
            ["linked"] => counted::linked(self),
            ["more"] => counted::more(self),
            ["cursor"] => cursors::in_body(self, false),
            ["cursor", "last"] => cursors::in_body(self, true),
            ["cursor", "header"] => cursors::in_header(self),
            ["keyset"] => cursors::keyset(self),
            ["cycle"] => cursors::cycle(self),
            ["array"] => plain::array(self),
            ["object"] => plain::object(self),
            ["lines"] => plain::flat(self, Format::Lines),
            ["csv"] => plain::flat(self, Format::Csv),
            ["xml"] => plain::flat(self, Format::Xml),
            ["events"] => events::list(self),
            ["campaigns"] => campaigns::list(self),
            ["campaigns", id, "insights"] => campaigns::insights(self, id),
            ["reports", id] => reports::status(self, id),
            ["reports", id, "download"] => reports::download(self, id),
            ["large"] => large::page(self),
            ["redirect", status] => redirect::to(self, status),
            _ => not_found(),
        }
    }

    fn shape(&self) -> Shape {
        self.request.get("shape").and_then(Shape::named).unwrap_or(self.settings.shape)
    }

    /// A parameter that says how many are asked for, as far as they are granted.
    fn count(&self, name: &str, usual: u64) -> u64 {
        let asked = self.request.number(name).and_then(|count| u64::try_from(count).ok()).filter(|count| *count > 0);
        asked.unwrap_or(usual).min(self.settings.page_most)
    }

    /// Up to `count` records behind the first `start`, by their numbers less one.
    fn range(&self, start: u64, count: u64) -> Range<u64> {
        let total = self.settings.records;
        start.min(total)..start.saturating_add(count).min(total)
    }

    fn records(&self, range: Range<u64>) -> Bytes {
        self.made(Format::Array, self.shape(), 0, range)
    }

    fn made(&self, format: Format, shape: Shape, seed: u64, range: Range<u64>) -> Bytes {
        let key = (format, shape, seed, range);
        self.state.pages.get(self.settings.kept_bytes, key.clone(), || page::render(key).into())
    }

    /// The URL of this request with these parameters set, or taken away where they are None.
    fn link(&self, changes: &[(&str, Option<&str>)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.request.query {
            if !changes.iter().any(|(changed, _)| changed == name) {
                query.append_pair(name, value);
            }
        }
        for (name, value) in changes {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        self.url(self.request.to, &format!("{}?{}", self.request.path, query.finish()))
    }

    fn url(&self, host: Host, path: &str) -> String {
        format!("http://{}{path}", self.state.address(host))
    }
}

fn not_found() -> Reply {
    Reply::error(404, "not_found", "there is nothing here")
}

fn bad_parameter(name: &str) -> Reply {
    Reply::error(400, "bad_parameter", format!("{name} is not good"))
}
