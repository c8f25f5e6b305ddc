//! Refresh tokens that are good for one use, runs side by side, and runs that are killed in their midst.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use futures_util::future::join_all;

use super::*;

/// A server whose refresh tokens are good once: whoever sends an old one is refused. Its first is `r0`.
struct Rotating {
    next: Mutex<usize>,
    server: Arc<Scripted>,
}

impl Rotating {
    fn new() -> Arc<Self> {
        Self::with(|_| {})
    }

    /// `before` is called with the number of the token that was sent, before it is answered.
    fn with(before: impl Fn(usize) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new_cyclic(|this: &std::sync::Weak<Self>| {
            let this = this.clone();
            let server = Scripted::new(move |request| {
                let this = this.upgrade().unwrap();
                let mut next = this.next.lock().unwrap();
                before(*next);
                let is_good = body(request).contains(&format!("refresh_token=r{}&", *next));
                if !is_good {
                    return answer(400, &[], r#"{"error":"invalid_grant"}"#);
                }
                *next += 1;
                answer(
                    200,
                    &[],
                    &format!("{{\"access_token\":\"a{next}\",\"refresh_token\":\"r{next}\",\"expires_in\":60}}"),
                )
            });
            Self { next: Mutex::new(0), server }
        })
    }

    /// As a run makes it.
    fn run(&self, store: &Path, configured: &str) -> Arc<dyn Auth> {
        self.run_as("tidemark", store, configured)
    }

    fn run_as(&self, client: &str, store: &Path, configured: &str) -> Arc<dyn Auth> {
        let values = [
            ("auth", "oauth2_refresh_token"),
            ("token_url", "https://auth.example.com/token"),
            ("client_id", client),
            ("refresh_token", configured),
            ("token_store", store.to_str().unwrap()),
        ];
        auth(&values, self.server.clone()).unwrap()
    }
}

async fn token(auth: &Arc<dyn Auth>) -> Result<String> {
    Ok(header(&signed(auth).await?.0, "authorization"))
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("crm.token");
    (folder, store)
}

fn aside(store: &Path) -> PathBuf {
    store.with_extension("token.new")
}

fn kept(store: &Path) -> String {
    let text: serde_json::Value = serde_json::from_slice(&fs::read(store).unwrap()).unwrap();
    text["refresh_token"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn each_run_goes_on_with_the_token_that_the_one_before_kept() {
    let (_folder, store) = folder();
    let server = Rotating::new();
    for number in 1..=3 {
        assert_eq!(token(&server.run(&store, "r0")).await.unwrap(), format!("Bearer a{number}"));
        assert_eq!(kept(&store), format!("r{number}"));
        assert!(!aside(&store).exists());
    }
    assert!(!fs::read_to_string(&store).unwrap().contains("\"r0\""));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_put_in_anew_wins() {
    let (_folder, store) = folder();
    let server = Rotating::new();
    token(&server.run(&store, "r0")).await.unwrap();
    // Somebody logs in again: what is kept is refused from now on.
    *server.next.lock().unwrap() = 50;
    assert_eq!(token(&server.run(&store, "r0")).await.unwrap_err().kind(), Kind::Denied);
    assert_eq!(token(&server.run(&store, "r50")).await.unwrap(), "Bearer a51");
    assert_eq!(token(&server.run(&store, "r50")).await.unwrap(), "Bearer a52");
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn the_store_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, store) = folder();
    let server = Rotating::new();
    token(&server.run(&store, "r0")).await.unwrap();
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
    for mode in [0o640, 0o604, 0o660] {
        fs::set_permissions(&store, fs::Permissions::from_mode(mode)).unwrap();
        let error = token(&server.run(&store, "r0")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.to_string().contains("chmod 600") && !error.to_string().contains("r1"), "{error}");
    }
    assert_eq!(server.server.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn runs_side_by_side_each_use_a_token_once() {
    let (_folder, store) = folder();
    let server = Rotating::new();
    let runs: Vec<_> = (0..8).map(|_| server.run(&store, "r0")).collect();
    let all = join_all(runs.iter().flat_map(|run| (0..5).map(move |_| token(run)))).await;
    let mut tokens: Vec<_> = all.into_iter().map(|token| token.unwrap()).collect();
    tokens.sort();
    tokens.dedup();
    assert_eq!((tokens.len(), server.server.asked()), (8, 8));
    assert_eq!(kept(&store), "r8");
}

/// Before the server is asked: nothing is lost. After it has answered and before the token is whole on the disk: it is lost, and
/// the message says what to do. After that: it is found, wherever it stands.
#[tokio::test(start_paused = true)]
async fn a_kill_at_any_step_ends_well_or_says_what_to_do() {
    let whole = {
        let (_folder, store) = folder();
        let server = Rotating::new();
        for _ in 0..2 {
            token(&server.run(&store, "r0")).await.unwrap();
        }
        fs::read(&store).unwrap()
    };
    for (left, is_answered, wanted) in [
        (None, false, Ok("Bearer a2")),
        (Some(&b""[..]), false, Ok("Bearer a2")),
        (Some(&b""[..]), true, Err(Kind::Denied)),
        (Some(&whole[..whole.len() / 2]), true, Err(Kind::Denied)),
        (Some(&whole[..]), true, Ok("Bearer a3")),
    ] {
        let (_folder, store) = folder();
        let server = Rotating::new();
        token(&server.run(&store, "r0")).await.unwrap();
        if is_answered {
            *server.next.lock().unwrap() = 2;
        }
        if let Some(left) = left {
            fs::write(aside(&store), left).unwrap();
            private(&aside(&store));
        }
        match (token(&server.run(&store, "r0")).await, wanted) {
            (Ok(got), Ok(wanted)) => assert_eq!(got, wanted),
            (Err(error), Err(kind)) => {
                assert_eq!(error.kind(), kind);
                assert!(error.to_string().contains("log in again"), "{error}");
            }
            (got, wanted) => panic!("{got:?}, not {wanted:?}"),
        }
        assert!(!aside(&store).exists());
    }
}

fn private(_path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(_path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_access_token_is_not_used_while_its_refresh_token_is_not_kept() {
    let (_folder, store) = folder();
    let in_the_way = store.clone();
    // A folder where the file should be: it cannot be put there.
    let server = Rotating::with(move |_| fs::create_dir(&in_the_way).unwrap());
    let error = token(&server.run(&store, "r0")).await.unwrap_err();
    assert!(error.to_string().contains("could not be kept") && !error.to_string().contains("r1"), "{error}");
    // It was not thrown away either: once the way is free the next run takes it up.
    fs::remove_dir(&store).unwrap();
    let next = Rotating::new();
    *next.next.lock().unwrap() = 1;
    assert_eq!(token(&next.run(&store, "r0")).await.unwrap(), "Bearer a2");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_written_is_found_out_before_the_server_is_asked() {
    let (folder, _) = folder();
    let server = Rotating::new();
    let error = token(&server.run(&folder.path().join("nowhere/crm.token"), "r0")).await.unwrap_err();
    assert_eq!((error.kind(), server.server.asked()), (Kind::Config, 0));
    assert!(error.message().contains("`token_store`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_store_of_another_client_and_what_is_no_store_are_refused() {
    let (_folder, store) = folder();
    let server = Rotating::new();
    token(&server.run(&store, "r0")).await.unwrap();
    let error = token(&server.run_as("other", &store, "r0")).await.unwrap_err();
    assert!(error.message().contains("another client"), "{error}");
    fs::write(&store, "r1").unwrap();
    let error = token(&server.run(&store, "r0")).await.unwrap_err();
    assert_eq!((error.kind(), server.server.asked()), (Kind::Config, 1));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_stays_needs_no_file() {
    let (_folder, store) = folder();
    let server = Scripted::new(|_| answer(200, &[], &granted("a")));
    let rotating = Rotating { next: Mutex::new(0), server };
    assert_eq!(token(&rotating.run(&store, "r0")).await.unwrap(), "Bearer a");
    assert!(!store.exists() && !aside(&store).exists());
}
