//! The server: one client for all of a run, and the commands it is sent.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::{Document, Timestamp, doc};
use mongodb::options::SelectionCriteria;
use mongodb::raw_batch_cursor::RawBatchCursor;
use mongodb::{Client, Database};
use tokio::sync::{Mutex, OnceCell};

use super::config::Settings;
use super::error;
use crate::error::Result;

pub struct Server {
    pub settings: Settings,
    client: OnceCell<Client>,
    /// By collection; see [`count`](super::catalog::count).
    pub counts: Mutex<HashMap<String, Arc<OnceCell<Option<u64>>>>>,
}

/// What a server says of itself.
pub struct Hello {
    /// The name of its replica set; `None` of a server alone, and of a cluster's router.
    pub replica_set: Option<String>,
    /// It is a router of a sharded cluster.
    pub is_router: bool,
    /// Up to where everything is on most members, where it tells.
    pub majority: Option<Timestamp>,
    /// Its clock, in milliseconds since 1970.
    pub clock: Option<i64>,
}

impl Server {
    /// Connects to nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, client: OnceCell::new(), counts: Mutex::default() }
    }

    async fn client(&self) -> Result<&Client> {
        let make = || async {
            let options = self.settings.options().await?;
            Client::with_options(options).map_err(|e| error::of(&e, &self.settings))
        };
        self.client.get_or_try_init(make).await
    }

    async fn database(&self) -> Result<(Database, Option<SelectionCriteria>)> {
        let client = self.client().await?;
        Ok((client.database(&self.settings.database), client.selection_criteria().cloned()))
    }

    /// Runs a command on the database.
    pub async fn run(&self, command: Document) -> Result<Document> {
        self.try_run(command).await?.map_err(|e| error::of(&e, &self.settings))
    }

    /// The same; what the server refuses comes as the driver's error.
    pub async fn try_run(&self, command: Document) -> Result<Result<Document, mongodb::error::Error>> {
        let (database, selection) = self.database().await?;
        let run = database.run_command(command);
        Ok(match selection {
            Some(selection) => run.selection_criteria(selection).await,
            None => run.await,
        })
    }

    /// Runs a command that has a cursor; `batch` is how many documents later replies have, and `wait` how long they wait for one.
    pub async fn cursor(&self, command: Document, batch: u32, wait: Option<Duration>) -> Result<RawBatchCursor> {
        self.try_cursor(command, batch, wait).await?.map_err(|e| error::of(&e, &self.settings))
    }

    /// The same; what the server refuses comes as the driver's error.
    pub async fn try_cursor(
        &self,
        command: Document,
        batch: u32,
        wait: Option<Duration>,
    ) -> Result<Result<RawBatchCursor, mongodb::error::Error>> {
        let (database, selection) = self.database().await?;
        let mut run = database.run_cursor_command(command);
        if batch > 0 {
            run = run.batch_size(batch);
        }
        if let Some(wait) = wait {
            run = run.max_time(wait);
        }
        Ok(match selection {
            Some(selection) => run.selection_criteria(selection).batch().await,
            None => run.batch().await,
        })
    }

    /// The time by the cluster's clock: what was confirmed to anybody is not behind it. `None` of a server alone, which needs none.
    pub async fn now(&self) -> Result<Option<Timestamp>> {
        // Another member may be behind.
        let told = self.run_on_primary(doc! { "ping": 1 }).await?;
        let cluster = told.get_document("$clusterTime").and_then(|time| time.get_timestamp("clusterTime"));
        Ok(told.get_timestamp("operationTime").or(cluster).ok())
    }

    async fn run_on_primary(&self, command: Document) -> Result<Document> {
        let (database, _) = self.database().await?;
        database.run_command(command).await.map_err(|e| error::of(&e, &self.settings))
    }

    /// The transactions of all users that are open, and what else is writing to a collection now; `None` where we may not see them.
    pub async fn writers(&self, collection: &str) -> Result<Option<Vec<Document>>> {
        let namespace = format!("{}.{collection}", self.settings.database);
        let open = doc! { "transaction.timeOpenMicros": { "$exists": true } };
        let writing =
            doc! { "active": true, "ns": namespace, "op": { "$in": ["insert", "update", "remove", "bulkWrite"] } };
        let commands =
            ["findAndModify", "bulkWrite"].map(|name| doc! { format!("command.{name}"): { "$exists": true } });
        let stages =
            ["$merge", "$out"].map(|name| doc! { "command.pipeline": { "$elemMatch": { name: { "$exists": true } } } });
        let other = doc! { "active": true, "$or": commands.into_iter().chain(stages).collect::<Vec<_>>() };
        let all = doc! { "$currentOp": { "allUsers": true, "idleSessions": true } };
        let pipeline = [all, doc! { "$match": { "$or": [open, writing, other] } }];
        let admin = self.client().await?.database("admin");
        let command = doc! { "aggregate": 1, "pipeline": pipeline.to_vec(), "cursor": {} };
        match admin.run_cursor_command(command).await {
            Ok(mut cursor) => {
                let mut found = Vec::new();
                while cursor.advance().await.map_err(|e| error::of(&e, &self.settings))? {
                    found.push(cursor.deserialize_current().map_err(|e| error::of(&e, &self.settings))?);
                }
                Ok(Some(found))
            }
            Err(e) if error::code(&e).is_some_and(|code| error::NOT_OURS.contains(&code)) => Ok(None),
            Err(e) => Err(error::of(&e, &self.settings)),
        }
    }

    /// The times of the first and last entries of the oplog; `None` where we may not see it.
    pub async fn oplog(&self) -> Result<Option<(Timestamp, Timestamp)>> {
        let oplog = self.client().await?.database("local").collection::<Document>("oplog.rs");
        let mut times = Vec::new();
        for order in [1, -1] {
            let found = oplog.find_one(Document::new()).sort(doc! { "$natural": order }).projection(doc! { "ts": 1 });
            let Ok(Some(entry)) = found.await else { return Ok(None) };
            times.extend(entry.get_timestamp("ts"));
        }
        Ok(times.first().copied().zip(times.last().copied()))
    }

    pub async fn hello(&self) -> Result<Hello> {
        let hello = self.run(doc! { "hello": 1 }).await?;
        let majority = hello.get_document("lastWrite").and_then(|write| write.get_document("majorityOpTime"));
        let majority = majority.ok().and_then(|time| time.get_timestamp("ts").ok());
        Ok(Hello {
            replica_set: hello.get_str("setName").ok().map(str::to_owned),
            is_router: hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid"),
            majority,
            clock: hello.get_datetime("localTime").ok().map(|time| time.timestamp_millis()),
        })
    }
}
