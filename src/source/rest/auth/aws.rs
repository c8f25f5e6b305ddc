//! Requests signed as Amazon's services want it: Signature Version 4.

use std::time::SystemTime;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use reqwest::header::{HeaderName, HeaderValue};

use super::aws_chain::Chain;
use super::renewed::Renewed;
use super::{Auth, Credential};
use crate::error::{Error, Result};
use crate::source::rest::request::Request;

const HEADERS: [&str; 2] = ["authorization", "x-amz-security-token"];

/// What a signature is for.
pub struct Scope {
    pub region: String,
    /// As the signature has it: `execute-api`, `es`.
    pub service: String,
}

pub struct Aws {
    pub scope: Scope,
    pub keys: Keys,
}

pub enum Keys {
    /// As the file of the pipeline has them.
    Given(Box<Credentials>),
    /// What the usual chain finds: environment, profile, SSO, web identity, container, instance.
    Found(Renewed<Chain>),
}

#[async_trait]
impl Auth for Aws {
    async fn sign(&self, request: &mut Request) -> Result<Credential> {
        let now = SystemTime::now();
        match &self.keys {
            Keys::Given(keys) => self.scope.sign(request, keys, now).map(|()| Credential::NONE),
            Keys::Found(found) => {
                let (keys, credential) = found.current().await?;
                self.scope.sign(request, &keys, now).map(|()| credential)
            }
        }
    }

    async fn refused(&self, credential: Credential) -> Result<bool> {
        match &self.keys {
            Keys::Given(_) => Ok(false),
            Keys::Found(found) => Ok(found.refused(credential).await),
        }
    }

    fn secret_names(&self) -> Vec<String> {
        HEADERS.map(str::to_owned).to_vec()
    }
}

impl Scope {
    /// Signs all of the request as it stands: nothing may be added to it afterwards that the server takes into account.
    fn sign(&self, request: &mut Request, keys: &Credentials, now: SystemTime) -> Result<()> {
        let unsignable = || Error::config("the request cannot be signed: its headers are not all text");
        let identity = keys.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(now)
            .settings(self.settings());
        let params = params.build().map_err(|e| Error::bug(format!("a signature lacks something: {e}")))?.into();
        let url = request.full_url();
        let headers: Vec<_> = request
            .headers
            .iter()
            .map(|(name, value)| Ok((name.as_str(), value.to_str().map_err(|_| unsignable())?)))
            .collect::<Result<_>>()?;
        let body = SignableBody::Bytes(request.body.as_deref().unwrap_or_default());
        let signable = SignableRequest::new(request.method.as_str(), url.as_str(), headers.into_iter(), body);
        let signed = signable.and_then(|signable| sign(signable, &params)).map_err(|_| unsignable())?;
        let (headers, _) = signed.into_parts().0.into_parts();
        for header in headers {
            let name = HeaderName::from_static(header.name());
            request.add_secret_header(name, HeaderValue::from_str(header.value()).map_err(|_| unsignable())?);
        }
        Ok(())
    }

    /// S3 is different from all others.
    fn settings(&self) -> SigningSettings {
        let mut settings = SigningSettings::default();
        if self.service == "s3" {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use url::Url;

    use super::*;

    /// 30 August 2015, 12:36: the time of all of Amazon's published test vectors.
    const THEN: Duration = Duration::from_secs(1_440_938_160);
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn signed(mut request: Request, token: Option<&str>) -> Request {
        let scope = Scope { region: "us-east-1".into(), service: "service".into() };
        let keys = Credentials::new("AKIDEXAMPLE", SECRET, token.map(str::to_owned), None, "test");
        scope.sign(&mut request, &keys, SystemTime::UNIX_EPOCH + THEN).unwrap();
        request
    }

    fn vanilla() -> Request {
        Request::get(Url::parse("https://example.amazonaws.com/").unwrap())
    }

    fn check(request: &Request, headers: &str, signature: &str) {
        let scope = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request";
        let wanted = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={headers}, Signature={signature}");
        assert_eq!(request.headers["authorization"].to_str().unwrap(), wanted);
        assert_eq!(request.headers["x-amz-date"].to_str().unwrap(), "20150830T123600Z");
        assert!(request.headers["authorization"].is_sensitive());
    }

    #[test]
    fn get_vanilla() {
        let signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        check(&signed(vanilla(), None), "host;x-amz-date", signature);
    }

    #[test]
    fn get_vanilla_query_order() {
        let mut request = vanilla();
        request.query = vec![("Param2".into(), "value2".into()), ("Param1".into(), "value1".into())];
        let signature = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500";
        check(&signed(request, None), "host;x-amz-date", signature);
    }

    #[test]
    fn get_vanilla_with_session_token() {
        let token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
        let request = signed(vanilla(), Some(token));
        let signature = "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8";
        check(&request, "host;x-amz-date;x-amz-security-token", signature);
        assert_eq!(request.headers["x-amz-security-token"].to_str().unwrap(), token);
    }

    #[test]
    fn post_x_www_form_urlencoded() {
        let post = Request::post(vanilla().url, "application/x-www-form-urlencoded", "Param1=value1");
        let signature = "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a";
        check(&signed(post, None), "content-type;host;x-amz-date", signature);
    }

    #[test]
    fn post_x_www_form_urlencoded_with_its_digest() {
        let mut post = Request::post(vanilla().url, "application/x-www-form-urlencoded", "Param1=value1");
        post.headers.insert("content-length", HeaderValue::from_static("13"));
        let digest = "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e";
        post.headers.insert("x-amz-content-sha256", HeaderValue::from_static(digest));
        let signature = "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b";
        check(&signed(post, None), "content-length;content-type;host;x-amz-content-sha256;x-amz-date", signature);
    }

    #[test]
    fn nothing_of_the_secret_is_shown() {
        let request = signed(vanilla(), Some("s3ssion"));
        let shown = format!("{request:?} {:?}", request.headers);
        assert!(!shown.contains(SECRET) && !shown.contains("s3ssion") && !shown.contains("Signature="), "{shown}");
    }
}
