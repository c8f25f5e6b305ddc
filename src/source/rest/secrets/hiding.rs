//! Secrets in a text, in whatever form they stand there: as they are, percent-encoded (once or several times), escaped as in
//! JSON or as in XML, and each character in a way of its own.

use super::HIDDEN;

/// The text without the secrets, of which the longest come first. One that `is_cut` goes on behind its end, and a secret that
/// begins in it may too.
pub fn hide(text: Vec<u8>, secrets: &[String], is_cut: bool) -> Vec<u8> {
    let found = |text: &[u8]| found(text, secrets, is_cut);
    let Some(first) = (0..text.len()).find(|at| found(&text[*at..]).is_some()) else { return text };
    let mut out = text[..first].to_vec();
    let mut at = first;
    while at < text.len() {
        match found(&text[at..]) {
            Some(length) => {
                out.extend_from_slice(HIDDEN.as_bytes());
                at += length;
            }
            None => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    out
}

/// How long the secret is that a text begins with, if it does with any.
fn found(text: &[u8], secrets: &[String], is_cut: bool) -> Option<usize> {
    let first = *text.first()?;
    let may_begin =
        |secret: &&String| b"%\\&+".contains(&first) || secret.as_bytes().first().is_some_and(|byte| *byte == first);
    let length = |secret: &String| length(text, secret, is_cut);
    secrets.iter().filter(may_begin).find_map(length).filter(|length| *length > 0)
}

/// How long `secret` is at the beginning of the text, or the part of it that a cut text has.
fn length(text: &[u8], secret: &str, is_cut: bool) -> Option<usize> {
    let (mut at, mut rest) = (0, secret.chars());
    while let Some(c) = rest.next() {
        let left = text.get(at..)?;
        let forms = forms(left, c);
        match forms[..] {
            [] => return (is_cut && may_go_on(left, c)).then_some(text.len()),
            [one] => at += one,
            // `%25` may be a percent sign that is encoded, or one that is not.
            _ => {
                let longest = forms
                    .iter()
                    .filter_map(|form| Some(at + form + length(&text[at + form..], rest.as_str(), is_cut)?));
                return longest.max();
            }
        }
    }
    Some(at)
}

/// Whether this may be the first part of a form of the character, the other lying behind the text's end.
fn may_go_on(left: &[u8], c: char) -> bool {
    // The longest are pairs of `\u` with some backslashes, and `%25F0%259F…`.
    const LONGEST: usize = 24;
    let mut utf8 = [0; 4];
    let is_begun = c.encode_utf8(&mut utf8).as_bytes().starts_with(left);
    is_begun
        || (left.len() < LONGEST && left.first().is_some_and(|first| b"%\\&".contains(first)) && !left.contains(&b' '))
}

/// How long a character is at the beginning of the text, in each form in which it may stand there.
fn forms(text: &[u8], c: char) -> Vec<usize> {
    let mut utf8 = [0; 4];
    let utf8 = c.encode_utf8(&mut utf8).as_bytes();
    let raw = (text.starts_with(utf8)).then_some(utf8.len());
    let rare = match text.first() {
        Some(b'%') => percent(text, utf8),
        Some(b'\\') => [escaped(text, c), None],
        Some(b'&') => [entity(text, c), None],
        Some(b'+') if c == ' ' => [Some(1), None],
        _ => [None, None],
    };
    raw.into_iter().chain(rare.into_iter().flatten()).collect()
}

/// `%2B`, and `%252B`, which is that encoded again.
fn percent(text: &[u8], utf8: &[u8]) -> [Option<usize>; 2] {
    [&b"%"[..], b"%25"].map(|sign| {
        let mut at = 0;
        for byte in utf8 {
            let digits = text.get(at..)?.strip_prefix(sign)?.get(..2)?;
            (hex(digits)? == u32::from(*byte)).then_some(())?;
            at += sign.len() + 2;
        }
        Some(at)
    })
}

/// `\/`, `\u002f`; with several backslashes where it is JSON within JSON.
fn escaped(text: &[u8], c: char) -> Option<usize> {
    let slashes = text.iter().take_while(|byte| **byte == b'\\').count();
    if c == '\\' {
        return (slashes > 1).then_some(2);
    }
    let rest = &text[slashes..];
    if matches!(c, '/' | '"' | '\'') && rest.first().is_some_and(|byte| u32::from(*byte) == u32::from(c)) {
        return Some(slashes + 1);
    }
    let mut units = [0; 2];
    let mut at = slashes;
    for (number, unit) in c.encode_utf16(&mut units).iter().enumerate() {
        let rest = text.get(at..)?;
        // Before the second half of a character the backslashes stand again.
        let skipped = if number == 0 { 0 } else { rest.iter().take_while(|byte| **byte == b'\\').count() };
        let digits = rest.get(skipped..)?.strip_prefix(b"u")?.get(..4)?;
        (hex(digits)? == u32::from(*unit)).then_some(())?;
        at += skipped + 5;
    }
    Some(at)
}

/// `&amp;`, `&#38;`, `&#x26;`.
fn entity(text: &[u8], c: char) -> Option<usize> {
    let end = text.iter().take(12).position(|byte| *byte == b';')?;
    let name = std::str::from_utf8(&text[1..end]).ok()?;
    let meant = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let number = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(number.ok()?)?
        }
    };
    (meant == c).then_some(end + 1)
}

fn hex(digits: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn in_text(text: &str, secrets: &[&str], is_cut: bool) -> String {
        let secrets: Vec<_> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        String::from_utf8_lossy(&hide(text.as_bytes().to_vec(), &secrets, is_cut)).into_owned()
    }

    fn of(text: &str, secrets: &[&str]) -> String {
        in_text(text, secrets, false)
    }

    #[test]
    fn a_secret_is_found_in_every_form() {
        let secret = "a/b+c=&d%é";
        for text in [
            "a/b+c=&d%é",
            "a%2Fb%2Bc%3D%26d%25%C3%A9",
            "a%2fb%2bc%3d%26d%25%c3%a9",
            "a/b%2Bc=%26d%25%C3%A9",
            r"a\/b+c=&d%é",
            r"a\u002fb\u002Bc\u003d\u0026d%\u00e9",
            r"a\\\/b+c=&d%é",
            r"\u0061\u002fb+c=&d\u0025\u00E9",
            "a%252Fb%252Bc%253D%2526d%2525%25C3%25A9",
            "a/b+c=&amp;d%&#233;",
            "a&#x2F;b+c=&#38;d%é",
        ] {
            assert_eq!(of(&format!("x={text}&y"), &[secret]), "x=HIDDEN&y", "{text}");
            assert_eq!(of(text, &[secret]), "HIDDEN", "{text}");
        }
        for other in ["a/b+c=&d%", "a%2Fb%2Bc%3D%26d%25%C3%A8", "A/b+c=&d%é"] {
            assert_eq!(of(other, &[secret]), other);
        }
    }

    #[test]
    fn percent_signs_spaces_and_backslashes() {
        assert_eq!(of("%25x %25%25x %x", &["%25x"]), "HIDDEN %25HIDDEN %x");
        assert_eq!(of("q=my+pass%20phrase", &["my pass phrase"]), "q=HIDDEN");
        assert_eq!(of(r#"{"a":"x\\y\"z"}"#, &[r#"x\y"z"#]), r#"{"a":"HIDDEN"}"#);
        assert_eq!(of("token-long token", &["token-long", "token"]), "HIDDEN HIDDEN");
        assert_eq!(of("nothing", &[]), "nothing");
    }

    #[test]
    fn a_secret_that_the_end_cuts_in_two_is_hidden_as_well() {
        let cut = |text: &str| in_text(text, &["s3cr/t-token"], true);
        for end in
            ["s3", "s3cr/t-toke", "s3cr%", "s3cr%2", "s3cr%252", r"s3cr\", r"s3cr\u00", "s3cr&#x2", "s3cr/t-token"]
        {
            assert_eq!(cut(&format!("no {end}")), "no HIDDEN", "{end}");
            assert_eq!(cut(&format!("{end} no")), format!("{} no", of(end, &["s3cr/t-token"])), "{end}");
        }
        assert_eq!(cut("nobody knows"), "nobody knowHIDDEN", "it may begin with this letter");
        assert_eq!(cut("nobody"), "nobody");
        // Half of a character.
        let half = hide([b"no ", &"\u{e9}t\u{e9}".as_bytes()[..4]].concat(), &["\u{e9}t\u{e9}".to_owned()], true);
        assert_eq!(half, b"no HIDDEN");
    }

    proptest! {
        #[test]
        fn a_cut_text_shows_no_half(before in "[x-z ]{0,6}", secret in "[a-f/+=]{4,12}", keep in 1usize..12) {
            let half: String = secret.chars().take(keep).collect();
            prop_assert_eq!(in_text(&format!("{before}{half}"), &[&secret], true), format!("{before}HIDDEN"));
        }

        #[test]
        fn texts_around_it_stay_as_they_are(before in "[x-z%\\\\&+ ]{0,6}", secret in "[a-f/+=%&\\\\]{4,12}", after in "[x-z]{0,6}") {
            let shown = of(&format!("{before}{secret}{after}"), &[&secret]);
            prop_assert!(!shown.contains(&secret) && shown.ends_with(&after), "{}", shown);
        }
    }
}
