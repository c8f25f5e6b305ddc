//! Which proxy a request goes through, for messages: the client finds it by itself, and does not say.

use std::net::IpAddr;

use url::Url;

/// The proxies that the client has been given, or takes from the environment; none by default.
#[derive(Debug, Default)]
pub struct Proxies {
    /// Host and port, of servers without TLS and with it.
    http: Option<String>,
    https: Option<String>,
    /// Entries of `NO_PROXY`, in lower case.
    without: Vec<String>,
}

impl Proxies {
    /// The one of the key `proxy`. `env` is the environment.
    pub fn of_key(url: &str, env: impl Fn(&str) -> Option<String>) -> Self {
        Self { http: server(url), https: server(url), without: without(env) }
    }

    pub fn of_environment(env: impl Fn(&str) -> Option<String>) -> Self {
        let proxy = |name: &str| variable(&env, name).and_then(|url| server(&url));
        let (http, https) = (proxy("HTTP_PROXY"), proxy("HTTPS_PROXY"));
        Self {
            http: http.or_else(|| proxy("ALL_PROXY")),
            https: https.or_else(|| proxy("ALL_PROXY")),
            without: without(env),
        }
    }

    /// The way to a URL's server: `api.example.com:443 through the proxy 10.0.0.1:3128`, without credentials.
    pub fn way(&self, url: &Url) -> String {
        let to = place(url).unwrap_or_default();
        let proxy = if url.scheme() == "https" { &self.https } else { &self.http };
        match proxy.as_ref().filter(|_| !self.is_without(url)) {
            Some(proxy) => format!("{to} through the proxy {proxy}"),
            None => to,
        }
    }

    fn is_without(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            // Whether it is in a network is not looked at: better no proxy is named than a wrong one.
            Ok(ip) => self
                .without
                .iter()
                .any(|entry| entry.contains('/') || entry.parse::<IpAddr>().is_ok_and(|known| known == ip)),
            Err(_) => self.without.iter().any(|entry| {
                let before = host.strip_suffix(entry.trim_start_matches('.'));
                entry == "*" || before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
            }),
        }
    }
}

fn without(env: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let entries = variable(env, "NO_PROXY").unwrap_or_default().to_lowercase();
    entries.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

/// In capitals, or else in small letters.
fn variable(env: impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    env(name).or_else(|| env(&name.to_lowercase()))
}

/// Host and port of a proxy, whose scheme may be left out.
fn server(text: &str) -> Option<String> {
    let is_whole = text.contains("://");
    let url = if is_whole { Url::parse(text) } else { Url::parse(&format!("http://{text}")) };
    place(&url.ok()?)
}

/// Host and port.
fn place(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(variables: &[(&str, &str)], url: &str) -> String {
        let env = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Proxies::of_environment(env).way(&Url::parse(url).unwrap())
    }

    #[test]
    fn the_environment_says_which_proxy_it_is() {
        let all = [("HTTPS_PROXY", "http://user:s3cret@one.example:3128/"), ("all_proxy", "two.example:8080")];
        assert_eq!(way(&all, "https://a.example/x?k=v"), "a.example:443 through the proxy one.example:3128");
        assert_eq!(way(&all, "http://a.example:81/x"), "a.example:81 through the proxy two.example:8080");
        assert_eq!(way(&[], "http://[::1]:81/x"), "[::1]:81");
    }

    #[test]
    fn who_is_reached_without_one_has_none() {
        for (entries, url, is_without) in [
            ("a.example", "http://a.example", true),
            (".A.example, b", "http://x.a.example", true),
            ("a.example", "http://xa.example", false),
            ("*", "http://a.example", true),
            ("10.0.0.1", "http://10.0.0.1", true),
            ("10.0.0.1", "http://10.0.0.2", false),
            ("10.0.0.0/8", "http://10.0.0.2", true),
            ("10.0.0.0/8", "http://a.example", false),
        ] {
            let way = way(&[("ALL_PROXY", "http://p.example"), ("no_proxy", entries)], url);
            assert_eq!(way.contains("p.example:80"), !is_without, "{entries}: {way}");
        }
    }

    #[test]
    fn the_key_stands_before_the_environment() {
        let env = |name: &str| (name == "HTTP_PROXY").then(|| "http://other.example".to_owned());
        let proxies = Proxies::of_key("http://user:s3cret@one.example", env);
        let way = proxies.way(&Url::parse("http://a.example").unwrap());
        assert_eq!(way, "a.example:80 through the proxy one.example:80");
    }
}
