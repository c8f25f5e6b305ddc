//! Where in a request a secret stands.

use reqwest::header::{AUTHORIZATION, COOKIE, HeaderName};

use super::secret::Secret;
use crate::error::{Error, Result};
use crate::source::rest::request::Request;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `Authorization: Basic …`, of what is encoded already.
    Basic,
    /// `Authorization: Bearer …`
    Bearer,
    Header(HeaderName),
    /// A parameter of the query.
    Query(String),
    /// Beside the cookies that the request has.
    Cookie(String),
}

impl Place {
    /// Adds the secret, in place of what stands there. Fails where it has characters that cannot stand there.
    pub fn put(&self, secret: &Secret, request: &mut Request) -> Result<()> {
        let (name, prefix) = match self {
            Place::Query(name) => {
                request.add_secret_query(name, secret.expose());
                return Ok(());
            }
            Place::Basic => (AUTHORIZATION, "Basic ".to_owned()),
            Place::Bearer => (AUTHORIZATION, "Bearer ".to_owned()),
            Place::Header(name) => (name.clone(), String::new()),
            Place::Cookie(name) => {
                let known = request.headers.get(COOKIE).and_then(|value| value.to_str().ok());
                (COOKIE, known.map(|known| format!("{known}; ")).unwrap_or_default() + name + "=")
            }
        };
        let value = secret.header(&prefix).ok_or_else(unfit)?;
        request.add_secret_header(name, value);
        Ok(())
    }

    /// The name by which it is known, in lower case.
    pub fn name(&self) -> String {
        match self {
            Place::Basic | Place::Bearer => AUTHORIZATION.as_str().to_owned(),
            Place::Header(name) => name.as_str().to_owned(),
            Place::Query(name) => name.to_lowercase(),
            Place::Cookie(_) => COOKIE.as_str().to_owned(),
        }
    }
}

fn unfit() -> Error {
    Error::denied("a credential has characters that cannot stand in a header")
        .hint("Look at it: a line's end or a letter that is not ASCII does not belong into it.")
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    #[test]
    fn each_stands_where_servers_look_for_it() {
        let secret = Secret::new("s3cret");
        let put = |place: Place| {
            let mut request = Request::get(Url::parse("https://api.example.com/v1").unwrap());
            request.headers.insert(COOKIE, "a=b".parse().unwrap());
            place.put(&secret, &mut request).unwrap();
            request
        };
        let header = |place: Place, name: &str| put(place).headers[name].to_str().unwrap().to_owned();
        assert_eq!(header(Place::Bearer, "authorization"), "Bearer s3cret");
        assert_eq!(header(Place::Header(HeaderName::from_static("x-key")), "x-key"), "s3cret");
        assert_eq!(header(Place::Cookie("sid".into()), "cookie"), "a=b; sid=s3cret");
        assert_eq!(put(Place::Query("Key".into())).full_url().query(), Some("Key=s3cret"));
    }

    #[test]
    fn what_cannot_stand_there_is_not_shown_either() {
        let mut request = Request::get(Url::parse("https://api.example.com/v1").unwrap());
        let error = Place::Bearer.put(&Secret::new("s3cret\n"), &mut request).unwrap_err();
        assert!(!error.to_string().contains("s3cret") && request.headers.is_empty());
    }
}
