//! Tokens that are given out, expire, are refreshed and revoked.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::super::http::Request;
use super::super::record::mix;
use super::super::settings::Settings;
use super::{ADS_TOKEN, BEARER, REFRESH_TOKEN, Standing, secrets, session};

/// All tokens, of sessions too.
pub struct Tokens {
    count: u64,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    revoked: HashSet<u64>,
    /// Tokens that were good from the beginning, and are no longer.
    expired: HashSet<String>,
}

struct Access {
    /// The login that it goes back to, which may be revoked.
    login: Option<u64>,
    uses_left: Option<u64>,
    until: Option<Instant>,
}

struct Refresh {
    login: u64,
    is_used: bool,
}

/// Why a refresh token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    Unknown,
    /// It was used before: whatever came of the same login is revoked, since somebody has stolen it.
    Reused,
    Revoked,
}

impl Default for Tokens {
    fn default() -> Self {
        let first = Refresh { login: 0, is_used: false };
        Self {
            count: 0,
            access: HashMap::new(),
            refresh: HashMap::from([(REFRESH_TOKEN.to_owned(), first)]),
            revoked: HashSet::new(),
            expired: HashSet::new(),
        }
    }
}

impl Tokens {
    /// A new access token, good for as long as the settings say.
    pub fn give(&mut self, kind: &str, login: Option<u64>, settings: &Settings) -> String {
        let token = self.name(kind);
        let until = settings.token_seconds.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
        self.access.insert(token.clone(), Access { login, uses_left: settings.token_uses, until });
        token
    }

    /// A new refresh token of a login of its own.
    pub fn login(&mut self) -> String {
        let login = self.count + 1;
        self.give_refresh(login)
    }

    fn give_refresh(&mut self, login: u64) -> String {
        let token = self.name("refresh");
        self.refresh.insert(token.clone(), Refresh { login, is_used: false });
        token
    }

    fn name(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("{kind}-{}-{:016x}", self.count, mix(77, self.count))
    }

    /// Whether a token that was given out, or one that is good from the beginning, is good now. Counts as a use of it.
    pub fn check(&mut self, token: &str) -> Standing {
        if [BEARER, ADS_TOKEN].contains(&token) {
            return if self.expired.contains(token) { Standing::Expired } else { Standing::Good };
        }
        let Some(access) = self.access.get_mut(token) else { return Standing::Unknown };
        let is_over = access.until.is_some_and(|until| Instant::now() >= until)
            || access.uses_left == Some(0)
            || access.login.is_some_and(|login| self.revoked.contains(&login));
        if is_over {
            return Standing::Expired;
        }
        access.uses_left = access.uses_left.map(|left| left - 1);
        Standing::Good
    }

    /// An access token for a refresh token, and the next refresh token where they rotate.
    pub fn refresh(&mut self, token: &str, settings: &Settings) -> Result<(String, Option<String>), Refused> {
        let refresh = self.refresh.get_mut(token).ok_or(Refused::Unknown)?;
        let login = refresh.login;
        if refresh.is_used {
            self.revoked.insert(login);
            return Err(Refused::Reused);
        }
        if self.revoked.contains(&login) {
            return Err(Refused::Revoked);
        }
        refresh.is_used = settings.rotate;
        let access = self.give("access", Some(login), settings);
        Ok((access, settings.rotate.then(|| self.give_refresh(login))))
    }

    /// The token that a request has is no longer good.
    pub fn expire(&mut self, request: &Request) {
        let Some(token) = session(request).or(request.get("access_token")) else { return };
        match self.access.get_mut(token) {
            Some(access) => access.uses_left = Some(0),
            None => drop(self.expired.insert(token.to_owned())),
        }
    }

    pub fn expire_all(&mut self) {
        self.access.values_mut().for_each(|access| access.uses_left = Some(0));
    }

    /// Whether something in a request is secret, wherever in it.
    pub fn has_secret(&self, request: &Request) -> bool {
        let has = |text: &[u8], secret: &str| text.windows(secret.len()).any(|part| part == secret.as_bytes());
        let known = secrets().chain(self.access.keys().cloned()).chain(self.refresh.keys().cloned());
        known.into_iter().any(|secret| has(&request.head, &secret) || has(&request.body, &secret))
            || request.header("authorization").is_some()
            || request.header("cookie").is_some()
    }
}
