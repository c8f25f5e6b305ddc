//! Secrets never appear: not in what the program says, however much it is asked to say, nor in what it writes.

use std::path::Path;

use super::Folder;

const MARKER: &str = "hunter2-MARKER";

/// Ports on which nobody listens: what fails are the connections.
const CONFIG: &str = "\
[pipeline]
retries = 0

[source plain]
type = mysql
hostname = 127.0.0.1
port = 1
username = reader
password = hunter2-MARKER
database = shop
connect_timeout = 2s

[source variable]
type = postgres
hostname = 127.0.0.1
port = 1
username = reader
password = ${TIDEMARK_TEST_SECRET}
database = shop
connect_timeout = 2s

[source file]
type = mysql
hostname = 127.0.0.1
port = 1
username = reader
password_file = secret.txt
database = shop
connect_timeout = 2s

[source in_url]
type = postgres
url = postgres://reader:hunter2-MARKER@127.0.0.1:1/shop
connect_timeout = 2s

[destination lake]
type = local
path = lake

[destination bucket]
type = s3
bucket = lake
region = eu-west-1
endpoint = http://127.0.0.1:1
access_key = reader
secret_key = hunter2-MARKER

[stream a]
source = plain
destination = lake
table = orders

[stream b]
as = b
source = variable
destination = lake
table = orders

[stream c]
source = file
destination = bucket
table = orders

[stream d]
as = d
source = in_url
destination = lake
table = orders
";

fn folder() -> Folder {
    let folder = Folder::new(CONFIG);
    std::fs::write(folder.join("secret.txt"), format!("{MARKER}\n")).unwrap();
    folder
}

#[track_caller]
fn quiet_about_it(folder: &Folder, line: &str) -> super::Ended {
    let ended: super::Ended = folder.command(line).env("TIDEMARK_TEST_SECRET", MARKER).output().unwrap().into();
    assert!(!ended.out.contains(MARKER), "{line}: {}", ended.out);
    assert!(!ended.err.contains(MARKER), "{line}: {}", ended.err);
    for path in files_below(folder.path()) {
        let own = path.ends_with("pipeline.conf") || path.ends_with("secret.txt");
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(MARKER.len()).any(|window| window == MARKER.as_bytes());
        assert!(own || !found, "{line}: {} holds it", path.display());
    }
    ended
}

fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn a_run_that_fails_everywhere() {
    let folder = folder();
    for line in ["run --log-format json -vv", "run -vv"] {
        let ended = quiet_about_it(&folder, line).expect(75);
        let summary = ended.summary();
        assert_eq!(summary["streams"].as_array().unwrap().len(), 4, "{summary}");
    }
    quiet_about_it(&folder, "status --json --runs 5").expect(0);
}

#[test]
fn a_check_that_fails_everywhere() {
    quiet_about_it(&folder(), "check --log-format json -vv").expect(75);
}

#[test]
fn a_file_with_mistakes() {
    for (from, to) in [
        ("password = hunter2-MARKER", "pasword = hunter2-MARKER"),
        ("port = 1", "port = hunter2-MARKER"),
        ("password = hunter2-MARKER", "password = hunter2-MARKER${NOT_SET_AT_ALL}"),
        ("password = hunter2-MARKER", "password hunter2-MARKER"),
        ("secret_key = hunter2-MARKER\n", "secret_key = hunter2-MARKER\nsecret_key = hunter2-MARKER\n"),
        ("endpoint = http://127.0.0.1:1", "endpoint = hunter2-MARKER"),
        ("url = postgres://reader:hunter2-MARKER@127.0.0.1:1/shop", "url = postgres:// reader:hunter2-MARKER@:x/[shop"),
    ] {
        assert!(CONFIG.contains(from), "{from}");
        let folder = folder();
        std::fs::write(folder.join("pipeline.conf"), CONFIG.replacen(from, to, 1)).unwrap();
        for line in ["run -vv", "run --log-format json -vv", "check", "files a"] {
            quiet_about_it(&folder, line).expect(2);
        }
        // A variable that is not set concerns only those who need it.
        let looked = quiet_about_it(&folder, "status --json");
        looked.expect(if to.contains("${") { 0 } else { 2 });
    }
}
