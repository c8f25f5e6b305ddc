//! The secrets of a source: those of its section, and what its requests have been signed with.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use percent_encoding::percent_decode_str;
use url::Url;

use super::signed::Signed;
use super::{SHORTEST, Secrets, is_secret_name};
use crate::config::Section;
use crate::source::rest::request::Request;

/// How many of requests are remembered. Each fetch of credentials brings one more.
const MOST: usize = 64;

/// What answers to any request may repeat. Whatever asks the source's server shares one of these: a token of one request may
/// come back in the answer to another, when it is no longer the current one.
#[derive(Default)]
pub struct Known {
    configured: Vec<String>,
    /// Of requests, the latest at the end.
    met: Mutex<VecDeque<String>>,
}

impl Known {
    /// Those of the section's secret keys.
    pub fn of(section: &Section) -> Self {
        let password = |text: &str| Some(Url::parse(text).ok()?.password()?.to_owned());
        let meant = |password: &String| percent_decode_str(password).decode_utf8_lossy().into_owned();
        let in_urls = section.secrets().filter_map(password).flat_map(|password| [meant(&password), password]);
        let of_grants =
            section.members("token_param.").filter(|(name, _)| is_secret_name(name)).map(|(_, value)| value);
        let all = section.secrets().chain(of_grants).map(str::to_owned).chain(in_urls);
        Self { configured: all.collect(), met: Mutex::default() }
    }

    /// What may come back in the answer to this request. What it was signed with is remembered.
    pub fn with(&self, request: &Request) -> Secrets {
        let Signed { lasting, passing } = Signed::of(request);
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        for text in lasting.into_iter().filter(|text| text.len() >= SHORTEST) {
            // One that is in use is not forgotten.
            met.retain(|known| *known != text);
            met.push_back(text);
        }
        while met.len() > MOST {
            met.pop_front();
        }
        Secrets::of(self.configured.iter().chain(met.iter()).cloned().chain(passing))
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};

    use super::*;
    use crate::source::rest::config;

    fn with_header(name: HeaderName, value: &str) -> Request {
        let mut request = Request::get(Url::parse("https://api.example.com/v1").unwrap());
        request.add_secret_header(name, HeaderValue::from_str(value).unwrap());
        request
    }

    const KEY: HeaderName = HeaderName::from_static("x-key");

    #[test]
    fn tokens_are_remembered_and_signatures_are_not() {
        let known = Known::default();
        known.with(&with_header(AUTHORIZATION, "AWS4-HMAC-SHA256 Credential=AKID/x, Signature=0123456789"));
        known.with(&with_header(KEY, "first"));
        let all = known.with(&with_header(KEY, "second"));
        assert_eq!(all.hidden("AKID 0123456789 first second"), "HIDDEN 0123456789 HIDDEN HIDDEN");
    }

    #[test]
    fn what_is_in_use_is_never_forgotten() {
        let known = Known::default();
        for page in 0..3 * MOST {
            let mut request = with_header(KEY, "in-use");
            request.query.push(("token".to_owned(), format!("the-token-of-page-{page:04}")));
            assert_eq!(known.with(&request).hidden("in-use"), "HIDDEN", "page {page}");
        }
        assert!(known.met.lock().unwrap().len() <= MOST);
    }

    #[test]
    fn secrets_of_the_section_count_whatever_is_asked() {
        let section = Section::of_kind(
            &config::KIND,
            &[
                ("password", "hunter2secret"),
                ("client_secret", "cl/secret"),
                ("proxy", "http://me:pr%40xy-pass@proxy.example.com:3128"),
                ("token_param.password", "gr4nt-pass"),
                ("token_param.audience", "everybody"),
                ("username", "reader"),
            ],
        );
        let plain = Request::get(Url::parse("https://api.example.com/v1").unwrap());
        let all = Known::of(&section.unwrap()).with(&plain);
        assert_eq!(
            all.hidden(r"hunter2secret cl\/secret pr@xy-pass pr%40xy-pass gr4nt-pass everybody reader"),
            "HIDDEN HIDDEN HIDDEN HIDDEN HIDDEN everybody reader"
        );
    }
}
