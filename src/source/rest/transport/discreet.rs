//! Says what went wrong with requests without their secrets.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Answer, Broken, Transport};
use crate::source::rest::request::Request;
use crate::source::rest::secrets::Known;

/// Around another transport, for whatever asks the source's server, credentials that are fetched too: the words of clients and
/// servers about a connection (a host that was redirected to, a certificate's name) are not held to our rules.
pub struct Discreet {
    inner: Arc<dyn Transport>,
    known: Arc<Known>,
}

impl Discreet {
    pub fn new(inner: Arc<dyn Transport>, known: Arc<Known>) -> Self {
        Self { inner, known }
    }
}

#[async_trait]
impl Transport for Discreet {
    async fn send(&self, request: &Request) -> Result<Answer, Broken> {
        let answer = self.inner.send(request).await;
        answer.map_err(|broken| Broken::new(broken.what, self.known.with(request).hidden(&broken.message)))
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::config::Section;
    use crate::source::rest::config;
    use crate::source::rest::transport::What;

    struct Talkative;

    #[async_trait]
    impl Transport for Talkative {
        async fn send(&self, request: &Request) -> Result<Answer, Broken> {
            let said = format!("not valid for `{}`, `hunter2secret`", request.query[0].1);
            Err(Broken::new(What::Untrusted, said))
        }
    }

    #[tokio::test]
    async fn what_went_wrong_has_no_secret() {
        let section = Section::of_kind(&config::KIND, &[("password", "hunter2secret")]).unwrap();
        let discreet = Discreet::new(Arc::new(Talkative), Arc::new(Known::of(&section)));
        let mut request = Request::get(Url::parse("https://api.example.com/v1").unwrap());
        request.add_secret_query("my_key", "t0ken");
        let broken = discreet.send(&request).await.unwrap_err();
        assert_eq!((broken.what, broken.message.as_str()), (What::Untrusted, "not valid for `HIDDEN`, `HIDDEN`"));
    }
}
