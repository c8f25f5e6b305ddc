//! A collection, or a chunk of one, that is read to its end.

use std::sync::Arc;

use mongodb::bson::Document;

use super::chosen::Chosen;
use super::chunks::Span;
use super::connect::Server;
use super::plan::{Plan, Scope};
use super::position;
use super::replies::Replies;
use super::rows;
use super::seed::Seed;
use crate::error::{Context, Result};
use crate::record::{Event, Rows};
use crate::source::documents::Documents;
use crate::source::feed::{self, Outlet, Stop};

pub struct Whole {
    server: Arc<Server>,
    plan: Plan,
    documents: Documents,
    replies: Replies,
    begun: jiff::Timestamp,
}

impl Whole {
    /// Has the server begin. What was confirmed to anybody by now is seen.
    pub async fn begin(
        server: &Arc<Server>,
        plan: Plan,
        (span, condition): (&Span, Option<Document>),
        seed: &Seed,
    ) -> Result<Self> {
        span.check(&plan)?;
        let documents = plan.documents(&seed.known)?;
        let (from, until, after) = (span.from.clone(), span.until.clone(), server.now().await?);
        let scope = Scope { condition, from, until, after, by_id: plan.has_ranges(), ..Scope::default() };
        let batch = rows::reply_documents(seed.document_bytes);
        let begun = jiff::Timestamp::now();
        let cursor = server.cursor(plan.find(&scope, batch)?, batch, None).await;
        let cursor = cursor.at(|| format!("collection {}", plan.collection.name))?;
        Ok(Self { server: server.clone(), plan, documents, replies: Replies::of(cursor), begun })
    }

    /// Sends the table's announcement, its rows, and a checkpoint.
    pub async fn read(self, outlet: Arc<Outlet>) -> Result<()> {
        let name = self.plan.collection.name.clone();
        feed::unless_closed(self.send_all(&outlet).await).map(drop).at(|| format!("collection {name}"))
    }

    async fn send_all(mut self, outlet: &Outlet) -> Result<(), Stop> {
        outlet.send(Event::Rows(Rows::none(self.documents.table().clone()))).await?;
        let chosen = Some(self.plan.chosen.clone()).filter(Chosen::is_beyond_the_server);
        let mut count = 0;
        while let Some(reply) = self.replies.next(&self.server.settings).await? {
            count += rows::send(&mut self.documents, chosen.as_ref(), &reply, outlet).await?;
        }
        outlet.send(Event::Checkpoint(position::end(self.begun, count).into())).await?;
        Ok(())
    }
}
