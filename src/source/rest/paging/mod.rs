//! From page to page: where the next one is, by what this one says, and when there is none.

mod end;
mod guard;
mod keys;
mod link;
mod place;
#[cfg(test)]
mod tests;

use reqwest::header::{HeaderMap, HeaderName};
use url::Url;

use self::end::End;
pub use self::guard::Guard;
pub use self::keys::KEYS;
pub use self::place::Place;
use super::body::{Field, Path, Scalar};
use super::request::Request;
use super::secrets::Secrets;
use crate::config::Section;
use crate::error::{Error, Result};

/// More pages without records than this do not follow one another, of those that have numbers.
const MOST_EMPTY: u64 = 1000;

/// Of those that the server names: some scan all that they have, and filter it page by page.
const MOST_EMPTY_TOLD: u64 = 100_000;

/// How an endpoint goes from page to page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging {
    kind: Kind,
    size: Option<Size>,
    end: End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Once,
    Number {
        param: String,
        first: i64,
    },
    Offset {
        param: String,
        first: i64,
    },
    Cursor {
        param: String,
        from: From,
    },
    Link(From),
    /// Behind what the last record has in a field.
    Keyset {
        param: String,
        field: Field,
    },
}

/// The parameter that says how large pages are to be. What the server makes of it decides.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Size {
    param: String,
    records: String,
}

/// Where in an answer the way to the next page is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum From {
    Body(Path),
    Header(HeaderName),
    /// `Link: <…>; rel="next"`.
    LinkHeader,
}

/// What a page says of itself, as far as it is asked ([`Paging::wanted`]).
pub struct Page<'a> {
    /// Where it was asked for, as it was sent but for what is secret.
    pub url: &'a Url,
    pub headers: &'a HeaderMap,
    /// A value of the body; `None` where there is none, or null.
    pub value: &'a dyn Fn(&Path) -> Option<Scalar>,
    pub records: u64,
    /// Of [`Paging::key`]: of its last record.
    pub last_key: Option<Scalar>,
    /// A digest of its whole body.
    pub digest: u64,
    /// Names of parameters that hold secrets, besides those that always do.
    pub secret_names: &'a [String],
    /// What it may repeat, under whatever name.
    pub secrets: &'a Secrets,
}

/// What of a chain came before a page.
#[derive(Debug, Clone, Copy)]
pub struct Before {
    pub records: u64,
    /// None of it was left out, and all of it is known.
    pub is_whole: bool,
}

impl Before {
    /// In the midst of a chain, before pages that are asked for by themselves.
    pub const UNKNOWN: Self = Self { records: 0, is_whole: false };
}

/// What comes after a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    At(Place),
    End,
}

impl From {
    /// What is there; nothing where it is empty.
    fn next(&self, page: &Page<'_>) -> Option<Scalar> {
        self.value(page).filter(|value| !value.text().is_empty())
    }

    /// What is there. In headers there are texts alone.
    fn value(&self, page: &Page<'_>) -> Option<Scalar> {
        let text = match self {
            From::Body(path) => return (page.value)(path),
            From::Header(name) => page.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned),
            From::LinkHeader => link::of_headers(page.headers),
        };
        text.map(Scalar::Text)
    }
}

impl Paging {
    pub fn of(section: &Section) -> Result<Self> {
        let kind = keys::kind(section)?;
        let size = section.get("page_size_param").zip(section.get("page_size"));
        Ok(Self {
            size: size.map(|(param, records)| Size { param: param.to_owned(), records: records.to_owned() }),
            end: End::of(section, matches!(kind, Kind::Number { .. }))?,
            kind,
        })
    }

    /// Of what has one page, whatever its section says of pages.
    pub fn once() -> Self {
        Self { kind: Kind::Once, size: None, end: End::default() }
    }

    /// The places in the body that it goes by, each with the key that names it.
    pub fn wanted(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.next_in_body().into_iter().chain(self.end.wanted())
    }

    /// The place in the body that the next page is found by, with the key that names it.
    pub fn next_in_body(&self) -> Option<(&'static str, &Path)> {
        match &self.kind {
            Kind::Cursor { from: From::Body(path), .. } => Some(("next_cursor", path)),
            Kind::Link(From::Body(path)) => Some(("next_link", path)),
            _ => None,
        }
    }

    /// Whether a page with so many records may be one that others follow; `unknown` is the answer where nobody said how many a
    /// page has.
    pub fn may_be_full(&self, records: u64, unknown: bool) -> bool {
        match self.size.as_ref().and_then(|size| size.records.parse::<u64>().ok()) {
            Some(size) => records >= size,
            None => unknown && records > 0,
        }
    }

    /// The field of the last record that the next page begins behind, where it goes by one.
    pub fn key(&self) -> Option<&Field> {
        match &self.kind {
            Kind::Keyset { field, .. } => Some(field),
            _ => None,
        }
    }

    /// The first page.
    pub fn first(&self) -> Place {
        match self.kind {
            Kind::Number { first, .. } => Place::Page(first),
            Kind::Offset { first, .. } => Place::Offset(first),
            _ => Place::First,
        }
    }

    /// The page behind one that is not here yet, where that can be told; `size` is how many records pages have had.
    pub fn ahead(&self, place: &Place, size: u64) -> Option<Place> {
        match place {
            Place::Page(number) => Some(Place::Page(number + 1)),
            Place::Offset(offset) if size > 0 => Some(Place::Offset(offset + i64::try_from(size).ok()?)),
            _ => None,
        }
    }

    /// The page behind one that is not here and never will be; `size` is how many records the page before it had. `None` where
    /// only the page itself could tell.
    pub fn behind(&self, place: &Place, size: u64) -> Option<Place> {
        let is_full = || self.size.as_ref().is_some_and(|of| of.records.parse() == Ok(size));
        match place {
            Place::Offset(_) if !is_full() => None,
            _ => self.ahead(place, size),
        }
    }

    /// Has a request ask for the page.
    pub fn apply(&self, place: &Place, request: &mut Request) -> Result<()> {
        if let Some(size) = &self.size
            && !matches!(place, Place::Link(_))
        {
            request.set_param(&size.param, size.records.as_str());
        }
        match (&self.kind, place) {
            (Kind::Number { param, .. }, Place::Page(number)) | (Kind::Offset { param, .. }, Place::Offset(number)) => {
                request.set_param(param, number.to_string());
            }
            (Kind::Cursor { param, .. }, Place::Cursor(text)) | (Kind::Keyset { param, .. }, Place::After(text)) => {
                request.set_param(param, text.clone());
            }
            (Kind::Link(_), Place::Link(link)) => link::apply(link, request)?,
            (_, Place::First) => {}
            _ => {
                return Err(Error::conflict("the stream's place is of another kind of pages")
                    .hint("`pagination` was another when it was read last: run it once with `--full-refresh`."));
            }
        }
        Ok(())
    }

    /// How many records lie before a page, where it says so itself: of those that failed nobody knows how many they had.
    fn before(&self, place: &Place) -> Option<u64> {
        match (&self.kind, place) {
            (Kind::Offset { first, .. }, Place::Offset(offset)) => u64::try_from(offset - first).ok(),
            _ => None,
        }
    }

    /// What comes after a page. `before` is what came before it, and `guard` remembers where we were.
    ///
    /// An error where the answer does not say what it was to say, or leads back to where we were, and where the pages end before there
    /// were as many records as it says.
    pub fn after(&self, place: &Place, page: &Page<'_>, before: Before, guard: &mut Guard) -> Result<Next> {
        guard.note(page.records, page.digest);
        if guard.is_repeated() {
            let message = format!("{} has the same records as one shortly before it", place.shown());
            return Err(Error::data(message).hint(self.mend_repeats()));
        }
        let read = self.before(place).unwrap_or(before.records) + page.records;
        if self.end.is_last(place, page, read, guard)? {
            return Ok(Next::End);
        }
        guard.last = self.end.last(place, page, read)?;
        let goes_on = self.end.says_more();
        let Some(next) = self.behind_page(place, page, goes_on)? else {
            if goes_on {
                return Err(Error::data(format!("the answer says that there is more behind {}, and not where", place.shown()))
                    .hint("It has no records, or no next page, and `has_more`, `is_last` or `last_page` say that it is not the last. Look at these keys, or ask again later."));
            }
            let size = self.size.as_ref().and_then(|size| size.records.parse().ok()).unwrap_or(1);
            self.end.check_total(page, read, size.max(guard.largest()), before.is_whole)?;
            return Ok(Next::End);
        };
        self.check_empty(place, guard)?;
        guard.go(&next)?;
        Ok(Next::At(next))
    }

    /// What may be wrong where a page has the records of one before it.
    fn mend_repeats(&self) -> &'static str {
        match self.kind {
            Kind::Cursor { .. } => {
                "Does the server know the parameter? Look at `next_cursor_param`, and at `next_cursor`."
            }
            Kind::Keyset { .. } => "Does the server know the parameter? Look at `keyset_param`, and at `keyset_field`.",
            Kind::Link(_) => {
                "The next links lead to the same records. Look at `next_link`, or ask those who run the server."
            }
            _ => "Does the server know the parameter? Look at `page_param` (or `offset_param`) and `pagination`.",
        }
    }

    /// Refuses to go on behind too many pages without records.
    fn check_empty(&self, place: &Place, guard: &Guard) -> Result<()> {
        let (most, keys) = match self.kind {
            Kind::Cursor { .. } => (MOST_EMPTY_TOLD, "`next_cursor`, at `next_cursor_param`,"),
            Kind::Link(_) => (MOST_EMPTY_TOLD, "`next_link`,"),
            _ => (MOST_EMPTY, "`has_more`, `is_last` or `last_page`, at `page_param`,"),
        };
        if guard.empty_pages() <= most {
            return Ok(());
        }
        let message = format!("more than {most} pages up to {} have no records, one after the other", place.shown());
        Err(Error::data(message)
            .hint(format!("Each of them says that there is more. Look at {keys} and at `records`.")))
    }

    /// Where the next page is, of a page that is not the last by what it says; `None` where there is none. `goes_on` where the answer says that
    /// there is one.
    fn behind_page(&self, place: &Place, page: &Page<'_>, goes_on: bool) -> Result<Option<Place>> {
        Ok(match (&self.kind, place) {
            (Kind::Number { .. }, Place::Page(number)) => {
                (page.records > 0 || goes_on).then(|| Place::Page(number + 1))
            }
            (Kind::Offset { .. }, Place::Offset(offset)) => {
                let records = i64::try_from(page.records).unwrap_or(i64::MAX);
                (records > 0).then(|| Place::Offset(offset.saturating_add(records)))
            }
            (Kind::Cursor { from, .. }, _) => from.next(page).map(Place::Cursor),
            (Kind::Link(from), _) => from
                .next(page)
                .map(|link| link::place(link.text(), page.url, (page.secret_names, page.secrets)))
                .transpose()?,
            (Kind::Keyset { .. }, _) if page.records == 0 => None,
            (Kind::Keyset { field, .. }, _) => {
                let key = page.last_key.clone().ok_or_else(|| {
                    let shown = place.shown();
                    Error::data(format!("the last record of {shown} has no text or number at `{field}`, which `keyset_field` names"))
                        .hint("The next page begins behind that value. Name a field that every record has, such as `id` or `meta.id`.")
                })?;
                Some(Place::After(key))
            }
            _ => None,
        })
    }
}
