//! What `record` and `run --replay` refuse, before they make anything. `tests/live/rest/recorded.rs` has what they do.

use super::{CONFIG, Ended, Folder};

/// An API where nobody listens, beside the shop.
fn folder() -> Folder {
    let web = "[source web]\ntype = rest\nbase_url = http://127.0.0.1:1\nauth = bearer\ntoken = ${NOT_SET_AT_ALL}\n\
               [stream api]\nsource = web\ndestination = lake\npath = /users\n";
    let folder = Folder::new(&format!("{CONFIG}{web}"));
    folder.shop(
        "create table orders (id integer primary key); create table items (id integer primary key);
         create table users (id integer primary key);",
    );
    folder
}

#[track_caller]
fn refused(folder: &Folder, args: &[&str], said: &[&str]) -> Ended {
    let ended: Ended = folder.command("").args(args).output().unwrap().into();
    let ended = ended.expect(2);
    for part in said {
        assert!(ended.err.contains(part), "{part}: {}", ended.err);
    }
    for made in ["d", "lake", "tidemark.db"] {
        assert!(!folder.join(made).exists(), "{args:?} makes {made}");
    }
    ended
}

const HEAD: &str = r#"{"recording":"","version":1,"server":"","at":"2026-01-01T00:00:00Z"}"#;

#[test]
fn a_replay_has_a_folder_of_its_own() {
    let folder = folder();
    std::fs::write(folder.join("a.jsonl"), format!("{HEAD}\n")).unwrap();
    let ended = refused(
        &folder,
        &["run", "api", "--replay", "a.jsonl"],
        &["--replay needs --into DIR", "never delivered as real"],
    );
    assert_eq!(ended.summary()["error_kind"], "config");
    let parent = folder.path().to_str().unwrap();
    refused(&folder, &["run", "api", "--replay", "a.jsonl", "--into", parent], &["holds other files"]);
    refused(&folder, &["run", "api", "orders", "--replay", "a.jsonl", "--into", "d"], &["runs one stream"]);
    refused(&folder, &["run", "a*", "--replay", "a.jsonl", "--into", "d"], &["`a*` is not the name of one [stream]"]);
}

#[test]
fn faults_that_there_are_not_are_refused_with_those_that_there_are() {
    let folder = folder();
    std::fs::write(folder.join("a.jsonl"), format!("{HEAD}\n")).unwrap();
    for (faults, said) in [
        ("429 10%, sulk 5%", "`sulk 5%` is no fault"),
        ("reset", "`reset` needs a share"),
        ("seed x", "`seed x` needs a whole number"),
        ("reset 60%, empty 60%", "more than 100%"),
    ] {
        let args = ["run", "api", "--replay", "a.jsonl", "--into", "d", "--faults", faults];
        refused(&folder, &args, &[said, "`timeout`, `reset`, `truncated`, `html` or `empty`"]);
    }
}

#[test]
fn files_that_are_no_recordings_are_refused() {
    let folder = folder();
    let replay = ["run", "api", "--replay", "a.jsonl", "--into", "d"];
    refused(&folder, &replay, &["a.jsonl: ", "`tidemark record` makes such a file"]);
    for (text, said) in [
        ("id\n1\n".to_owned(), "is no recording"),
        (String::new(), "is empty"),
        (format!("{HEAD}\nhunter2-MARKER\n"), "line 2"),
        (HEAD.replace(":1,", ":9,"), "version 9"),
    ] {
        std::fs::write(folder.join("a.jsonl"), text).unwrap();
        let ended = refused(&folder, &replay, &[said]);
        assert!(!ended.err.contains("MARKER"), "{}", ended.err);
    }
}

#[test]
fn an_empty_recording_has_no_answer_and_says_so() {
    let folder = folder();
    std::fs::write(folder.join("a.jsonl"), format!("{HEAD}\n")).unwrap();
    let ended = folder.run("run api --replay a.jsonl --into d").expect(2);
    let error = ended.summary()["streams"][0]["error"].as_str().unwrap().to_owned();
    assert!(
        error.contains("GET /users: a.jsonl has no answer") && error.contains("record the stream again"),
        "{error}"
    );
    assert!(folder.join("d/replayed.txt").exists() && folder.join("d/tidemark.db").exists());
    assert!(!folder.join("tidemark.db").exists(), "the job log is the replay's");
}

#[test]
fn only_apis_are_recorded() {
    let folder = folder();
    refused(&folder, &["record", "api", "b.jsonl"], &["NOT_SET_AT_ALL"]);
    let mended = std::fs::read_to_string(folder.join("pipeline.conf")).unwrap().replace("${NOT_SET_AT_ALL}", "t0ken");
    std::fs::write(folder.join("pipeline.conf"), mended).unwrap();
    refused(&folder, &["record", "orders", "b.jsonl"], &["`type = sqlite`", "`type = rest`"]);
    refused(&folder, &["run", "orders", "--replay", "b.jsonl", "--into", "d"], &["`type = sqlite`"]);
    refused(&folder, &["record", "nothing", "b.jsonl"], &["there is no stream `nothing`"]);
    std::fs::write(folder.join("there.jsonl"), "mine").unwrap();
    refused(&folder, &["record", "api", "there.jsonl"], &["there.jsonl: ", "written over nothing"]);
    assert_eq!(std::fs::read_to_string(folder.join("there.jsonl")).unwrap(), "mine");
    assert!(!folder.join("b.jsonl").exists());
}
