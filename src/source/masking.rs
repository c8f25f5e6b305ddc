//! What is masked of a stream's rows, as its keys say: which columns, how, and with what secret. The masks themselves are put
//! on behind the reader. Here is what has to be known where values could go another way: into positions, ranges and digests
//! of rows.

use ring::hmac;

use super::cursor::Expression;
use crate::config::{Key, Section, Value};
use crate::error::{Error, Result};
use crate::record::{Mode, change};

/// Keys of a `[source]`, for all its streams, and of a `[stream]`, whose own win.
pub const KEYS: &[Key] = &[
    Key::new(
        FAMILY,
        Value::Checked(
            "`hash`, `drop`, `redact` or `truncate(8)`; `if present` may stand behind",
            |text| match Rule::parse("", text) {
                Some(_) => Ok(()),
                None => Err("must be `hash`, `drop`, `redact` or `truncate(N)` with N from 1 on; `if present` may stand behind"),
            },
        ),
        "What becomes of a column, or of a field within one (`mask.user.email`), before anything is written. `hash`: a keyed digest \
         (HMAC-SHA-256 with `mask_secret`) in place of each value; `drop`: it is not there; `redact`: `***` in place of each value; \
         `truncate(N)`: the first N characters of a text. It is an error where a table has no such column, unless `if present` stands behind. \
         See privacy.md.",
    )
    .family()
    .example("hash"),
    Key::new(
        SECRET,
        Value::Checked("text of 16 characters at least", |text| match text.chars().nth(15) {
            Some(_) => Ok(()),
            None => Err("must have 16 characters at least"),
        }),
        "Needed by `hash`, and by masks of an incremental stream. The same secret makes the same hash of the same value, in every table, run and source.",
    )
    .secret()
    .example("${MASK_SECRET}"),
];

const FAMILY: &str = "mask.";
const SECRET: &str = "mask_secret";

/// What else than values of cells is made with the secret. Every value's text is UTF-8, and none of these is: so no cell
/// has such a digest.
const KEY_LABEL: &[u8] = b"\xff key";
const ROWS_LABEL: &[u8] = b"\xff rows";

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Hash,
    Drop,
    Redact,
    /// The first characters, of a text.
    Truncate(usize),
}

/// One mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// A column's name, or with dots that of a field within it.
    pub name: String,
    pub how: How,
    /// Tables that have no such column are meant.
    pub if_present: bool,
}

impl Rule {
    fn parse(name: &str, text: &str) -> Option<Self> {
        let text = text.trim();
        let behind = text.strip_suffix("if present").filter(|how| how.ends_with(char::is_whitespace));
        let how = match behind.unwrap_or(text).trim() {
            "hash" => How::Hash,
            "drop" => How::Drop,
            "redact" => How::Redact,
            other => {
                let number = other.strip_prefix("truncate")?.trim().strip_prefix('(')?.strip_suffix(')')?.trim();
                let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
                How::Truncate(number.parse().ok().filter(|number| is_number && *number > 0)?)
            }
        };
        Some(Self { name: name.to_owned(), how, if_present: behind.is_some() })
    }

    /// The key in `pipeline.conf`.
    pub fn key(&self) -> String {
        format!("{FAMILY}{}", self.name)
    }
}

/// The masks of one stream.
#[derive(Clone)]
pub struct Masks {
    pub rules: Vec<Rule>,
    key: Option<hmac::Key>,
    section: Section,
}

impl Masks {
    /// Reads [`KEYS`] of a stream's section that is read in this mode. Refuses masks of what positions, ranges and keys are
    /// made of, as far as the section tells, and a missing secret.
    pub fn of(section: &Section, mode: Mode) -> Result<Self> {
        let masks = Self::read(section)?;
        if masks.is_empty() {
            return Ok(masks);
        }
        // A secret that cannot be read has its own error.
        let lacks_secret = masks.key.is_none() && !section.is_refused(SECRET);
        if let Some(rule) = masks.rules.iter().find(|rule| rule.how == How::Hash).filter(|_| lacks_secret) {
            return Err(masks
                .error(rule, "needs `mask_secret`")
                .hint("Set `mask_secret`, or name its file: `mask_secret_file`."));
        }
        if mode == Mode::Incremental && lacks_secret {
            return Err(masks
                .error(&masks.rules[0], "needs `mask_secret` where `mode` is `incremental`")
                .hint("The commit log keeps digests of rows that are read again: without a secret, values could be guessed by them."));
        }
        if let (Mode::Incremental, Some(cursor)) = (mode, section.get("cursor")) {
            let cursor = Expression::parse_all(cursor).unwrap_or_default();
            masks.refuse("cursor", cursor.iter().flat_map(Expression::columns).map(String::as_str))?;
        }
        for key in ["chunk_by", "primary_key"] {
            masks.refuse(key, section.list(key).iter().map(String::as_str))?;
        }
        if mode == Mode::Cdc {
            masks.refuse("the columns of changes", change::names())?;
        }
        Ok(masks)
    }

    fn read(section: &Section) -> Result<Self> {
        let rule = |(name, text): (&str, &str)| {
            Rule::parse(name, text).ok_or_else(|| section.error(&format!("{FAMILY}{name}"), "is no mask"))
        };
        let rules = section.members(FAMILY).map(rule).collect::<Result<_>>()?;
        let key = section.get(SECRET).map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
        Ok(Self { rules, key, section: section.clone() })
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What hashes are made with. It is there where any mask is a hash.
    pub fn hasher(&self) -> Result<&hmac::Key> {
        self.key.as_ref().ok_or_else(|| Error::bug("a mask is to hash without a secret"))
    }

    /// Tells the secret from others, and nothing of it.
    pub fn key_id(&self) -> Option<String> {
        self.key.as_ref().map(|key| hex::encode(&hmac::sign(key, KEY_LABEL).as_ref()[..4]))
    }

    /// An error about one of the masks.
    pub fn error(&self, rule: &Rule, message: impl std::fmt::Display) -> Error {
        self.section.error(&rule.key(), message)
    }

    /// Refuses masks of these columns, or within them, or around them: their values stand in positions, in ranges of chunks, or in
    /// what rows are found again by. `of` is what they are, as people know it. Some sources take names in either case for the same.
    pub fn refuse<'c>(&self, of: &str, columns: impl IntoIterator<Item = &'c str>) -> Result<()> {
        for column in columns {
            if let Some(rule) = self.rules.iter().find(|rule| is_of(&rule.name, column)) {
                return Err(self
                    .error(rule, format!("masks {column}, which is of {of}, and values of that stand in positions and commit logs"))
                    .hint(format!(
                        "Read the stream by other columns, or leave {column} out of it. A `query` that selects a hash of it has no such key either."
                    )));
            }
        }
        Ok(())
    }
}

/// Whether anything of a stream is masked.
pub fn is_set(section: &Section) -> bool {
    section.members(FAMILY).next().is_some()
}

/// As [`Masks::refuse`], for sources that find the columns themselves.
pub fn refuse<'c>(section: &Section, of: &str, columns: impl IntoIterator<Item = &'c str>) -> Result<()> {
    Masks::read(section)?.refuse(of, columns)
}

/// Refuses what would carry values of any column past their masks, of which a message says `what`.
pub fn refuse_beside(section: &Section, key: &str, what: &str) -> Result<()> {
    match section.members(FAMILY).next() {
        Some((name, _)) => Err(section
            .error(key, format!("cannot stand beside `{FAMILY}{name}`: {what}"))
            .hint("Leave one of them out. `exclude_columns` keeps fields from being read at all.")),
        None => Ok(()),
    }
}

/// The key of the digests by which rows are known again, kept in commit logs: nobody without the secret can try out what a masked
/// value may have been. Zeros of a stream without masks.
pub fn digest_key(section: &Section) -> (u64, u64) {
    let half = |bytes: &[u8]| bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
    match section.get(SECRET).filter(|_| is_set(section)) {
        Some(secret) => {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), ROWS_LABEL);
            (half(&tag.as_ref()[..8]), half(&tag.as_ref()[8..16]))
        }
        None => (0, 0),
    }
}

/// Whether a mask of this name is of the column, of something within it, or of something around it.
fn is_of(name: &str, column: &str) -> bool {
    let (name, column) = (name.to_lowercase(), column.to_lowercase());
    let is_within = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
    name == column || is_within(&name, &column) || is_within(&column, &name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::STREAM_KEYS;

    const LONG: (&str, &str) = ("mask_secret", "0123456789abcdef");

    fn section(values: &[(&str, &str)]) -> Section {
        Section::of_keys("stream s", STREAM_KEYS.iter().chain(KEYS).collect(), values).unwrap()
    }

    fn refusal(mode: Mode, values: &[(&str, &str)]) -> String {
        Masks::of(&section(values), mode).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_rule_is_read_as_it_is_written() {
        let of = |text| Rule::parse("a", text).map(|rule| (rule.how, rule.if_present));
        assert_eq!(of("hash"), Some((How::Hash, false)));
        assert_eq!(of(" drop  if present "), Some((How::Drop, true)));
        assert_eq!(of("truncate(8)"), Some((How::Truncate(8), false)));
        assert_eq!(of("truncate ( 8 ) if present"), Some((How::Truncate(8), true)));
        for text in
            ["", "Hash", "truncate", "truncate(0)", "truncate(-1)", "truncate(+1)", "hashif present", "if present"]
        {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn what_positions_hold_is_not_masked() {
        let email = ("mask.email", "redact");
        assert_eq!(refusal(Mode::Full, &[email]), "");
        for (mode, more) in [
            (Mode::Full, ("chunk_by", "id, EMAIL")),
            (Mode::Full, ("primary_key", "email")),
            (Mode::Cdc, ("primary_key", "email")),
            (Mode::Incremental, ("cursor", "coalesce(x, Email)")),
            (Mode::Incremental, ("cursor", "email.at")),
        ] {
            let refused = refusal(mode, &[email, LONG, more]);
            assert!(
                refused.contains("`mask.email` masks") && refused.contains(&format!("is of {}", more.0)),
                "{refused}"
            );
        }
        // What lies beside it, or only begins as it does, is another column.
        assert_eq!(refusal(Mode::Full, &[email, ("chunk_by", "e, emails, email_at")]), "");
        assert!(refusal(Mode::Full, &[("mask.a.b", "drop"), ("primary_key", "a")]).contains("masks a,"));
        assert!(refusal(Mode::Cdc, &[("mask._op", "drop")]).contains("masks _op"));
        // It is no cursor where nothing is read by it.
        assert_eq!(refusal(Mode::Full, &[email, ("cursor", "email")]), "");
    }

    #[test]
    fn the_secret_is_needed_and_never_shown() {
        assert!(refusal(Mode::Full, &[("mask.a", "hash")]).contains("`mask.a` needs `mask_secret`"));
        assert!(
            refusal(Mode::Incremental, &[("mask.a", "drop"), ("cursor", "b")]).contains("`mask.a` needs `mask_secret`")
        );
        assert_eq!(refusal(Mode::Incremental, &[("mask.a", "drop"), ("cursor", "b"), LONG]), "");
        let short =
            Section::of_keys("stream s", KEYS.iter().collect(), &[("mask_secret", "tiny")]).unwrap_err().to_string();
        assert!(short.contains("16 characters") && !short.contains("tiny"), "{short}");
    }

    #[test]
    fn digests_of_rows_have_the_key_of_the_secret() {
        assert_eq!(digest_key(&section(&[LONG])), (0, 0));
        assert_eq!(digest_key(&section(&[])), (0, 0));
        let keyed = digest_key(&section(&[LONG, ("mask.a", "drop")]));
        let other = digest_key(&section(&[("mask_secret", "0123456789abcdeF"), ("mask.a", "drop")]));
        assert!(keyed != (0, 0) && other != (0, 0) && keyed != other);
    }
}
