//! Which charset a body is written in.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::Format;

/// So many bytes of a body tell, where it tells itself.
pub const HEAD: usize = 1 << 10;

/// The charset of this name, as browsers know it: `iso-8859-1` is windows-1252, which has more characters. What is called ASCII is UTF-8, of
/// which it is a part. `None` where there is none of this name.
pub fn named(name: &str) -> Option<&'static Encoding> {
    match ["ascii", "us-ascii"].iter().any(|ascii| name.trim().eq_ignore_ascii_case(ascii)) {
        true => Some(UTF_8),
        false => Encoding::for_label_no_replacement(name.as_bytes()),
    }
}

/// The charset of a body that begins so, and the length of its byte order mark. What was `set` wins, then that mark, the Content-Type, and
/// the declaration that XML begins with; else it is UTF-8.
pub fn of(
    head: &[u8],
    content_type: Option<&str>,
    (format, set): (Format, Option<&'static Encoding>),
) -> (&'static Encoding, usize) {
    let (marked, mark) = Encoding::for_bom(head).map_or((None, 0), |(charset, length)| (Some(charset), length));
    // `utf-16` alone does not say which byte is the first.
    let set = set.filter(|set| marked.is_none() || ![UTF_16LE, UTF_16BE].contains(set));
    let declared = || if format == Format::Xml { declared(head) } else { None };
    let charset = set.or(marked).or_else(|| told(content_type?)).or_else(declared).unwrap_or(UTF_8);
    (charset, mark)
}

/// By the parameter of a Content-Type.
fn told(content_type: &str) -> Option<&'static Encoding> {
    let mut parameters = content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let (_, name) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    named(name.trim().trim_matches(['"', '\'']))
}

/// By `<?xml … encoding="…"?>`.
fn declared(head: &[u8]) -> Option<&'static Encoding> {
    match head {
        [b'<', 0, b'?', 0, ..] => return Some(UTF_16LE),
        [0, b'<', 0, b'?', ..] => return Some(UTF_16BE),
        _ => {}
    }
    let text = head.trim_ascii_start().strip_prefix(b"<?xml")?;
    let end = text.windows(2).position(|two| two == b"?>")?;
    let (_, value) = std::str::from_utf8(&text[..end]).ok()?.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (name, _) = value[1..].split_once(quote)?;
    // What could be read up to here is not UTF-16, whatever it says: programs write it that make texts before bytes.
    named(name).map(Encoding::output_encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(head: &[u8], content_type: Option<&str>, format: Format, set: Option<&str>) -> (&'static str, usize) {
        let (charset, mark) = of(head, content_type, (format, set.and_then(named)));
        (charset.name(), mark)
    }

    #[test]
    fn the_first_who_says_it_wins() {
        const LATIN: &[u8] = b"<?xml version='1.0' encoding = \"ISO-8859-2\" standalone='yes'?><a/>";
        let xml = |head: &[u8], told, set| name(head, told, Format::Xml, set);
        assert_eq!(xml(b"<a/>", None, None), ("UTF-8", 0));
        assert_eq!(xml(LATIN, None, None), ("ISO-8859-2", 0));
        assert_eq!(xml(LATIN, Some("text/xml; Charset=\"koi8-r\"; x=y"), None), ("KOI8-R", 0));
        assert_eq!(xml(&[b"\xEF\xBB\xBF", LATIN].concat(), Some("text/xml; charset=koi8-r"), None), ("UTF-8", 3));
        assert_eq!(xml(b"\xEF\xBB\xBF<a/>", Some("text/xml; charset=koi8-r"), Some("big5")), ("Big5", 3));
        // Of lines, nothing within says it.
        assert_eq!(name(LATIN, None, Format::Csv { delimiter: b',' }, None), ("UTF-8", 0));
    }

    #[test]
    fn sixteen_bits_are_told_by_their_bytes() {
        assert_eq!(name(b"\xFE\xFF\0a", None, Format::Json, Some("utf-16")), ("UTF-16BE", 2));
        assert_eq!(name(b"\xFF\xFEa\0", None, Format::Json, None), ("UTF-16LE", 2));
        assert_eq!(name(b"a\0", None, Format::Json, Some("utf-16")), ("UTF-16LE", 0));
        assert_eq!(name(b"\0<\0?\0x", None, Format::Xml, None), ("UTF-16BE", 0));
        assert_eq!(name(b"<?xml encoding='utf-16'?>", None, Format::Xml, None), ("UTF-8", 0));
    }

    #[test]
    fn names_that_nobody_knows_say_nothing() {
        assert_eq!(named("latin1").map(Encoding::name), Some("windows-1252"));
        assert_eq!(named(" US-ASCII ").map(Encoding::name), Some("UTF-8"));
        for none in ["", "klingon", "utf-7", "iso-2022-kr"] {
            assert_eq!(named(none), None, "{none}");
        }
        assert_eq!(name(b"a", Some("text/csv; charset=klingon"), Format::Json, None), ("UTF-8", 0));
        assert_eq!(name(b"<?xml encoding", Some("text/xml; charset"), Format::Xml, None), ("UTF-8", 0));
    }
}
