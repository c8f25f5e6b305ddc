//! Which server a URL leads to, by a link that another one gave.

use url::{Origin, Url};

/// Takes a link from https to http for one to https, where it leads to the very host and port that it came from: a server behind a proxy
/// that ends TLS for it knows nothing of that, and writes its links so.
pub fn keep_https(to: &mut Url, from: &Url) {
    if (from.scheme(), to.scheme()) == ("https", "http") && to.host() == from.host() && to.port() == from.port() {
        let _ = to.set_scheme("https");
    }
}

/// The server, as the end of a sentence that says where something leads: scheme, host and port, which are no secrets.
pub fn shown(url: &Url) -> String {
    match url.origin() {
        origin @ Origin::Tuple(..) => format!(" ({})", origin.ascii_serialization()),
        Origin::Opaque(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn the_same_server_stays_one_of_https() {
        for (from, to, kept) in [
            ("https://a.example/x", "http://a.example/y?p=2", "https://a.example/y?p=2"),
            ("https://a.example/x", "http://a.example:80/y", "https://a.example/y"),
            ("https://a.example:8443/x", "http://a.example:8443/y", "https://a.example:8443/y"),
            ("https://a.example/x", "http://a.example:8080/y", "http://a.example:8080/y"),
            ("https://a.example/x", "http://a.example:443/y", "http://a.example:443/y"),
            ("https://a.example:8443/x", "http://a.example/y", "http://a.example/y"),
            ("https://a.example/x", "http://b.a.example/y", "http://b.a.example/y"),
            ("https://a.example/x", "ftp://a.example/y", "ftp://a.example/y"),
            ("http://a.example/x", "http://a.example/y", "http://a.example/y"),
        ] {
            let mut to = url(to);
            keep_https(&mut to, &url(from));
            assert_eq!(to.as_str(), kept, "from {from}");
        }
    }

    #[test]
    fn nothing_but_the_server_is_shown() {
        assert_eq!(shown(&url("http://u:p@a.example:81/path?q=s")), " (http://a.example:81)");
        assert_eq!(shown(&url("mailto:somebody@a.example")), "");
    }
}
