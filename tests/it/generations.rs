//! What becomes of the files of full loads that are live no more.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_array::{Int64Array, RecordBatch};
use serde_json::{Value, json};
use tidemark::destination::files::layout::Layout;
use tidemark::destination::files::store::Store;
use tidemark::destination::files::stores::memory::Memory as MemoryStore;
use tidemark::destination::files::{Files, Settings, StorePlace};
use tidemark::destination::memory::Memory;
use tidemark::destination::{Destination, Opening, Place, Writer};
use tidemark::error::{Kind, Result};
use tidemark::record::{Commit, Mode, Position, Publication, Rows, Seal, StreamId};

use crate::faulty::{Fault, Faulty, Op};
use crate::script::{Numbers, Script};

/// A stream of full loads, in a store that deletes nothing while it is told to refuse. Only the live load keeps its files.
struct Loads {
    store: MemoryStore,
    refuses: Arc<AtomicBool>,
    files: Files,
    id: StreamId,
}

impl Loads {
    fn new() -> Self {
        Self::on_a_line(Duration::ZERO)
    }

    /// A store to which the last piece of a file takes so long.
    fn on_a_line(finishing: Duration) -> Self {
        let (store, refuses) = (MemoryStore::new(), Arc::new(AtomicBool::new(false)));
        let refused = refuses.clone();
        let plan = move |op: Op, _: &str| match op {
            Op::Delete if refused.load(Ordering::SeqCst) => Fault::Refuse,
            Op::Finish if !finishing.is_zero() => Fault::Slow(finishing),
            _ => Fault::None,
        };
        let faulty = Faulty::new(Arc::new(store.clone()), plan);
        let memory = Memory::new(128 << 20, 1);
        let settings = Settings { format: Box::new(Numbers), part_bytes: 100, keep_generations: 0, memory };
        Self { store, refuses, files: Files::new(Arc::new(faulty), settings), id: StreamId::new("s") }
    }

    fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::SeqCst);
    }

    async fn open(&self, id: &StreamId) -> Box<dyn Writer> {
        let opening = Opening {
            run: "run".to_owned(),
            mode: Mode::Full,
            identity: json!("loads"),
            holder: Value::Null,
            after: None,
            take_over: false,
        };
        self.files.open(id, &opening).await.unwrap()
    }

    /// The first entry of a load, and its one chunk; the number of the chunk's last entry.
    async fn begin(&self, main: &mut dyn Writer, generation: &str, retires: &[&str]) -> u64 {
        let retires = retires.iter().map(|generation| (*generation).to_owned()).collect();
        let position = Some(Position::new(json!(generation)));
        main.commit(Seal { retires, ..Seal::at(position.clone()) }).await.unwrap();
        let mut chunk = self.open(&self.id.chunk(generation, "0")).await;
        write(&mut *chunk).await;
        chunk.commit(Seal { complete: true, ..Seal::at(position) }).await.unwrap().seq
    }

    async fn publish(&self, main: &mut dyn Writer, generation: &str, last: u64) -> Commit {
        self.try_publish(main, generation, last).await.unwrap()
    }

    async fn try_publish(&self, main: &mut dyn Writer, generation: &str, last: u64) -> Result<Commit> {
        let chunks = BTreeMap::from([("0".to_owned(), last)]);
        let publication = Publication {
            generation: generation.to_owned(),
            seq: 0,
            chunks,
            rows: 6,
            bytes: 48,
            files: 2,
            failures: None,
            set_aside: Default::default(),
        };
        let seal = Seal::at(Some(Position::new(json!(generation))));
        main.commit(Seal { publishes: Some(publication), complete: true, ..seal }).await
    }

    async fn load(&self, generation: &str) -> Commit {
        let mut main = self.open(&self.id).await;
        let last = self.begin(&mut *main, generation, &[]).await;
        self.publish(&mut *main, generation, last).await
    }

    /// The URLs of the live files.
    async fn live(&self) -> Vec<String> {
        StorePlace(Arc::new(self.store.clone())).files(&self.id).await.unwrap()
    }

    /// The generations that have files, each as often as it has some; those of the live one are all there.
    async fn with_files(&self) -> Vec<String> {
        let keys = self.store.list("", None).await.unwrap();
        for url in self.live().await {
            assert!(keys.iter().any(|key| url.ends_with(key)), "{url} is live and not there");
        }
        let parts = keys.iter().filter(|key| !key.starts_with("_commits/"));
        let mut found: Vec<_> = parts.map(|key| key.split('/').nth(1).unwrap().to_owned()).collect();
        found.sort();
        found
    }
}

/// Three rows of each table.
async fn write(writer: &mut dyn Writer) {
    for table in Script::tables() {
        let column = Arc::new(Int64Array::from_iter_values(0..3));
        let batch = RecordBatch::try_new(table.schema.clone(), vec![column]).unwrap();
        writer.write(Rows { table, batch }).await.unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_deleted_is_tried_until_it_is() {
    let loads = Loads::new();
    loads.load("g1").await;
    loads.refuse(true);
    loads.load("g2").await;
    loads.load("g3").await;
    loads.open(&loads.id).await;
    assert_eq!(loads.with_files().await, ["g1", "g1", "g2", "g2", "g3", "g3"]);

    loads.refuse(false);
    loads.open(&loads.id).await;
    assert_eq!(loads.with_files().await, ["g3", "g3"]);
    // What is gone is carried no further.
    assert_eq!(loads.load("g4").await.generations.retired, ["g3"]);
    assert_eq!(loads.with_files().await, ["g4", "g4"]);
}

/// Whoever asks how many live files there are lists their folders: a request for each file would take hours.
#[tokio::test]
async fn live_files_are_looked_for_by_listing() {
    let loads = Loads::new();
    loads.load("g1").await;
    let asked: Arc<Mutex<Vec<(Op, String)>>> = Arc::default();
    let heard = asked.clone();
    let listens = move |op: Op, key: &str| {
        heard.lock().unwrap().push((op, key.to_owned()));
        Fault::None
    };
    let place = StorePlace(Arc::new(Faulty::new(Arc::new(loads.store.clone()), listens)));
    let found = place.presence(&loads.id).await.unwrap().unwrap();
    assert_eq!((found.live, found.missing.len()), (2, 0));
    let of_data = |(_, key): &&(Op, String)| !key.starts_with("_commits/");
    let asked: Vec<_> = asked.lock().unwrap().iter().filter(of_data).cloned().collect();
    let folders = Script::tables().map(|table| Layout::generation_parts(&table.name, "g1"));
    assert_eq!(asked, folders.clone().map(|folder| (Op::List, folder)));

    let gone = loads.store.list(&folders[1], None).await.unwrap();
    loads.store.delete(&gone).await.unwrap();
    let found = place.presence(&loads.id).await.unwrap().unwrap();
    assert_eq!((found.live, found.missing), (2, vec![loads.store.url(&gone[0])]));
    assert_eq!(place.presence(&StreamId::new("never ran")).await.unwrap(), None);
}

/// Files that a publication deleted while they were being listed are not missing.
#[tokio::test]
async fn a_load_that_is_published_meanwhile_is_looked_at_again() {
    let loads = Arc::new(Loads::new());
    loads.load("g1").await;
    let store = loads.store.clone();
    let once = AtomicBool::new(true);
    let publishes = loads.clone();
    let plan = move |op: Op, key: &str| {
        if op == Op::List && key == "a/g1/" && once.swap(false, Ordering::SeqCst) {
            let publishes = publishes.clone();
            let runtime = tokio::runtime::Runtime::new().unwrap();
            std::thread::spawn(move || runtime.block_on(publishes.load("g2"))).join().unwrap();
        }
        Fault::None
    };
    let place = StorePlace(Arc::new(Faulty::new(Arc::new(store), plan)));
    let found = place.presence(&loads.id).await.unwrap().unwrap();
    assert_eq!((found.live, found.missing), (2, vec![]));
    assert_eq!(loads.with_files().await, ["g2", "g2"]);
}

#[tokio::test]
async fn a_publication_deletes_what_earlier_ones_could_not() {
    let loads = Loads::new();
    loads.load("g1").await;
    loads.refuse(true);
    loads.load("g2").await;
    let mut main = loads.open(&loads.id).await;
    let last = loads.begin(&mut *main, "g3", &[]).await;
    loads.refuse(false);
    loads.publish(&mut *main, "g3", last).await;
    assert_eq!(loads.with_files().await, ["g3", "g3"]);
}

/// It is retired by an entry that publishes nothing, and the load that follows may take days.
#[tokio::test]
async fn a_load_that_was_given_up_goes_at_once() {
    let loads = Loads::new();
    let mut main = loads.open(&loads.id).await;
    loads.begin(&mut *main, "g1", &[]).await;
    let mut main = loads.open(&loads.id).await;
    let last = loads.begin(&mut *main, "g2", &["g1"]).await;
    assert_eq!(loads.with_files().await, ["g2", "g2"]);
    // What is gone is carried no further.
    assert!(loads.publish(&mut *main, "g2", last).await.generations.retired.is_empty());
    assert_eq!(loads.with_files().await, ["g2", "g2"]);
}

#[tokio::test]
async fn a_load_that_was_given_up_and_could_not_be_deleted_goes_with_the_next_publication() {
    let loads = Loads::new();
    let mut main = loads.open(&loads.id).await;
    loads.begin(&mut *main, "g1", &[]).await;
    let mut main = loads.open(&loads.id).await;
    loads.refuse(true);
    let last = loads.begin(&mut *main, "g2", &["g1"]).await;
    assert_eq!(loads.with_files().await, ["g1", "g1", "g2", "g2"]);
    loads.refuse(false);
    assert_eq!(loads.publish(&mut *main, "g2", last).await.generations.retired, ["g1"]);
    assert_eq!(loads.with_files().await, ["g2", "g2"]);
}

/// A store may carry out what a killed process asked of it after the next one has swept.
#[tokio::test]
async fn what_lands_among_the_parts_of_a_load_is_gone_before_it_is_published() {
    for refuses in [false, true] {
        let loads = Loads::new();
        let mut main = loads.open(&loads.id).await;
        let last = loads.begin(&mut *main, "g1", &[]).await;
        let late = Layout::of(&loads.id.chunk("g1", "0")).part(&Script::tables()[0].name, 0, 9, "numbers");
        loads.store.create(&late, "1\n".into()).await.unwrap();
        assert_eq!(loads.with_files().await, ["g1", "g1", "g1"]);

        loads.refuse(refuses);
        loads.publish(&mut *main, "g1", last).await;
        // What cannot be deleted keeps no load from being published.
        assert_eq!(loads.store.get(&late).await.unwrap().is_some(), refuses);
        assert_eq!(loads.live().await.len(), 2);
    }
}

#[tokio::test]
async fn a_writer_that_is_not_the_newest_any_more_deletes_nothing() {
    let loads = Loads::new();
    let mut main = loads.open(&loads.id).await;
    let last = loads.begin(&mut *main, "g1", &[]).await;
    let other = Layout::of(&loads.id.chunk("g1", "1")).part(&Script::tables()[0].name, 0, 1, "numbers");
    loads.store.create(&other, "1\n".into()).await.unwrap();
    loads.open(&loads.id).await;
    assert_eq!(loads.try_publish(&mut *main, "g1", last).await.unwrap_err().kind(), Kind::Conflict);
    assert!(loads.store.get(&other).await.unwrap().is_some());
}

#[tokio::test]
async fn a_load_whose_log_has_a_gap_is_not_published() {
    let loads = Loads::new();
    let mut main = loads.open(&loads.id).await;
    let last = loads.begin(&mut *main, "g1", &[]).await;
    loads.store.delete(&[Layout::of(&loads.id.chunk("g1", "0")).entry(last)]).await.unwrap();
    assert_eq!(loads.try_publish(&mut *main, "g1", last).await.unwrap_err().kind(), Kind::Conflict);
    assert!(loads.files.last(&loads.id, None).await.unwrap().unwrap().generations.live().is_none());
}

/// Whoever presses Ctrl-C does not wait for a slow line.
#[tokio::test(start_paused = true)]
async fn giving_up_does_not_wait_for_slow_uploads() {
    let loads = Loads::on_a_line(Duration::from_secs(600));
    let mut writer = loads.open(&loads.id).await;
    for _ in 0..6 {
        write(&mut *writer).await;
    }
    let begun = tokio::time::Instant::now();
    writer.abort().await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(loads.with_files().await, [""; 0]);
}
