//! Primary keys that MySQL makes for tables without one, and what it says of them.

use mysql_async::prelude::Queryable;
use tidemark::error::Result;

use super::super::{Database, Server, selection};
use super::Log;

/// Whether the catalog shows them; the log has them always.
async fn shown(database: &Database<'_>, is_shown: bool) {
    let sql = format!("set global show_gipk_in_create_table_and_information_schema = {}", u8::from(is_shown));
    database.conn().await.query_drop(sql).await.unwrap();
}

async fn made<'a>(server: &'a Server, name: &str) -> Database<'a> {
    let database = server.database(name).await;
    let table = "(id int, v int)";
    database
        .run(&format!(
            "set session sql_generate_invisible_primary_key = 1; create table a {table}; create table b {table}; \
             insert into a values (1, 10), (2, 20)"
        ))
        .await;
    database
}

/// Whatever a server shows, such a key is an invisible column.
pub async fn are_as_invisible_columns(server: &Server) {
    let database = made(server, "cdc_gipk").await;
    for is_shown in [false, true] {
        shown(&database, is_shown).await;
        let followed = followed(&database).await;
        let keys: &[(&str, &str)] = &[("table", "a"), ("columns", "my_row_id, id, v")];
        let full = database.read(keys).await;
        let plain = database.read(&[("table", "a")]).await;
        shown(&database, true).await;
        followed.unwrap();
        assert_eq!(full.unwrap().table.key, ["my_row_id"], "{is_shown}");
        let plain = plain.unwrap();
        assert_eq!((plain.table.key.len(), plain.table.schema.fields().len()), (0, 2));
    }
}

async fn followed(database: &Database<'_>) -> Result<()> {
    let mut log = Log::new(database);
    log.run(usize::MAX).await?;
    assert_eq!(log.seen.iter().filter(|seen| seen.1 == "r").count(), 2);
    database.run("update a set v = v + 1 where id = 1").await;
    log.run(usize::MAX).await?;
    let ops: Vec<_> = log.seen.iter().map(|seen| seen.1.as_str()).collect();
    assert_eq!(ops, ["d", "c"], "the key is not read");
    // Named, it is the key.
    log = Log::new(database);
    log.keys.push(("columns", "my_row_id, id, v"));
    log.run(usize::MAX).await?;
    assert_eq!(log.tables["a"].key, ["my_row_id"]);
    let source = database.source(None, &[])?;
    assert!(source.streams(&[selection(&log.keys)]).await?.whole().is_ok());
    Ok(())
}
