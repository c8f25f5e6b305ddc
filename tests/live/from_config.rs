//! From a `pipeline.conf` into each store that is a service: the program itself, as people run it.

use std::collections::BTreeSet;

use tidemark::config::Section;
use tidemark::destination::files::stores;

use crate::program::Folder;
use crate::{fresh, server};

const ROWS: i64 = 1_000;

/// Runs twice, so that a generation takes another's place; reads the files of the live one by their printed URLs.
async fn copies_a_table(kind: &str, keys: &[(&str, &str)], scheme: &str) {
    let prefix = fresh("from_config");
    let section: String = keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    let folder = Folder::new(&format!(
        "[source shop]\ntype = sqlite\npath = shop.db\n
[destination lake]\ntype = {kind}\n{section}prefix = {prefix}\nformat = csv\n
[stream orders]\nsource = shop\ndestination = lake\ntable = orders\npart_bytes = 1 MiB\nkeep_generations = 0\n"
    ));
    let shop = rusqlite::Connection::open(folder.path().join("shop.db")).unwrap();
    shop.execute_batch("create table orders (id integer primary key, note text)").unwrap();
    shop.execute(
        "insert into orders with recursive n(i) as (select 1 union all select i + 1 from n where i < ?1)
         select i, 'note ' || i from n",
        [ROWS],
    )
    .unwrap();
    folder.run("check", 0);
    folder.run("run", 0);
    let first = folder.live_files("orders");
    shop.execute("update orders set note = 'changed' where id = 1", []).unwrap();
    folder.run("run", 0);

    let store = stores::store(kind, &Section::of_kind(&stores::maker(kind).unwrap().kind, keys).unwrap()).unwrap();
    let bucket = keys.iter().find(|(key, _)| *key == "bucket").unwrap().1;
    let key = |url: &String| url.strip_prefix(&format!("{scheme}://{bucket}/")).unwrap().to_owned();
    let mut lines = BTreeSet::new();
    for url in folder.live_files("orders") {
        assert!(!first.contains(&url), "{url} is of the generation before");
        let text = String::from_utf8(store.get(&key(&url)).await.unwrap().unwrap().to_vec()).unwrap();
        let mut rows = text.lines();
        assert_eq!(rows.next(), Some("id,note"));
        lines.extend(rows.map(str::to_owned));
    }
    let expected = (2..=ROWS).map(|id| format!("{id},note {id}")).chain(["1,changed".to_owned()]);
    assert_eq!(lines, expected.collect());
    for url in &first {
        assert!(store.get(&key(url)).await.unwrap().is_none(), "{url} is of a generation that was not to be kept");
    }
}

#[tokio::test]
async fn gcs() {
    let (endpoint, bucket) = (server("TIDEMARK_TEST_GCS"), server("TIDEMARK_TEST_GCS_BUCKET"));
    copies_a_table("gcs", &[("endpoint", &endpoint), ("bucket", &bucket)], "gs").await;
}

#[tokio::test]
async fn s3() {
    let [endpoint, bucket, access, secret] =
        ["", "_BUCKET", "_KEY", "_SECRET"].map(|of| server(&format!("TIDEMARK_TEST_S3{of}")));
    let keys = [("endpoint", &*endpoint), ("bucket", &*bucket), ("access_key", &*access), ("secret_key", &*secret)];
    copies_a_table("s3", &keys, "s3").await;
}
