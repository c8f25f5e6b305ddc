//! What every store promises, as one suite over the trait: stores and wrappers alike pass it.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use tidemark::destination::files::store::{Created, Store};
use tidemark::error::Kind;

const MIB: usize = 1 << 20;

/// A store under test, and a prefix that nobody else uses.
pub struct Suite {
    store: Arc<dyn Store>,
    prefix: String,
    sweeps: bool,
}

/// The whole suite.
pub async fn conforms(store: Arc<dyn Store>, fresh_prefix: &str) {
    Suite { store, prefix: fresh_prefix.to_owned(), sweeps: true }.run().await;
}

/// For a store that cannot see unfinished uploads: all but what a sweep ends.
#[allow(dead_code)]
pub async fn conforms_without_sweep(store: Arc<dyn Store>, fresh_prefix: &str) {
    Suite { store, prefix: fresh_prefix.to_owned(), sweeps: false }.run().await;
}

impl Suite {
    async fn run(self) {
        timed("creates_once", self.creates_once()).await;
        timed("one_of_many_creates", self.one_of_many_creates()).await;
        timed("reads_what_is_there", self.reads_what_is_there()).await;
        timed("refuses_what_is_no_key", self.refuses_what_is_no_key()).await;
        timed("lists_in_byte_order", self.lists_in_byte_order()).await;
        timed("lists_more_than_a_page", self.lists_more_than_a_page()).await;
        timed("takes_names_literally", self.takes_names_literally()).await;
        timed("deletes", self.deletes()).await;
        timed("shows_an_upload_when_finished", self.shows_an_upload_when_finished()).await;
        timed("replaces_by_upload", self.replaces_by_upload()).await;
        timed("aborts", self.aborts()).await;
        timed("drops", self.drops()).await;
        timed("sweeps_the_dead", self.sweeps_the_dead()).await;
        timed("uploads_side_by_side", self.uploads_side_by_side()).await;
        timed("carries_a_big_object", self.carries_a_big_object()).await;
        timed("leaves_nothing", self.leaves_nothing()).await;
    }

    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    async fn create(&self, key: &str, body: &'static [u8]) -> Created {
        self.store.create(key, Bytes::from_static(body)).await.unwrap()
    }

    async fn body(&self, key: &str) -> Option<Bytes> {
        self.store.get(key).await.unwrap()
    }

    /// The keys under the suite's prefix, without it.
    async fn list(&self, prefix: &str, after: Option<&str>) -> Vec<String> {
        let after = after.map(|after| self.key(after));
        let keys = self.store.list(&self.key(prefix), after.as_deref()).await.unwrap();
        let start = self.key("");
        keys.iter().map(|key| key.strip_prefix(&start).expect("a key below the prefix").to_owned()).collect()
    }

    async fn creates_once(&self) {
        let key = self.key("once/00000000000000000001.json");
        assert_eq!(self.create(&key, b"first").await, Created::Yes);
        assert_eq!(self.create(&key, b"second").await, Created::AlreadyThere);
        assert_eq!(self.create(&key, b"first").await, Created::AlreadyThere, "its own body makes no difference");
        assert_eq!(self.body(&key).await.unwrap(), "first");
        assert_eq!(self.list("once/", None).await, ["once/00000000000000000001.json"]);
        let empty = self.key("once/empty");
        assert_eq!(self.create(&empty, b"").await, Created::Yes);
        assert_eq!(self.create(&empty, b"x").await, Created::AlreadyThere);
        assert_eq!(self.body(&empty).await.unwrap(), "");
    }

    async fn one_of_many_creates(&self) {
        for round in 0..4 {
            let key = self.key(&format!("race/{round}"));
            let callers = (0..8).map(|caller| {
                let (store, key) = (self.store.clone(), key.clone());
                let body = Bytes::from(format!("caller {caller}").repeat(500));
                tokio::spawn(async move { (store.create(&key, body.clone()).await.unwrap(), body) })
            });
            let answers: Vec<_> = join_all(callers).await.into_iter().map(|answer| answer.unwrap()).collect();
            let winners: Vec<_> = answers.iter().filter(|(created, _)| *created == Created::Yes).collect();
            assert_eq!(winners.len(), 1, "round {round}: {} callers created the object", winners.len());
            assert_eq!(self.body(&key).await.unwrap(), winners[0].1, "round {round}");
        }
    }

    async fn reads_what_is_there(&self) {
        assert_eq!(self.body(&self.key("nothing")).await, None);
        assert_eq!(self.body(&self.key("no/such/folder/nothing")).await, None);
        assert!(self.list("no/such/folder/", None).await.is_empty());
        assert!(self.list("nothing", None).await.is_empty());
        assert!(self.store.url(&self.key("a")).ends_with(&self.key("a")));
    }

    async fn refuses_what_is_no_key(&self) {
        for name in ["", "a/../../b", "a//b", "./a", "a/", "a/..", "a\nb"] {
            let key = self.key(name);
            let body = || Bytes::from_static(b"x");
            let refusals = [
                self.store.create(&key, body()).await.err(),
                self.store.get(&key).await.err(),
                self.store.delete(std::slice::from_ref(&key)).await.err(),
                self.store.upload(&key).await.err(),
            ];
            for refusal in refusals {
                assert_eq!(refusal.expect("an error").kind(), Kind::Bug, "{key:?}");
            }
        }
    }

    async fn lists_in_byte_order(&self) {
        // `-` and `.` sort before `/`, digits and letters after it: a walk of folders would differ.
        let keys = ["l/a-b", "l/a.c", "l/a/x", "l/a/y/z", "l/a0", "l/ab", "l/b", "l/ä"];
        for key in keys.iter().rev() {
            assert_eq!(self.create(&self.key(key), b"x").await, Created::Yes);
        }
        assert_eq!(self.list("l/", None).await, keys);
        assert_eq!(self.list("l", None).await, keys);
        assert_eq!(self.list("l/a", None).await, &keys[..6]);
        assert_eq!(self.list("l/a/", None).await, &keys[2..4]);
        assert_eq!(self.list("l/a/y", None).await, &keys[3..4]);
        assert_eq!(self.list("l/a/y/z", None).await, &keys[3..4]);
        assert!(self.list("l/a/z", None).await.is_empty());
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(self.list("l/", Some(key)).await, &keys[n + 1..], "after {key}");
        }
        assert_eq!(self.list("l/", Some("l/a/")).await, &keys[2..], "after what is not there");
        assert_eq!(self.list("l/", Some("l/a/y")).await, &keys[3..]);
        assert_eq!(self.list("l/a/", Some("k")).await, &keys[2..4], "after what lies before the prefix");
        assert!(self.list("l/a/", Some("m")).await.is_empty(), "after what lies behind the prefix");
    }

    async fn lists_more_than_a_page(&self) {
        let names: Vec<_> = (0..1010).map(|n| format!("many/{n:020}.json")).collect();
        let creations = names.iter().map(|name| {
            let key = self.key(name);
            async move { self.create(&key, b"{}").await }
        });
        let created: Vec<_> = stream::iter(creations).buffer_unordered(16).collect().await;
        assert!(created.iter().all(|created| *created == Created::Yes));
        assert_eq!(self.list("many/", None).await, names);
        for after in [0, 8, 998, 999, 1000, 1009] {
            assert_eq!(self.list("many/", Some(&names[after])).await, &names[after + 1..], "after {after}");
        }
        let keys: Vec<_> = names.iter().map(|name| self.key(name)).collect();
        self.store.delete(&keys).await.unwrap();
        assert!(self.list("many/", None).await.is_empty());
    }

    async fn takes_names_literally(&self) {
        let mut names: Vec<_> = [
            "Ärger.csv",
            "日本語",
            "🦀",
            "a b",
            "a+b",
            "a%2Fb",
            "a%20b",
            "a=b&c",
            "a#b?c",
            "a:b;c@d",
            "~a!$",
            "(a)[b]{c}",
            "'a\"b",
            "<a>",
            "a|b^c`",
            "..a",
            "a..",
            "-",
            "%25",
        ]
        .iter()
        .map(|name| format!("names/{name}"))
        .collect();
        names.sort_unstable();
        for name in &names {
            let key = self.key(name);
            let body = Bytes::from(key.clone());
            assert_eq!(self.store.create(&key, body.clone()).await.unwrap(), Created::Yes, "{key}");
            assert_eq!(self.store.create(&key, body).await.unwrap(), Created::AlreadyThere, "{key}");
        }
        assert_eq!(self.list("names/", None).await, names);
        for name in &names {
            let key = self.key(name);
            assert_eq!(self.body(&key).await.unwrap(), key);
            let mut upload = self.store.upload(&key).await.unwrap();
            upload.write(Bytes::from_static(b"replaced")).await.unwrap();
            upload.finish().await.unwrap();
            assert_eq!(self.body(&key).await.unwrap(), "replaced", "{key}");
        }
        self.store.delete(&names.iter().map(|name| self.key(name)).collect::<Vec<_>>()).await.unwrap();
        assert!(self.list("names/", None).await.is_empty());
    }

    async fn deletes(&self) {
        self.store.delete(&[]).await.unwrap();
        self.store.delete(&[self.key("gone"), self.key("no/such/folder/gone")]).await.unwrap();
        for name in ["d/1", "d/2", "d/deep/3", "d/deep/er/4"] {
            self.create(&self.key(name), b"x").await;
        }
        self.store.delete(&[self.key("d/2"), self.key("d/gone"), self.key("d/deep/er/4")]).await.unwrap();
        assert_eq!(self.list("d/", None).await, ["d/1", "d/deep/3"]);
        self.store.delete(&[self.key("d/1"), self.key("d/deep/3")]).await.unwrap();
        assert!(self.list("d/", None).await.is_empty());
        assert_eq!(self.create(&self.key("d/deep/er/4"), b"again").await, Created::Yes);
        assert_eq!(self.body(&self.key("d/deep/er/4")).await.unwrap(), "again");
    }

    async fn shows_an_upload_when_finished(&self) {
        for (name, size) in [("u/empty", 0), ("u/small", 1000), ("u/large", 9 * MIB + 17)] {
            let (key, body) = (self.key(name), noise(size, 7));
            let mut upload = self.store.upload(&key).await.unwrap();
            for piece in in_pieces(&body, 300_000) {
                upload.write(piece).await.unwrap();
                assert!(upload.held() <= 32 * MIB, "{} bytes held", upload.held());
            }
            assert_eq!(self.body(&key).await, None, "{name} shows before it is finished");
            assert!(self.list(name, None).await.is_empty(), "{name} is listed before it is finished");
            upload.finish().await.unwrap();
            assert!(self.body(&key).await.unwrap() == body, "{name} differs");
            assert_eq!(self.list(name, None).await, [name]);
            assert_eq!(self.create(&key, b"x").await, Created::AlreadyThere);
        }
    }

    async fn replaces_by_upload(&self) {
        for size in [10, 10 * MIB] {
            let key = self.key(&format!("replaced/{size}"));
            self.create(&key, b"old").await;
            let body = noise(size, 3);
            let mut upload = self.store.upload(&key).await.unwrap();
            upload.write(body.clone()).await.unwrap();
            assert_eq!(self.body(&key).await.unwrap(), "old");
            upload.finish().await.unwrap();
            assert!(self.body(&key).await.unwrap() == body);
        }
    }

    async fn aborts(&self) {
        for size in [0, 10, 20 * MIB] {
            let key = self.key(&format!("aborted/{size}"));
            let mut upload = self.store.upload(&key).await.unwrap();
            for piece in in_pieces(&noise(size, 5), 3 * MIB) {
                upload.write(piece).await.unwrap();
            }
            upload.abort().await;
            assert_eq!(self.body(&key).await, None);
        }
        assert!(self.list("aborted", None).await.is_empty());
        assert_eq!(self.create(&self.key("aborted/0"), b"x").await, Created::Yes, "the name is free");
    }

    async fn drops(&self) {
        let key = self.key("dropped/1");
        let mut upload = self.store.upload(&key).await.unwrap();
        upload.write(noise(9 * MIB, 5)).await.unwrap();
        drop(upload);
        assert_eq!(self.body(&key).await, None);
        self.store.sweep(&self.key("dropped/"), &|_| true).await.unwrap();
        assert!(self.list("dropped/", None).await.is_empty());
    }

    async fn sweeps_the_dead(&self) {
        let begin = async |name: &str| {
            let mut upload = self.store.upload(&self.key(name)).await.unwrap();
            // More than a piece, so that the store has seen it.
            upload.write(noise(9 * MIB, 11)).await.unwrap();
            upload
        };
        let finished = self.key("swept/t/5-finished");
        self.create(&finished, b"x").await;
        let dead = begin("swept/t/5-1").await;
        let alive = begin("swept/t/6-1").await;
        let elsewhere = begin("swept/other/5-1").await;
        let start = self.key("swept/t/5-");
        self.store.sweep(&self.key("swept/t/"), &|key| key.starts_with(&start)).await.unwrap();
        assert_eq!(self.body(&finished).await.unwrap(), "x", "a sweep ends uploads, not objects");
        alive.finish().await.unwrap();
        elsewhere.finish().await.unwrap();
        assert_eq!(self.list("swept/", None).await, ["swept/other/5-1", "swept/t/5-finished", "swept/t/6-1"]);
        if self.sweeps {
            assert_eq!(dead.finish().await.expect_err("a swept upload").kind(), Kind::Conflict);
            assert_eq!(self.body(&self.key("swept/t/5-1")).await, None);
        } else {
            dead.abort().await;
        }
        self.store.sweep(&self.key("swept/"), &|_| true).await.unwrap();
        self.store.sweep(&self.key("no/such/folder/"), &|_| true).await.unwrap();
    }

    async fn uploads_side_by_side(&self) {
        // Below, at and above the borders of pieces of 5 and 8 MiB.
        let sizes = [5 * MIB - 1, 5 * MIB, 8 * MIB, 8 * MIB + 1, 10 * MIB, 16 * MIB, 16 * MIB + 1];
        let uploads = sizes.iter().map(|&size| async move {
            let (key, body) = (self.key(&format!("beside/{size}")), noise(size, size as u64));
            self.send(&key, &body, 700_001).await;
            assert!(self.body(&key).await.unwrap() == body, "{size} bytes differ");
        });
        join_all(uploads).await;
        assert_eq!(self.list("beside/", None).await.len(), sizes.len());
    }

    async fn carries_a_big_object(&self) {
        let (key, body) = (self.key("big"), noise(40 * MIB + 12_345, 42));
        self.send(&key, &body, 2_345_678).await;
        let got = self.body(&key).await.unwrap();
        assert_eq!(got.len(), body.len());
        assert!(got == body, "the object differs");
        // The same in one piece.
        self.send(&key, &body, body.len()).await;
        assert!(self.body(&key).await.unwrap() == body, "the object differs");
    }

    async fn send(&self, key: &str, body: &Bytes, piece: usize) {
        let mut upload = self.store.upload(key).await.unwrap();
        for piece in in_pieces(body, piece) {
            upload.write(piece).await.unwrap();
        }
        upload.finish().await.unwrap();
    }

    async fn leaves_nothing(&self) {
        let keys = self.store.list(&self.key(""), None).await.unwrap();
        assert!(!keys.is_empty());
        self.store.delete(&keys).await.unwrap();
        assert!(self.store.list(&self.key(""), None).await.unwrap().is_empty());
    }
}

/// Says how far the suite has come: shown when it fails.
async fn timed(check: &str, work: impl Future<Output = ()>) {
    println!("{check}");
    let before = Instant::now();
    work.await;
    println!("{check}: {:?}", before.elapsed());
}

fn in_pieces(body: &Bytes, size: usize) -> impl Iterator<Item = Bytes> {
    (0..body.len()).step_by(size).map(move |from| body.slice(from..(from + size).min(body.len())))
}

/// Bytes that do not repeat, the same for the same seed.
pub fn noise(size: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut body = Vec::with_capacity(size + 8);
    while body.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        body.extend_from_slice(&state.to_le_bytes());
    }
    body.truncate(size);
    body.into()
}
