//! From the keys to what signs requests.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use reqwest::header::HeaderName;
use url::Url;

use super::Auth;
use super::aws::{Aws, Keys, Scope};
use super::aws_chain::Chain;
use super::bound::Bound;
use super::client_credentials::ClientCredentials;
use super::fixed::{Fixed, Nobody, basic};
use super::issuer::Issuer;
use super::keys::KEYS;
use super::login::{How, Login, Token};
use super::place::Place;
use super::refresh_token::RefreshToken;
use super::renewed::Renewed;
use super::secret::Secret;
use super::token_endpoint::TokenEndpoint;
use super::token_store::TokenStore;
use super::tokens::Tokens;
use crate::config::Section;
use crate::error::Result;
use crate::source::rest::body::Path;
use crate::source::rest::transport::Transport;

/// The keys that each kind takes, beside `auth`.
const TAKES: &[(&str, &[&str])] = &[
    ("none", &[]),
    ("header", &["auth_name", "token"]),
    ("query", &["auth_name", "token"]),
    ("basic", &["username", "password"]),
    ("bearer", &["token"]),
    ("oauth2_client_credentials", &["token_url", "client_id", "client_secret", "client_auth", "scope", "token_param."]),
    (
        "oauth2_refresh_token",
        &[
            "token_url",
            "client_id",
            "client_secret",
            "client_auth",
            "scope",
            "token_param.",
            "refresh_token",
            "token_store",
        ],
    ),
    ("aws_sigv4", &["region", "service", "access_key", "secret_key", "session_token", "profile"]),
    (
        "login",
        &[
            "login_path",
            "login_send",
            "username",
            "password",
            "username_field",
            "password_field",
            "token_path",
            "token_header",
            "token_cookie",
            "token_as",
            "auth_name",
            "token_lifetime",
        ],
    ),
];

/// What signs the requests to the server of `base_url`, from [`KEYS`]. `transport` is what tokens are fetched over; whoever
/// gives them out may ask to wait for `longest_wait`. Reads no file and connects to nothing.
pub fn of(
    section: &Section,
    base_url: &Url,
    transport: Arc<dyn Transport>,
    longest_wait: Duration,
) -> Result<Arc<dyn Auth>> {
    let kind = section.text("auth")?;
    let reader = Reader { section, kind, longest_wait };
    reader.refuse_others()?;
    let inner: Box<dyn Auth> = match kind {
        "header" => {
            Box::new(Fixed { place: Place::Header(reader.header("auth_name")?), secret: reader.secret("token")? })
        }
        "query" => Box::new(Fixed { place: Place::Query(reader.need("auth_name")?), secret: reader.secret("token")? }),
        "bearer" => Box::new(Fixed { place: Place::Bearer, secret: reader.secret("token")? }),
        "basic" => {
            let secret = basic(&reader.need("username")?, section.get("password").unwrap_or_default());
            Box::new(Fixed { place: Place::Basic, secret })
        }
        "oauth2_client_credentials" => {
            reader.need("client_secret")?;
            let hint =
                "Look at `client_id` and `client_secret`, and whether the client may ask for tokens in this way.";
            let endpoint = reader.endpoint(hint, transport)?;
            Box::new(Tokens { tokens: Renewed::new(ClientCredentials { endpoint }), place: Place::Bearer })
        }
        "oauth2_refresh_token" => {
            Box::new(Tokens { tokens: Renewed::new(reader.refresh(transport)?), place: Place::Bearer })
        }
        "aws_sigv4" => Box::new(reader.aws()?),
        "login" => reader.login(base_url, transport)?,
        _ => Box::new(Nobody),
    };
    Ok(Arc::new(Bound { origin: base_url.origin(), inner }))
}

struct Reader<'s> {
    section: &'s Section,
    kind: &'s str,
    longest_wait: Duration,
}

impl Reader<'_> {
    /// A key that is not used is a mistake: most often `auth` itself is the one that is missing.
    fn refuse_others(&self) -> Result<()> {
        let takes = TAKES.iter().find(|(kind, _)| *kind == self.kind).map_or(&[][..], |(_, keys)| keys);
        for key in KEYS.iter().filter(|key| key.name != "auth" && !takes.contains(&key.name)) {
            let member = key.family.then(|| self.section.members(key.name).next()).flatten();
            let name = member.map_or(key.name.to_owned(), |(member, _)| format!("{}{member}", key.name));
            if member.is_some() || self.section.is_set(key.name) {
                let takers: Vec<_> = TAKES
                    .iter()
                    .filter(|(_, keys)| keys.contains(&key.name))
                    .map(|(kind, _)| format!("`{kind}`"))
                    .collect();
                let (kind, takers) = (self.kind, takers.join(", "));
                return Err(self.section.error(&name, format!("is not used with `auth = {kind}`, but with {takers}")));
            }
        }
        Ok(())
    }

    fn need(&self, key: &str) -> Result<String> {
        match self.section.get(key) {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            Some(_) => Err(self.section.error(key, format!("must not be empty: `auth = {}` needs it", self.kind))),
            None => Err(self.section.error(key, format!("is missing: `auth = {}` needs it", self.kind))),
        }
    }

    fn secret(&self, key: &str) -> Result<Secret> {
        let secret = Secret::new(self.need(key)?);
        match secret.header("") {
            Some(_) => Ok(secret),
            None => Err(self.section.error(key, "must have neither line ends nor other control characters in it")),
        }
    }

    fn header(&self, key: &str) -> Result<HeaderName> {
        let name = HeaderName::try_from(self.need(key)?);
        name.map_err(|_| self.section.error(key, "must be the name of a header"))
    }

    fn url(&self, key: &str, text: &str) -> Result<Url> {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        url.ok_or_else(|| self.section.error(key, "must be a URL that begins with http or https"))
    }

    fn endpoint(&self, grant_hint: &'static str, transport: Arc<dyn Transport>) -> Result<TokenEndpoint> {
        let section = self.section;
        let mut form: Vec<_> =
            section.get("scope").map(|scope| ("scope".to_owned(), scope.to_owned())).into_iter().collect();
        form.extend(section.members("token_param.").map(|(name, value)| (name.to_owned(), value.to_owned())));
        Ok(TokenEndpoint {
            url: self.url("token_url", &self.need("token_url")?)?,
            client_id: self.need("client_id")?,
            client_secret: section.get("client_secret").map(Secret::new),
            basic: section.get("client_auth") == Some("basic"),
            form,
            grant_hint,
            issuer: Issuer { transport, longest_wait: self.longest_wait },
        })
    }

    fn refresh(&self, transport: Arc<dyn Transport>) -> Result<RefreshToken> {
        let hint = "The refresh token has ended, was withdrawn, or was used by somebody else: log in again, and set the new \
                    `refresh_token`.";
        let endpoint = self.endpoint(hint, transport)?;
        let configured = Secret::new(self.need("refresh_token")?);
        self.need("token_store")?;
        let path = self.section.path("token_store").unwrap_or_default();
        let store = TokenStore::new(path, endpoint.url.as_str(), &endpoint.client_id, &configured);
        Ok(RefreshToken { endpoint, configured, store })
    }

    fn aws(&self) -> Result<Aws> {
        let section = self.section;
        let scope = Scope { region: self.need("region")?, service: self.need("service")? };
        let keys = match (section.get("access_key"), section.get("secret_key")) {
            (Some(access), Some(secret)) => {
                if section.is_set("profile") {
                    return Err(section.error("profile", "is not used beside `access_key`"));
                }
                let token = section.get("session_token").map(str::to_owned);
                Keys::Given(Box::new(Credentials::new(access, secret, token, None, "pipeline.conf")))
            }
            (None, None) if section.is_set("session_token") => {
                return Err(section.error("session_token", "needs `access_key` and `secret_key` too"));
            }
            (None, None) => Keys::Found(Renewed::new(Chain::new(section.get("profile").map(str::to_owned)))),
            (Some(_), None) => return Err(section.error("access_key", "needs `secret_key` too")),
            (None, Some(_)) => return Err(section.error("secret_key", "needs `access_key` too")),
        };
        Ok(Aws { scope, keys })
    }

    fn login(&self, base_url: &Url, transport: Arc<dyn Transport>) -> Result<Box<dyn Auth>> {
        let section = self.section;
        let token = self.login_token()?;
        let place = self.login_place(&token)?;
        let login = Login {
            url: self.login_url(base_url)?,
            how: match section.get("login_send") {
                Some("form") => How::Form,
                Some("basic_post") => How::BasicPost,
                Some("basic_get") => How::BasicGet,
                Some("query") => How::Query,
                _ => How::Json,
            },
            username: self.need("username")?,
            password: Secret::new(self.need("password")?),
            fields: (self.need("username_field")?, self.need("password_field")?),
            token,
            lasts: section.is_set("token_lifetime").then(|| section.duration("token_lifetime")).transpose()?,
            issuer: Issuer { transport, longest_wait: self.longest_wait },
        };
        Ok(Box::new(Tokens { tokens: Renewed::new(login), place }))
    }

    fn login_url(&self, base_url: &Url) -> Result<Url> {
        let path = self.need("login_path")?;
        match path.contains("://") {
            true => self.url("login_path", &path),
            false => {
                let base = format!("{}/", base_url.path().trim_end_matches('/'));
                let mut below = base_url.clone();
                below.set_path(&base);
                let joined = below.join(path.trim_start_matches('/'));
                joined.map_err(|_| self.section.error("login_path", "must be a path below `base_url`, or a URL"))
            }
        }
    }

    fn login_token(&self) -> Result<Token> {
        let set: Vec<_> =
            ["token_path", "token_header", "token_cookie"].into_iter().filter(|key| self.section.is_set(key)).collect();
        match set[..] {
            ["token_path"] => {
                let path = self.need("token_path")?;
                Path::one(&path).map(Token::Body).map_err(|problem| self.section.error("token_path", problem))
            }
            ["token_header"] => Ok(Token::Header(self.header("token_header")?)),
            [_] => Ok(Token::Cookie(self.need("token_cookie")?)),
            [] => Err(self
                .section
                .error("token_path", "is missing: `auth = login` needs it, or `token_header` or `token_cookie`")),
            [_, other, ..] => Err(self.section.error(
                other,
                "is one too many: only one of `token_path`, `token_header` and `token_cookie` says where the token is",
            )),
        }
    }

    fn login_place(&self, token: &Token) -> Result<Place> {
        let section = self.section;
        match (section.get("token_as"), token) {
            (Some("header"), _) => Ok(Place::Header(self.header("auth_name")?)),
            (Some("query"), _) => Ok(Place::Query(self.need("auth_name")?)),
            (Some("cookie"), Token::Cookie(name)) if !section.is_set("auth_name") => Ok(Place::Cookie(name.clone())),
            (Some("cookie"), _) => Ok(Place::Cookie(self.need("auth_name")?)),
            _ if section.is_set("auth_name") => {
                Err(section.error("auth_name", "needs `token_as` to say where the token is sent under that name"))
            }
            (None, Token::Cookie(name)) => Ok(Place::Cookie(name.clone())),
            _ => Ok(Place::Bearer),
        }
    }
}
