//! Next links: followed on the server that they came from, and kept without the secrets that are in them.

use reqwest::header::{HeaderMap, LINK};
use url::Url;

use super::Place;
use crate::error::{Error, Result};
use crate::source::rest::origin;
use crate::source::rest::request::Request;
use crate::source::rest::secrets::{Secrets, is_secret_name};

/// The place that a link leads to, by the page that it stood in, without its secrets: parameters of these names, of those that are secret wherever they are, and with a long value that is one of these. Refuses one that leads to
/// another server.
pub fn place(link: &str, from: &Url, (secret_names, secrets): (&[String], &Secrets)) -> Result<Place> {
    let hint =
        "A next link is followed on the server that it came from only, since what signs requests is for that one.";
    let mut to = from.join(link).map_err(|_| Error::data("the next link is no URL"))?;
    origin::keep_https(&mut to, from);
    if to.origin() != from.origin() {
        let message = format!("the next link leads to another server{}", origin::shown(&to));
        return Err(Error::data(message).hint(hint));
    }
    let mut text = to.path().to_owned();
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let mut is_empty = true;
    let is_named = |name: &str| is_secret_name(name) || secret_names.iter().any(|of| name.eq_ignore_ascii_case(of));
    for (name, value) in to.query_pairs().filter(|(name, value)| !is_named(name) && !secrets.has_long(value)) {
        query.append_pair(&name, &value);
        is_empty = false;
    }
    if !is_empty {
        text.push('?');
        text.push_str(&query.finish());
    }
    Ok(Place::Link(text))
}

/// Has a request follow a link that was kept.
pub fn apply(link: &str, request: &mut Request) -> Result<()> {
    let to = request.url.join(link).map_err(|_| Error::bug("a place's link is no URL"))?;
    let pairs =
        |(name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| (name.into_owned(), value.into_owned());
    request.query = to.query_pairs().map(pairs).collect();
    request.url = to;
    request.url.set_query(None);
    Ok(())
}

/// The link with `rel="next"` of the Link headers (RFC 8288).
pub fn of_headers(headers: &HeaderMap) -> Option<String> {
    headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok()).find_map(next_of)
}

fn next_of(header: &str) -> Option<String> {
    let mut rest = header;
    while let Some(begin) = rest.find('<') {
        let end = begin + rest[begin..].find('>')?;
        let target = &rest[begin + 1..end];
        let (parameters, after) = parameters(&rest[end + 1..]);
        if parameters
            .iter()
            .any(|(name, value)| name == "rel" && value.split_whitespace().any(|rel| rel.eq_ignore_ascii_case("next")))
        {
            return Some(target.to_owned());
        }
        rest = after;
    }
    None
}

/// The parameters behind a target, and what follows them: the comma that ends them may stand in quotes too.
fn parameters(text: &str) -> (Vec<(String, String)>, &str) {
    let (mut pieces, mut begin, mut is_quoted, mut end) = (Vec::new(), 0, false, text.len());
    for (at, c) in text.char_indices() {
        match c {
            '"' => is_quoted = !is_quoted,
            ';' if !is_quoted => {
                pieces.push(&text[begin..at]);
                begin = at + 1;
            }
            ',' if !is_quoted => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    pieces.push(&text[begin.min(end)..end]);
    let pair = |piece: &str| {
        let (name, value) = piece.split_once('=')?;
        Some((name.trim().to_ascii_lowercase(), value.trim().trim_matches('"').to_owned()))
    };
    (pieces.into_iter().filter_map(pair).collect(), &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn of(link: &str, from: &Url, names: &[String]) -> Result<Place> {
        let secrets = Secrets::of(["a-token-of-ours/1234", "year"].map(str::to_owned));
        place(link, from, (names, &secrets))
    }

    #[test]
    fn links_are_kept_without_their_tokens_and_followed_again() {
        let from = url("https://api.example.com/v1/ads?limit=10");
        let link = "https://api.example.com/v1/ads?access_token=HUSH&limit=10&after=Qf%2Fx%3D&Token=HUSH";
        let Place::Link(kept) = of(link, &from, &[]).unwrap() else { panic!("another place") };
        assert_eq!(kept, "/v1/ads?limit=10&after=Qf%2Fx%3D");
        let mut request = Request::get(url("https://api.example.com/v1/ads"));
        apply(&kept, &mut request).unwrap();
        assert_eq!(request.full_url().as_str(), "https://api.example.com/v1/ads?limit=10&after=Qf%2Fx%3D");
        let relative = of("?after=2&My_Sig=HUSH", &from, &["my_sig".to_owned()]).unwrap();
        assert_eq!(relative, Place::Link("/v1/ads?after=2".to_owned()));
        let by_value = of("?after=2&by=year&as=a-token-of-ours%2F1234", &from, &[]).unwrap();
        assert_eq!(by_value, Place::Link("/v1/ads?after=2&by=year".to_owned()));
    }

    #[test]
    fn links_to_other_servers_are_refused() {
        let from = url("https://api.example.com/v1/ads");
        for link in [
            "https://evil.example.net/v1/ads?k=HUSH",
            "http://api.example.com:81/v1/ads",
            "https://api.example.com:444/x",
        ] {
            let error = of(link, &from, &[]).unwrap_err();
            let (server, _) = link.split_at(link.rfind(".com").or(link.rfind(".net")).unwrap() + 4);
            assert!(error.message().contains("another server") && error.message().contains(server), "{error}");
            assert!(!error.to_string().contains("/v1") && !error.to_string().contains("HUSH"), "{error}");
        }
        // A server behind a proxy writes its links so.
        let kept = of("http://api.example.com/v1/ads?after=2", &from, &[]).unwrap();
        assert_eq!(kept, Place::Link("/v1/ads?after=2".to_owned()));
        assert!(of("https://[", &from, &[]).is_err());
    }

    #[test]
    fn the_next_of_several_links_is_found() {
        let header = r#"<https://a/x?p=1>; rel="prev", <https://a/x?p=3>; title="a, b; c"; rel="last next", <https://a/x>; rel=first"#;
        assert_eq!(next_of(header).as_deref(), Some("https://a/x?p=3"));
        assert_eq!(next_of(r#"</x?p=2>;REL=NEXT"#).as_deref(), Some("/x?p=2"));
        assert_eq!(next_of(r#"<a>; rel="nextish""#), None);
        assert_eq!(next_of("nonsense <"), None);
    }
}
