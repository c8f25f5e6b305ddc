//! Where in a body one is, as far as somebody asks for what stands there.

use std::borrow::Cow;

use super::envelope::Wanted;
use super::path::{Path, Step};
use crate::source::documents::from_json;

/// Some of the ways that are asked for: a bit for each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ways(u64);

impl Ways {
    /// The way to the records.
    pub const RECORDS: Ways = Ways(1);

    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    pub fn has(self, other: Ways) -> bool {
        self.0 & other.0 == other.0
    }

    pub fn without(self, other: Ways) -> Ways {
        Ways(self.0 & !other.0)
    }

    pub fn and(self, other: Ways) -> Ways {
        Ways(self.0 | other.0)
    }

    pub fn both(self, other: Ways) -> Ways {
        Ways(self.0 & other.0)
    }

    /// Which of the values that are looked for are at their ends: their places among them.
    pub fn values(self) -> impl Iterator<Item = usize> {
        bits(self.0 >> 1)
    }
}

fn bits(of: u64) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(of), |rest| Some(rest & rest.wrapping_sub(1)))
        .take_while(|rest| *rest != 0)
        .map(|rest| rest.trailing_zeros() as usize)
}

/// All ways that are asked for.
#[derive(Debug)]
pub struct Places {
    paths: Vec<Path>,
    /// Those of so many steps.
    ending: Vec<Ways>,
}

impl Places {
    pub fn of(wanted: &Wanted) -> Self {
        let paths: Vec<_> = std::iter::once(wanted.records()).chain(wanted.values()).cloned().collect();
        let longest = paths.iter().map(|path| path.steps().len()).max().unwrap_or(0);
        let ending = (0..=longest)
            .map(|length| {
                let ends = |(_, path): &(usize, &Path)| path.steps().len() == length;
                Ways(paths.iter().enumerate().filter(ends).fold(0, |ways, (at, _)| ways | 1 << at))
            })
            .collect();
        Self { paths, ending }
    }

    /// All of them lead to, or through, the whole body.
    pub fn root(&self) -> Ways {
        Ways(u64::MAX >> (64 - self.paths.len()))
    }

    /// Those that end so deep, of some that lead there.
    pub fn ending(&self, ways: Ways, depth: usize) -> Ways {
        ways.both(self.ending.get(depth).copied().unwrap_or_default())
    }

    /// Those that lead to an item of a list, of those through the list.
    pub fn item(&self, ways: Ways, depth: usize, item: u64) -> Ways {
        self.filtered(ways, depth, |step| match step {
            Step::Item(wanted) => *wanted == item,
            Step::Each => true,
            Step::Name(_) => false,
        })
    }

    /// Those that lead to a member of an object. `name` is what stands between its quotes, `None` where it is too long to be
    /// anybody's.
    pub fn member(&self, ways: Ways, depth: usize, name: Option<&[u8]>) -> Ways {
        let name = name.and_then(|name| match name.contains(&b'\\') {
            true => from_json::decoded(name).map(Cow::Owned),
            false => Some(Cow::Borrowed(name)),
        });
        self.filtered(ways, depth, |step| match step {
            Step::Name(wanted) => name.as_ref().is_some_and(|name| wanted.as_bytes() == &name[..]),
            Step::Each => true,
            Step::Item(_) => false,
        })
    }

    /// Those that go on with every item or member.
    pub fn each(&self, ways: Ways, depth: usize) -> Ways {
        self.filtered(ways, depth, |step| *step == Step::Each)
    }

    fn filtered(&self, ways: Ways, depth: usize, goes: impl Fn(&Step) -> bool) -> Ways {
        let goes = |at: &usize| self.paths[*at].steps().get(depth).is_some_and(&goes);
        Ways(bits(ways.0).filter(goes).fold(0, |ways, at| ways | 1 << at))
    }
}
