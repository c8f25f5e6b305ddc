//! OAuth 2 with a refresh token: a program that speaks for somebody who has logged in once.

use std::time::Duration;

use async_trait::async_trait;

use super::issuer::tries;
use super::renewed::{Fetch, Fetched};
use super::secret::Secret;
use super::token_endpoint::TokenEndpoint;
use super::token_store::{Draft, TokenStore};
use crate::error::{Error, Result};

/// No wait for a disk that is full is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

pub struct RefreshToken {
    pub endpoint: TokenEndpoint,
    /// As the file of the pipeline has it.
    pub configured: Secret,
    pub store: TokenStore,
}

#[async_trait]
impl Fetch for RefreshToken {
    type Got = Secret;

    /// The new refresh token is on the disk before the new access token is handed out.
    async fn fetch(&self) -> Result<Fetched<Secret>> {
        // Held until the next token is kept: who comes second reads what the first has kept, and does not use a token again.
        let locked = self.store.lock().await?;
        let token = locked.read()?.unwrap_or_else(|| self.configured.clone());
        let draft = locked.draft()?;
        let grant = [("grant_type", "refresh_token"), ("refresh_token", token.expose())];
        let granted = self.endpoint.ask(&grant).await?;
        if let Some(next) = granted.refresh.filter(|next| *next != token) {
            keep(draft, locked.text(&next)?).await?;
        }
        Ok(Fetched { credentials: granted.access, lasts: granted.lasts })
    }
}

/// There is no second copy of it: a disk that is full for a moment must not lose it.
async fn keep(mut draft: Draft, text: Vec<u8>) -> Result<()> {
    let mut tries = tries(LONGEST_WAIT);
    loop {
        let (again, text_again) = (draft, text.clone());
        let work = move || {
            let mut draft = again;
            let kept = draft.keep(&text_again);
            (draft, kept)
        };
        let ended = |e| Error::bug(format!("a refresh token could not be kept: {e}"));
        let (tried, kept) = tokio::task::spawn_blocking(work).await.map_err(ended)?;
        draft = tried;
        match kept {
            Err(error) => tries.pause(error, None).await?,
            Ok(()) => return Ok(()),
        }
    }
}
