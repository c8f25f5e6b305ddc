//! The commit log of one stream, read without its store's listings.

use std::sync::Arc;

use serde_json::Value;
use tidemark::destination::files::layout::Layout;
use tidemark::destination::files::log::{Entry, Log, SUMMARY_EVERY};
use tidemark::destination::files::store::Store;
use tidemark::destination::files::stores::memory::Memory as MemoryStore;
use tidemark::record::{Commit, Generations, Mode, PartInfo, StreamId};

use crate::faulty::{Fault, Faulty, Op};

fn entry(seq: u64) -> Commit {
    let part = PartInfo {
        path: format!("t/{seq}"),
        table: "t".to_owned(),
        schema: String::new(),
        rows: 1,
        bytes: 1,
        checksum: String::new(),
    };
    Commit {
        seq,
        writer: "w".to_owned(),
        run: "r".to_owned(),
        mode: Mode::Cdc,
        position: None,
        last_seq: 0,
        parts: vec![part],
        schemas: Default::default(),
        complete: false,
        publishes: None,
        reserves: None,
        generations: Generations::default(),
        fences: Vec::new(),
        state: Value::Null,
        failures: None,
        identity: Value::Null,
        holder: Value::Null,
        at: String::new(),
    }
}

/// A log whose store lists nothing: years of entries would be many pages.
fn unlisted(store: &MemoryStore) -> Log {
    let plan = |op: Op, _: &str| if op == Op::List { Fault::Refuse } else { Fault::None };
    Log::new(Arc::new(Faulty::new(Arc::new(store.clone()), plan)), Layout::of(&StreamId::new("s")))
}

#[tokio::test]
async fn live_parts_are_found_from_the_newest_summary_that_is_there() {
    let store = MemoryStore::new();
    let log = unlisted(&store);
    let layout = Layout::of(&StreamId::new("s"));
    let end = 3 * SUMMARY_EVERY + 1;
    for seq in 0..=end {
        assert!(matches!(log.create(&entry(seq)).await.unwrap(), Entry::Ours));
        // The third is missing, as where its number was a fence's.
        if seq < 3 * SUMMARY_EVERY {
            log.summarise(seq).await;
        }
    }
    assert!(store.get(&layout.summary(2 * SUMMARY_EVERY)).await.unwrap().is_some());
    // What a summary holds is not read again.
    store.delete(&[layout.entry(5), layout.entry(SUMMARY_EVERY + 5)]).await.unwrap();
    for newest in [end, 2 * SUMMARY_EVERY + 1, 2 * SUMMARY_EVERY, SUMMARY_EVERY] {
        let parts = log.live_parts(newest).await.unwrap();
        let expected: Vec<_> = (0..=newest).map(|seq| format!("t/{seq}")).collect();
        let paths: Vec<_> = parts.into_iter().map(|part| part.path).collect();
        assert_eq!(paths, expected, "as of {newest}");
    }
}
