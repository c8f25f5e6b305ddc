//! Where a chain of pages ends, by what its answers say of that.

use super::{From, Guard, Page, Place};
use crate::config::Section;
use crate::error::{Error, Result};
use crate::source::rest::body::{Path, Scalar};

/// Where answers tell how many records there are in all, whether there are more, whether this page is the last, and which one is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct End {
    total: Option<From>,
    has_more: Option<From>,
    is_last: Option<From>,
    last_page: Option<From>,
}

impl End {
    /// `is_numbered`: of other kinds, pages have no numbers.
    pub fn of(section: &Section, is_numbered: bool) -> Result<Self> {
        Ok(Self {
            total: From::of_key(section, "total")?,
            has_more: From::of_key(section, "has_more")?,
            is_last: From::of_key(section, "is_last")?,
            last_page: From::of_key(section, "last_page")?.filter(|_| is_numbered),
        })
    }

    /// The places in the body, each with the key that names it.
    pub fn wanted(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let said = [
            ("total", &self.total),
            ("has_more", &self.has_more),
            ("is_last", &self.is_last),
            ("last_page", &self.last_page),
        ];
        said.into_iter().filter_map(|(key, from)| match from {
            Some(From::Body(path)) => Some((key, path)),
            _ => None,
        })
    }

    /// Of a page that is not the last by what it says: whether it has said so.
    pub fn says_more(&self) -> bool {
        self.has_more.is_some() || self.is_last.is_some() || self.last_page.is_some()
    }

    /// Whether the answer says that there is nothing more. `read` is how many records came, with those of this page. What contradicts
    /// itself says nothing: reading goes on to the empty page then, and the guard remembers that it was told of.
    pub fn is_last(&self, place: &Place, page: &Page<'_>, read: u64, guard: &mut Guard) -> Result<bool> {
        if let Some(from) = &self.has_more
            && !is_true(&told("has_more", from, page)?)
        {
            return Ok(true);
        }
        if let Some(from) = &self.is_last
            && is_true(&told("is_last", from, page)?)
        {
            return Ok(true);
        }
        if let (Some(from), Place::Page(at)) = (&self.last_page, place) {
            let last_page = number("last_page", from, page)?;
            if *at <= last_page || page.records == 0 {
                return Ok(*at >= last_page);
            }
            if guard.is_first_warning() {
                tracing::warn!(
                    page = at,
                    last_page,
                    "a page behind `last_page` has records: reading goes on to an empty page"
                );
            }
            return Ok(false);
        }
        let Some(total) = self.total(page)? else { return Ok(false) };
        let read = i64::try_from(read).unwrap_or(i64::MAX);
        if read > total && guard.is_first_warning() {
            tracing::warn!(
                read,
                total,
                "there are more records than `total` says: reading goes on to the end of the pages"
            );
        }
        Ok(read == total)
    }

    /// Looks, where the pages end by themselves, at whether there were as many records as the answer says. `size` is how many a page has: fewer
    /// than that may have gone while the pages were read.
    pub fn check_total(&self, page: &Page<'_>, read: u64, size: u64, is_whole: bool) -> Result<()> {
        let Some(total) = self.total(page)? else { return Ok(()) };
        let Some(missing) = u64::try_from(total).ok().and_then(|total| total.checked_sub(read)).filter(|of| *of > 0)
        else {
            return Ok(());
        };
        if is_whole && (missing >= size || read == 0) {
            return Err(Error::data(format!("the pages end after {read} records, and `total` says that there are {total}")).hint(
                "Many servers give no more than so many records of one query: ask for less at once (windows by `until_param` and `step`, or narrower \
                 parameters). Where `total` counts something else, leave it out.",
            ));
        }
        tracing::warn!(read, total, "the pages end before there were as many records as `total` says");
        Ok(())
    }

    /// The number of the last page, or the offset of the last record, by what this page says; `None` where nobody knows.
    pub fn last(&self, place: &Place, page: &Page<'_>, read: u64) -> Result<Option<i64>> {
        if let (Some(from), Place::Page(at)) = (&self.last_page, place) {
            return Ok(Some(number("last_page", from, page)?).filter(|last| last >= at));
        }
        let left = match self.total(page)?.map(u64::try_from) {
            Some(Ok(total)) if page.records > 0 => total.checked_sub(read),
            _ => None,
        };
        let Some(left) = left else { return Ok(None) };
        Ok(match place {
            Place::Page(at) => i64::try_from(left.div_ceil(page.records)).ok().and_then(|pages| at.checked_add(pages)),
            Place::Offset(at) => {
                i64::try_from(page.records.saturating_add(left) - 1).ok().and_then(|records| at.checked_add(records))
            }
            _ => None,
        })
    }

    /// How many records there are in all, where nothing else tells the end.
    fn total(&self, page: &Page<'_>) -> Result<Option<i64>> {
        let total = self.total.as_ref().filter(|_| !self.says_more());
        total.map(|from| number("total", from, page)).transpose()
    }
}

fn is_true(text: &str) -> bool {
    !matches!(text.to_ascii_lowercase().as_str(), "false" | "0" | "" | "no")
}

fn told(key: &str, from: &From, page: &Page<'_>) -> Result<String> {
    from.value(page).map(Scalar::into_text).ok_or_else(|| {
        Error::data(format!("the answer has no `{from}`, which `{key}` names")).hint(
            "Without it nobody can tell whether there are more pages. Mend the key, or leave it out, where the end is an empty page.",
        )
    })
}

fn number(key: &str, from: &From, page: &Page<'_>) -> Result<i64> {
    let text = told(key, from, page)?;
    text.trim()
        .parse::<i64>()
        .map_err(|_| Error::data(format!("`{from}` of the answer, which `{key}` names, is no whole number")))
}
