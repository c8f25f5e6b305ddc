//! A stream whose pages are reports, one for each part of the cursor.

use std::sync::Arc;
use std::time::Duration;

use super::Ordered;
use super::job::{Job, Outcome, Placed};
use crate::error::{Error, Result};
use crate::source::feed::{Outlet, Stop};
use crate::source::rest::asking::{Asked, Asker};
use crate::source::rest::endpoint::Endpoint;
use crate::source::rest::pages::Pages;
use crate::source::rest::request::Request;
use crate::source::rest::target::Target;

/// A report takes minutes, and to order another would take them again: where it was ordered is not left until some rows come.
const WORTH_A_COMMIT: u64 = u64::MAX;

impl Pages {
    /// What the report of the part that is being read came to, and its order. One that an earlier run ordered is waited for; it is ordered
    /// anew, once, where it came to nothing, or its file does: links to files are good for a while only.
    pub async fn report(&mut self, target: &Target, outlet: &Outlet) -> std::result::Result<(Request, Asked), Stop> {
        let endpoint = self.endpoint.clone();
        let Some((report, answers)) = &endpoint.report else {
            return Err(Error::bug("the stream is no report").into());
        };
        let request = endpoint.request(target)?;
        let asker = self.ahead.asker().clone();
        let job = Job { asker: &asker, endpoint: &endpoint, report, answers };
        let digest = Ordered::digest(&request);
        if let Some(ordered) = self.reached.report.take().filter(|ordered| ordered.of == digest) {
            tracing::info!(report = ordered.id, "waiting for a report that was ordered before");
            match job.outcome(&ordered, Duration::ZERO).await? {
                Outcome::Came(asked) => return Ok((request, asked)),
                Outcome::Gone(failure) => {
                    let reason = failure.reason;
                    tracing::warn!(reason, "a report that was ordered before came to nothing: it is ordered anew");
                }
            }
        }
        let (ordered, wait) = match job.order(&request).await? {
            Placed::Report(ordered, wait) => (ordered, wait),
            Placed::Not(asked) => return Ok((request, asked)),
        };
        self.reached.report = Some(ordered.clone());
        outlet.holds(WORTH_A_COMMIT);
        self.tell(outlet).await?;
        let outcome = job.outcome(&ordered, wait).await?;
        outlet.holds(0);
        self.reached.report = None;
        Ok((request, outcome.asked()))
    }
}

/// What a request came to, whose page is a report where the endpoint has those.
pub async fn ask(asker: &Asker, endpoint: &Arc<Endpoint>, request: &Request) -> Result<Asked> {
    let Some((report, answers)) = &endpoint.report else { return asker.ask(request, endpoint).await };
    let job = Job { asker, endpoint, report, answers };
    match job.order(request).await? {
        Placed::Report(ordered, wait) => Ok(job.outcome(&ordered, wait).await?.asked()),
        Placed::Not(asked) => Ok(asked),
    }
}
