//! Links that are permissions themselves, such as those of files in a store: whoever knows one gets the file. Their queries are as secret
//! as what [`Auth`](super::auth::Auth) adds.

use url::Url;

use super::secrets::HIDDEN;

/// What a request has to do with such links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignedLink {
    #[default]
    None,
    /// Its answer may tell one: queries in it are not kept.
    Told,
    /// It follows one: neither its query is kept nor its path shown.
    Followed,
}

/// Of a link that is a permission, what makes it one: the longer values of its query, as they are written and as they are meant.
pub fn permissions(link: &Url) -> Vec<String> {
    let written = link.query().unwrap_or_default().split(['&', '=']).map(str::to_owned);
    let meant = link.query_pairs().map(|(_, value)| value.into_owned());
    // Dates and words are in the file too, where nobody wants them hidden.
    written.chain(meant).filter(|value| value.len() >= 12).collect()
}

/// A text, JSON as a rule, without whatever follows a question mark in the same string. It may be cut off anywhere: what begins in it
/// and does not end is hidden to its end.
pub fn without_queries(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('?') {
        let (before, query) = rest.split_at(at + 1);
        out.push_str(before);
        out.push_str(HIDDEN);
        rest = &query[end(query)..];
    }
    out + rest
}

/// Where a query ends. What a backslash stands before is of the query: `\u0026`, `\/`, `\"`.
fn end(query: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in query.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' | '<' | '>' => return at,
            _ if c.is_whitespace() => return at,
            _ => {}
        }
    }
    query.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_hidden_however_they_are_written() {
        for (text, wanted) in [
            (r#"{"url":"https://a/b?sig=x&e=1","n":1}"#, r#"{"url":"https://a/b?HIDDEN","n":1}"#),
            (r#"{"url":"https:\/\/a\/b?e=1\u0026sig=\"x","n":1}"#, r#"{"url":"https:\/\/a\/b?HIDDEN","n":1}"#),
            (r#"["/b?sig=x?y","c?"]"#, r#"["/b?HIDDEN","c?HIDDEN"]"#),
            (r#"{"url":"https://a/b?sig=x"#, r#"{"url":"https://a/b?HIDDEN"#),
            (r#"{"url":"https://a/b?sig=x\"#, r#"{"url":"https://a/b?HIDDEN"#),
            ("<Url>https://a/b?sig=x</Url>", "<Url>https://a/b?HIDDEN</Url>"),
            (r#"{"status":"DONE"}"#, r#"{"status":"DONE"}"#),
        ] {
            assert_eq!(without_queries(text), wanted);
        }
    }

    #[test]
    fn what_is_left_of_an_answer_is_still_json() {
        let told =
            serde_json::json!({ "url": "https://a/b?a=\"\\&b=\n", "rows": 3, "more": ["x?y", null] }).to_string();
        let kept: serde_json::Value = serde_json::from_str(&without_queries(&told)).unwrap();
        assert_eq!((kept["url"].as_str(), kept["rows"].as_u64()), (Some("https://a/b?HIDDEN"), Some(3)));
    }
}
