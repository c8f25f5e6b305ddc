//! The request for a report's file.

use reqwest::header::{ACCEPT, HeaderValue};
use url::Url;

use crate::source::rest::endpoint::Endpoint;
use crate::source::rest::origin;
use crate::source::rest::request::Request;
use crate::source::rest::signed_link::SignedLink;

/// By the path that the section has for it.
pub fn at_path(endpoint: &Endpoint, path: &str) -> Result<Request, &'static str> {
    let request = endpoint.beside(path).map_err(|_| "the id makes no path of a URL")?;
    Ok(accepting(request))
}

/// By the link that an answer has, `from` where that was asked for. A link to the same server is asked for as all else there; one to
/// another server is the permission itself, and goes out as it is written, with nothing of ours.
pub fn at_link(endpoint: &Endpoint, link: &str, from: &Url) -> Result<Request, &'static str> {
    let mut url = from.join(link).map_err(|_| "its file's URL is none")?;
    origin::keep_https(&mut url, from);
    match (from.scheme(), url.scheme()) {
        ("https", "https") | ("http", "http" | "https") => {}
        ("https", "http") => return Err("its file's URL leads from https to http"),
        _ => return Err("its file's URL is not one of HTTP"),
    }
    // The client would make a header of them.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_fragment(None);
    let mut request = match endpoint.is_of_server(&url) {
        true => endpoint.beside(url.as_str()).map_err(|_| "its file's URL is none")?,
        false => Request::get(url),
    };
    request.link = SignedLink::Followed;
    Ok(accepting(request))
}

/// It is a file, and not an answer of the API.
fn accepting(mut request: Request) -> Request {
    request.headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    request
}
