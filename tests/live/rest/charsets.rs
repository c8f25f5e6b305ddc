//! Answers that are not UTF-8.

use super::{folder, lines};
use crate::api::{Server, Settings};

const FORMATS: [(&str, &str); 3] = [
    ("/csv", "response_format = csv"),
    ("/lines", "response_format = json_lines\nparam.shape = small"),
    ("/xml", "response_format = xml\nrecords = response.records.record"),
];

/// The rows of one page, as they were written.
fn rows(server: &Server, (path, keys): (&str, &str), more: &str) -> Vec<String> {
    let folder = folder(server, "", &format!("path = {path}\nparam.per_page = 900\n{keys}\n{more}"));
    folder.run("run", 0);
    lines(&folder)
}

#[test]
fn rows_are_the_same_in_every_charset() {
    let server = Server::with(Settings { records: 900, ..Settings::default() });
    for format in FORMATS {
        let plain = rows(&server, format, "");
        assert_eq!(plain.len(), 900);
        assert!(plain.iter().any(|row| row.contains("花子")), "{}", plain[0]);
        assert_eq!(rows(&server, format, "param.charset = utf-16"), plain, "{format:?}");
        assert_eq!(rows(&server, format, "param.charset = utf-16\nresponse_charset = utf-16le"), plain, "{format:?}");
        // What it says of itself is wrong: these bytes are other characters then.
        assert_ne!(rows(&server, format, "response_charset = windows-1252"), plain, "{format:?}");
    }
}

#[test]
fn what_is_no_text_names_the_key() {
    let server = Server::new();
    for format in FORMATS {
        let keys = format!("path = {}\n{}\nresponse_charset = shift_jis", format.0, format.1);
        let (_, said) = folder(&server, "", &keys).run("run", 65);
        assert!(said.contains("is not Shift_JIS at byte") && said.contains("`response_charset`"), "{said}");
        folder(&server, "", &format!("{keys}\ninvalid_text = replace")).run("run", 0);
    }
    let refused = folder(&server, "", "path = /csv\nresponse_format = csv\nresponse_charset = klingon");
    let (_, said) = refused.run("check", 2);
    assert!(said.contains("must be the name of a charset"), "{said}");
    let (_, said) = folder(&server, "", "path = /array\nxml_lists = tag").run("check", 2);
    assert!(said.contains("is of `response_format = xml`"), "{said}");
}
