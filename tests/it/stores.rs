//! The stores that need no service.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidemark::config::Section;
use tidemark::destination::files::store::{Created, Store};
use tidemark::destination::files::stores::{self, STORES, local::Local, memory::Memory};
use tidemark::error::Kind;

use crate::faulty::{Fault, Faulty, Op, Random};
use crate::store_suite::conforms;

fn body(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_conforms() {
    conforms(Arc::new(Memory::new()), "fresh").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn local_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conforms(Arc::new(Local::new(folder.path())), "fresh").await;
    let left: Vec<_> = files(folder.path()).into_iter().filter(|path| Path::new(path).is_file()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrapper_without_faults_conforms() {
    let plan = |_: Op, _: &str| Fault::None;
    conforms(Arc::new(Faulty::new(Arc::new(Memory::new()), plan)), "fresh").await;
}

/// Everything below a folder, files and folders.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        }
        found.push(path.display().to_string());
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_registered_store_is_made_from_its_section() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lake");
    let kind = &stores::maker("local").unwrap().kind;
    let section = Section::of_kind(kind, &[("path", path.to_str().unwrap())]).unwrap();
    stores::check("local", &section).unwrap();
    let store = stores::store("local", &section).unwrap();
    assert!(!path.exists(), "making a store touches nothing");
    assert_eq!(store.url("t/1.csv"), path.join("t/1.csv").to_str().unwrap());
    assert_eq!(store.create("t/1.csv", body("x")).await.unwrap(), Created::Yes);
    assert_eq!(stores::store("tape", &section).err().unwrap().kind(), Kind::Bug);
}

#[test]
fn every_key_of_every_store_is_described() {
    for maker in STORES {
        for key in maker.kind.keys.iter().copied().flatten() {
            assert!(key.about.ends_with('.'), "{}.{}", maker.kind.name, key.name);
            if let Some(default) = key.default {
                assert_eq!(key.value.refusal(default), None, "{}.{}", maker.kind.name, key.name);
            }
            if !key.example.is_empty() {
                assert_eq!(key.value.refusal(key.example), None, "{}.{}", maker.kind.name, key.name);
            }
        }
    }
}

#[tokio::test]
async fn local_says_whose_move_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let below_a_file = Local::new(&file).create("t/1", body("x")).await.unwrap_err();
    assert_eq!(below_a_file.kind(), Kind::Config, "{below_a_file}");
    let store = Local::new(folder.path());
    let long = store.create(&"a".repeat(250), body("x")).await.unwrap_err();
    assert_eq!(long.kind(), Kind::Config, "{long}");
    assert!(store.create(".a.0123456789abcdef.tmp", body("x")).await.is_err(), "a name of our temporary files");
}

#[tokio::test]
async fn what_a_kill_left_is_swept_and_never_listed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Local::new(folder.path());
    for key in ["t/s-1.csv", "t/s-2.csv", "t/deep/s-1.csv"] {
        let mut upload = store.upload(key).await.unwrap();
        upload.write(body("x")).await.unwrap();
        std::mem::forget(upload);
    }
    fs::write(folder.path().join("t/.a-users-own.tmp"), "").unwrap();
    assert_eq!(store.list("t/", None).await.unwrap(), ["t/.a-users-own.tmp"]);
    assert_eq!(files(folder.path()).len(), 6);
    Local::new(folder.path()).sweep("t/", &|key| key.ends_with("s-1.csv")).await.unwrap();
    let left = files(&folder.path().join("t"));
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left[1].contains(".s-2.csv."), "{left:?}");
}

#[tokio::test]
async fn a_part_has_the_rights_that_the_users_mask_gives() {
    let folder = tempfile::tempdir().unwrap();
    let store = Local::new(folder.path());
    store.create("created", body("x")).await.unwrap();
    store.upload("uploaded").await.unwrap().finish().await.unwrap();
    fs::write(folder.path().join("plain"), "").unwrap();
    let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
    assert_eq!(mode("created"), mode("plain"));
    assert_eq!(mode("uploaded"), mode("plain"));
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_come_and_go_between_two_stores_without_harm() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (Local::new(folder.path()), Local::new(folder.path()));
    let makes = tokio::spawn(async move {
        for n in 0..300 {
            assert_eq!(one.create(&format!("a/b/{n}"), body("x")).await.unwrap(), Created::Yes);
        }
    });
    while !makes.is_finished() {
        let keys = other.list("a/", None).await.unwrap();
        other.delete(&keys).await.unwrap();
    }
    makes.await.unwrap();
}

/// One request of each kind; the store is asked afterwards what came of it.
async fn try_each(store: &Faulty, op: Op) -> bool {
    let failed = |result: tidemark::error::Result<()>| result.is_err_and(|e| e.kind() == Kind::Unavailable);
    let upload = async || store.upload("up").await.unwrap();
    match op {
        Op::Create => failed(store.create("new", body("x")).await.map(|_| ())),
        Op::Get => failed(store.get("old").await.map(|_| ())),
        Op::List => failed(store.list("", None).await.map(|_| ())),
        Op::Delete => failed(store.delete(&["old".to_owned()]).await),
        Op::Upload => failed(store.upload("up").await.map(|_| ())),
        Op::Write => failed(upload().await.write(body("x")).await),
        Op::Finish => failed(upload().await.finish().await),
        Op::Sweep => failed(store.sweep("stale", &|_| true).await),
        Op::Abort => {
            upload().await.abort().await;
            true
        }
    }
}

/// Whether the one thing that the request is for has been done.
async fn is_done(inner: &Memory, op: Op) -> bool {
    match op {
        Op::Create => inner.get("new").await.unwrap().is_some(),
        Op::Delete => inner.get("old").await.unwrap().is_none(),
        Op::Upload => inner.unfinished().contains(&"up".to_owned()),
        Op::Finish => inner.get("up").await.unwrap().is_some(),
        Op::Abort => !inner.unfinished().contains(&"up".to_owned()),
        Op::Sweep => !inner.unfinished().contains(&"stale".to_owned()),
        Op::Get | Op::List | Op::Write => true,
    }
}

#[tokio::test]
async fn every_fault_can_befall_every_request() {
    for op in Op::ALL {
        for fault in [Fault::Refuse, Fault::Lose, Fault::Hold, Fault::Slow(Duration::from_millis(5))] {
            let inner = Memory::new();
            inner.create("old", body("x")).await.unwrap();
            drop(inner.upload("stale").await.unwrap());
            let plan = move |asked: Op, _: &str| if asked == op { fault } else { Fault::None };
            let store = Faulty::new(Arc::new(inner.clone()), plan);
            let before = Instant::now();
            let failed = try_each(&store, op).await;
            let reads = matches!(op, Op::Get | Op::List | Op::Write);
            let (done, held) = (is_done(&inner, op).await, store.held());
            match fault {
                Fault::Slow(time) => assert!(done && before.elapsed() >= time && (!failed || op == Op::Abort)),
                Fault::Lose => assert!(failed && done, "{op:?}"),
                Fault::Refuse => assert!(failed && (!done || reads) && held.len() == 0, "{op:?}"),
                _ => {
                    assert!(failed && (!done || reads) && held.len() == 1, "{op:?}");
                    drop(store);
                    held.land_all().await;
                    assert!(is_done(&inner, op).await, "{op:?} lands after the store is gone");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_forgotten_never_lands() {
    let inner = Memory::new();
    let store = Faulty::new(Arc::new(inner.clone()), |_: Op, _: &str| Fault::Hold);
    store.create("new", body("x")).await.unwrap_err();
    store.held().forget();
    store.held().land_all().await;
    assert_eq!(inner.get("new").await.unwrap(), None);
}

#[tokio::test]
async fn random_faults_repeat_with_their_seed() {
    let faults = |seed| {
        let mut plan = Random::new(seed, 300);
        (0..200).map(|_| crate::faulty::Plan::fault(&mut plan, Op::Create, "")).collect::<Vec<_>>()
    };
    assert_eq!(faults(1), faults(1));
    assert_ne!(faults(1), faults(2));
    let wrong = faults(1).iter().filter(|fault| **fault != Fault::None).count();
    assert!((30..90).contains(&wrong), "{wrong} of 200");
}
