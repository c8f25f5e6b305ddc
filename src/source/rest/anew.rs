//! Places that the server has forgotten: cursors and links are good for a while only, and a run may be begun long after the one before.

use super::failure::Failure;
use super::pages::Pages;
use super::request::Request;
use crate::error::{Error, Kind, Result};

impl Pages {
    /// Has what is being read begin at its first page, since the server refuses the place where it was to go on. An error where nothing
    /// tells what was delivered of it; that is [`Kind::Lost`] of a load, which begins anew then.
    pub fn begin_anew(&mut self, request: &Request, failure: &Failure) -> Result<()> {
        let is_known = match &mut self.reached.window {
            Some(window) => self.delivery.filter.begin_anew(window)?,
            None => false,
        };
        let error = failure.error(request);
        if self.endpoint.incremental.is_none() {
            let message = format!("the server no longer knows the place where the load goes on: {}", error.message());
            return Err(Error::new(Kind::Lost, message));
        }
        if !is_known {
            return Err(error.hint(
                "The server no longer knows the place where the last run ended, and too much came before it, in no order, to be known again: \
                 run the stream once with `--full-refresh`. Shorter windows (`step`), or an API's parameter that sorts by the cursor, help.",
            ));
        }
        let (request, reason) = (request.shown(), &failure.reason);
        tracing::warn!(
            request,
            reason,
            "the server no longer knows the place where the last run ended: what was being read is asked for anew, and what came is known again"
        );
        (self.reached.pages, self.reached.records, self.reached.left_out) = (0, 0, 0);
        self.reached.next = Some(self.endpoint.paging.first());
        Ok(())
    }
}
