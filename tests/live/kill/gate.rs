//! A gate in the middle of a table of PostgreSQL: who reads the table waits there while it is closed.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

use super::oracle::Case;

/// The line of a stream that reads the whole table, and past the gate at its row 60,000.
pub const GATED: &str = "where = id <> 60000 or pg_advisory_xact_lock_shared(1)::text = ''";

/// The gate, closed while this lives.
pub struct Gate {
    client: Client,
    runtime: Runtime,
}

impl Gate {
    pub fn close(case: &Case) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (client, connection) = runtime.block_on(tokio_postgres::connect(&case.database_url(), NoTls)).unwrap();
        // Its end comes with the server's, or ours.
        runtime.spawn(async move { drop(connection.await) });
        runtime.block_on(client.batch_execute("select pg_advisory_lock(1)")).unwrap();
        Self { client, runtime }
    }

    /// Waits until a run stands before the gate.
    pub fn wait_for_somebody(&self) {
        self.wait_for(1);
    }

    /// Waits until so many stand there.
    pub fn wait_for(&self, count: i64) {
        // The job log may be in the same database, and those who make its tables wait for each other by a lock of this kind.
        let sql = "select count(*) from pg_locks join pg_database d on d.oid = database
            where locktype = 'advisory' and objid = 1 and not granted and datname = current_database()";
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.runtime.block_on(self.client.query_one(sql, &[])).unwrap().get::<_, i64>(0) < count {
            assert!(Instant::now() < deadline, "no run came to the gate");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether nobody is in the middle of a transaction, waiting at the gate aside. Asks for a second.
    pub fn is_all_at_rest(&self) -> bool {
        let sql = "select count(*) from pg_stat_activity
            where datname = current_database() and state = 'idle in transaction'";
        let deadline = Instant::now() + Duration::from_secs(1);
        while self.runtime.block_on(self.client.query_one(sql, &[])).unwrap().get::<_, i64>(0) > 0 {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }

    pub fn open(self) {
        self.runtime.block_on(self.client.batch_execute("select pg_advisory_unlock(1)")).unwrap();
    }
}
