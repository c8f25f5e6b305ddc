//! Google's application default credentials: which there are, and how each becomes a token.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::SignatureScheme;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::Deserialize;
use serde_json::json;

use super::settings::Credentials;
use crate::config::Section;
use crate::error::{Error, Result};

/// What the tokens may be used for.
const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_write";
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
const METADATA_HOST: &str = "metadata.google.internal";

/// Whose tokens they are. Holds secrets: not to be shown.
pub enum Source {
    ServiceAccount(ServiceAccount),
    User(User),
    /// The service account of the machine, container or workload.
    Machine {
        host: String,
    },
}

/// A service account's key, as the console gives it out.
#[derive(Deserialize)]
pub struct ServiceAccount {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
    #[serde(default = "token_url")]
    token_uri: String,
}

/// A user's consent, as `gcloud auth application-default login` writes it.
#[derive(Deserialize)]
pub struct User {
    client_id: String,
    client_secret: String,
    refresh_token: String,
    #[serde(default = "token_url")]
    token_uri: String,
}

fn token_url() -> String {
    TOKEN_URL.to_owned()
}

/// How a token is asked for.
pub struct Ask {
    pub url: String,
    /// A form to post; where there is none, a GET with the header that machines' metadata servers want.
    pub form: Option<Vec<(&'static str, String)>>,
}

/// Finds the credentials; `None` where none are to be used. Reads files, and asks nobody.
pub fn find(credentials: &Credentials) -> Result<Option<Source>> {
    match credentials {
        Credentials::None => Ok(None),
        Credentials::File(file) => read(file).map(Some),
        Credentials::Default => match default_file() {
            Some(file) => read(&file).map(Some),
            None => {
                let host = std::env::var("GCE_METADATA_HOST").ok().filter(|host| !host.is_empty());
                Ok(Some(Source::Machine { host: host.unwrap_or_else(|| METADATA_HOST.to_owned()) }))
            }
        },
    }
}

/// Reads the file that the section names, if it does.
pub fn check(section: &Section, credentials: &Credentials) -> Result<()> {
    let Credentials::File(file) = credentials else { return Ok(()) };
    let Err(wrong) = read(file) else { return Ok(()) };
    let error = section.error("credentials_file", format!("cannot be used: {}", wrong.message()));
    Err(match wrong.advice() {
        Some(advice) => error.hint(advice),
        None => error,
    })
}

/// The file that Google's tools would take.
fn default_file() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("GOOGLE_APPLICATION_CREDENTIALS").filter(|name| !name.is_empty()) {
        return Some(named.into());
    }
    let folder = match std::env::var_os("CLOUDSDK_CONFIG").filter(|name| !name.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => std::env::home_dir()?.join(".config/gcloud"),
    };
    Some(folder.join("application_default_credentials.json")).filter(|file| file.is_file())
}

fn read(file: &Path) -> Result<Source> {
    #[derive(Deserialize)]
    struct Typed {
        r#type: String,
    }
    let shown = file.display();
    let text = std::fs::read(file).map_err(|e| Error::config(format!("{shown}: cannot be read: {e}")))?;
    // Serde's own words could quote the file.
    let wrong = |_| Error::config(format!("{shown}: is no JSON file of Google credentials, or is incomplete"));
    let Typed { r#type } = serde_json::from_slice(&text).map_err(wrong)?;
    match r#type.as_str() {
        "service_account" => Ok(Source::ServiceAccount(serde_json::from_slice(&text).map_err(wrong)?)),
        "authorized_user" => Ok(Source::User(serde_json::from_slice(&text).map_err(wrong)?)),
        other => Err(Error::config(format!("{shown}: credentials of type {other} are not understood here")).hint(
            "Use a service account's key, `gcloud auth application-default login`, or a machine's own service account.",
        )),
    }
}

impl Source {
    pub fn ask(&self) -> Result<Ask> {
        match self {
            Source::ServiceAccount(account) => Ok(Ask {
                url: account.token_uri.clone(),
                form: Some(vec![
                    ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned()),
                    ("assertion", account.assertion(SystemTime::now())?),
                ]),
            }),
            Source::User(user) => Ok(Ask {
                url: user.token_uri.clone(),
                form: Some(vec![
                    ("grant_type", "refresh_token".to_owned()),
                    ("client_id", user.client_id.clone()),
                    ("client_secret", user.client_secret.clone()),
                    ("refresh_token", user.refresh_token.clone()),
                ]),
            }),
            Source::Machine { host } => {
                let path = "computeMetadata/v1/instance/service-accounts/default/token";
                Ok(Ask { url: format!("http://{host}/{path}?scopes={SCOPE}"), form: None })
            }
        }
    }

    /// For messages.
    pub fn describe(&self) -> String {
        match self {
            Source::ServiceAccount(account) => format!("service account {}", account.client_email),
            Source::User(_) => "the user's credentials".to_owned(),
            Source::Machine { host } => format!("the machine's service account (asked of {host})"),
        }
    }
}

impl ServiceAccount {
    /// A signed claim to be that account (RFC 7523), good for an hour.
    fn assertion(&self, now: SystemTime) -> Result<String> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.private_key_id});
        let claims = json!({
            "iss": self.client_email,
            "scope": SCOPE,
            "aud": self.token_uri,
            "iat": now,
            "exp": now + 3600,
        });
        let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = self.sign(message.as_bytes())?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        // What is wrong with a key is not told in detail: it is a secret.
        let wrong = || Error::config(format!("the private key of service account {} is not valid", self.client_email));
        let key = PrivatePkcs8KeyDer::from_pem_slice(self.private_key.as_bytes()).map_err(|_| wrong())?;
        let key = rustls::crypto::ring::sign::any_supported_type(&PrivateKeyDer::Pkcs8(key)).map_err(|_| wrong())?;
        let signer = key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).ok_or_else(wrong)?;
        signer.sign(message).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/gcs-service-account.json");
    /// The same claims as `openssl dgst -sha256 -sign` signs them.
    const SIGNED: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/gcs-service-account.jwt"));

    #[test]
    fn a_service_account_signs_as_openssl_does() {
        let Ok(Some(Source::ServiceAccount(account))) = find(&Credentials::File(FILE.into())) else { panic!() };
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(account.assertion(now).unwrap(), SIGNED.trim_end());
    }

    #[test]
    fn a_machine_is_asked_for_the_scope() {
        let ask = Source::Machine { host: "h:1".to_owned() }.ask().unwrap();
        let path = "computeMetadata/v1/instance/service-accounts/default/token";
        assert_eq!(ask.url, format!("http://h:1/{path}?scopes={SCOPE}"));
        assert!(ask.form.is_none());
    }

    #[test]
    fn a_file_that_does_not_do_is_named_and_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("k.json");
        for text in
            ["", "{\"type\":\"service_account\",\"private_key\":\"hush\"}", "hush", "{\"type\":\"external_account\"}"]
        {
            std::fs::write(&file, text).unwrap();
            let message = find(&Credentials::File(file.clone())).err().expect("an error").to_string();
            assert!(message.contains("k.json") && !message.contains("hush"), "{message}");
        }
        std::fs::remove_file(&file).unwrap();
        assert!(find(&Credentials::File(file)).is_err());
        let broken = ServiceAccount {
            client_email: "a@b".to_owned(),
            private_key: "-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----\n".to_owned(),
            private_key_id: None,
            token_uri: token_url(),
        };
        let message = Source::ServiceAccount(broken).ask().err().expect("an error").to_string();
        assert!(message.contains("a@b") && !message.contains("hush"), "{message}");
    }
}
