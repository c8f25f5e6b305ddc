//! Keys that no source has yet: families, and the names that a kind of source has for keys of others.

use tidemark::config::{Config, Environment, Key, Kind, Registry, Section, StreamSection, Value};

const STREAM_KEYS: &[Key] = &[
    Key::new("table", Value::Text, "The table."),
    Key::new("tables", Value::List, "Tables."),
    Key::new("query", Value::Sql, "A query."),
    Key::new("columns", Value::List, "Columns."),
    Key::new("chunk_rows", Value::Integer(1, 9), "Rows.").default("5"),
];

static DOCUMENTS: Kind = Kind {
    name: "documents",
    about: "Documents.",
    keys: &[&[Key::new("path", Value::Path, "Where.").required(), Key::new("password", Value::Text, "It.").secret()]],
    stream_keys: &[
        Key::new("default.", Value::Text, "What stands where a document has no such field.").family(),
        Key::new("column.", Value::OneOf(&["int", "text"]), "A column.").family(),
        Key::new("record_limit", Value::Integer(1, 9), "Records.").default("7"),
    ],
    aliases: &[("collection", "table"), ("collections", "tables"), ("fields", "columns"), ("limit", "record_limit")],
};

static TABLES: Kind = Kind { name: "tables", about: "Tables.", keys: &[], stream_keys: &[], aliases: &[] };

static JOB_LOG: Kind = Kind { name: "job_log", about: "Runs.", keys: &[], stream_keys: &[], aliases: &[] };

static SOURCES: &[&Kind] = &[&DOCUMENTS, &TABLES];
static DESTINATIONS: &[&Kind] = &[&TABLES];

const FILE: &str = "\
[source shop]
type = documents
path = shop

[destination lake]
type = tables

[stream orders]
source = shop
destination = lake
";

fn load_with<const N: usize>(text: &str, set: [(&str, &str); N]) -> Result<Config, String> {
    let config = Config::parse(text, "pipeline.conf".as_ref(), &registry(), &Environment::of(set));
    config.map_err(|error| error.message().to_owned())
}

fn registry() -> Registry {
    Registry {
        sources: SOURCES,
        destinations: DESTINATIONS,
        format_keys: &[],
        job_log: &JOB_LOG,
        pipeline_keys: &[],
        pipeline_stream_keys: &[],
        stream_keys: STREAM_KEYS,
        source_stream_keys: &[],
        check: |_, _| Ok(()),
        check_streams: |_| Vec::new(),
    }
}

/// The stream of a file that ends with these lines.
fn stream(lines: &str) -> Result<StreamSection, String> {
    load_with(&format!("{FILE}{lines}"), [("HERE", "there")]).map(|config| config.streams[0].clone())
}

fn members<'s>(section: &'s Section, family: &str) -> Vec<(&'s str, &'s str)> {
    section.members(family).collect()
}

#[track_caller]
fn refused(lines: &str, wanted: &str) {
    assert_eq!(stream(lines).unwrap_err(), wanted);
}

#[test]
fn what_a_section_says_itself_is_told_from_what_it_takes_over() {
    let file = FILE.replace("path = shop\n", "path = shop\ndefault.a = x\n");
    let text = format!("[DEFAULT]\ncolumns = a\nlimit = 3\n\n{file}table = t\nlimit = 4\n");
    let section = load_with(&text, []).unwrap().streams[0].section.clone();
    for (key, is_own) in [("table", true), ("record_limit", true), ("columns", false), ("default.a", false)] {
        assert!(section.is_set(key) && section.is_own(key) == is_own, "{key}");
    }
    assert!(!section.is_own("chunk_rows"), "that is a default");
    // A variable stands over the section's own key.
    let config = load_with(&text, [("TIDEMARK_STREAM_ORDERS_COLUMNS", "b")]).unwrap();
    assert!(config.streams[0].section.is_own("columns"));
}

#[test]
fn members_of_a_family_come_in_the_files_order() {
    let lines = "table = t\ncolumn.Total = int\ndefault.event_name = unknown\nCOLUMN.a.b = text\ncolumn.total=text\n";
    let section = stream(&format!("{lines}default.at = ${{HERE}}\n")).unwrap().section;
    assert_eq!(members(&section, "column."), [("Total", "int"), ("a.b", "text"), ("total", "text")]);
    assert_eq!(members(&section, "default."), [("event_name", "unknown"), ("at", "there")]);
    assert_eq!(section.get("default.event_name"), Some("unknown"));
    assert!(section.is_set("column.total") && !section.is_set("column.TOTAL") && section.get("default.").is_none());
    assert!(members(&section, "nothing.").is_empty() && members(&section, "table").is_empty());
    let error = section.error("default.event_name", "is no column");
    assert_eq!(error.message(), "pipeline.conf:13: [stream orders] `default.event_name` is no column");
}

#[test]
fn a_streams_members_stand_over_its_sources() {
    let source = "path = shop\ndefault.z = source\ndefault.a = source\n";
    let defaults = "\n[DEFAULT]\ndefault.all = default\ndefault.b = default\n";
    let text = format!("{FILE}table = t\ndefault.b = stream\ndefault.a = stream\n{defaults}");
    let config = load_with(&text.replace("path = shop\n", source), []).unwrap();
    let section = &config.streams[0].section;
    let wanted = [("b", "stream"), ("a", "stream"), ("all", "default"), ("z", "source")];
    assert_eq!(members(section, "default."), wanted);
    let (_, source) = &config.sources["shop"];
    assert_eq!(members(source, "default."), [("z", "source"), ("a", "source"), ("all", "default"), ("b", "default")]);
    let error = section.error("default.z", "is wrong").to_string();
    assert_eq!(error, "pipeline.conf:4: [stream orders] `default.z` is wrong");
}

#[test]
fn a_member_that_is_wrong_is_named_with_its_line() {
    refused(
        "table = t\ncolumn.Total = number\n",
        "pipeline.conf:12: [stream orders] `column.Total` must be one of int, text",
    );
    for (written, meant) in [
        ("defualt.event_name", " (did you mean `default.event_name`?)"),
        ("default", " (did you mean `default.NAME`?)"),
        ("colum.Total", " (did you mean `column.Total`?)"),
        ("zebra.Total", ""),
    ] {
        let wanted = format!("pipeline.conf:12: [stream orders] unknown key `{written}`{meant}");
        refused(&format!("table = t\n{written} = 1\n"), &wanted);
        let wanted = format!("pipeline.conf:13: [DEFAULT] unknown key `{written}`{meant}");
        refused(&format!("table = t\n[DEFAULT]\n{written} = 1\n"), &wanted);
    }
    refused(
        "table = t\ndefault.a = 1\ndefault.A = 2\nDefault.a = 3\n",
        "pipeline.conf:14: key `default.a` is already set on line 12; more lines of one value stand below it, indented",
    );
}

#[test]
fn no_variable_is_a_member() {
    let set = [("TIDEMARK_STREAM_ORDERS_DEFAULT_EVENT_NAME", "x")];
    let error = load_with(&format!("{FILE}table = t\ndefault.event_name = y\n"), set).unwrap_err();
    assert!(error.ends_with("_DEFAULT_EVENT_NAME: is no key of [stream orders]"), "{error}");
}

#[test]
fn whoever_only_looks_asks_for_a_family_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipeline.conf");
    std::fs::write(&path, format!("{FILE}table = t\ndefault.a = ${{NOT_SET}}\ndefault.b = 1\n")).unwrap();
    let config = Config::load_to_look(&path, &registry(), &Environment::of([])).unwrap();
    let section = &config.streams[0].section;
    assert_eq!(members(section, "default."), [("b", "1")]);
    assert!(section.have(["column.", "default.b", "table"]).is_ok());
    for key in ["default.", "default.a"] {
        let error = section.have([key]).unwrap_err().to_string();
        assert!(error.contains("[stream orders] `default.a`: environment variable NOT_SET is not set"), "{error}");
    }
}

#[test]
fn a_kinds_own_names_are_those_of_the_keys() {
    let section = stream("collection = Orders\nfields = a, b\nlimit = 3\n").unwrap().section;
    assert_eq!((section.get("table"), section.integer("record_limit").unwrap()), (Some("Orders"), 3));
    assert_eq!(section.list("columns"), ["a", "b"]);
    assert!(section.is_set("table") && !section.is_set("collection"));
    let named = ["table", "columns", "tables", "chunk_rows"].map(|key| section.name_of(key));
    assert_eq!(named, ["collection", "fields", "collections", "chunk_rows"]);
    let error = section.error("columns", "names `c`");
    assert_eq!(error.message(), "pipeline.conf:12: [stream orders] `fields` names `c`");
    // Who writes the key's own name reads that.
    let section = stream("table = Orders\n").unwrap().section;
    assert_eq!(section.name_of("table"), "table");
    // In the source's own section too, where the key may stand there; and for all.
    let config = load_with(&FILE.replace("path = shop", "path = shop\nlimit = 2"), []).unwrap_err();
    assert!(config.contains("needs one of `collection`, `collections` or `query`"), "{config}");
    let text =
        format!("{}\n[DEFAULT]\nfields = d\ncollection = all\n", FILE.replace("shop\n\n", "shop\nlimit = 2\n\n"));
    let section = load_with(&text, []).unwrap().streams[0].section.clone();
    assert_eq!(
        (section.get("table"), section.get("columns"), section.get("record_limit")),
        (Some("all"), Some("d"), Some("2"))
    );
}

#[test]
fn other_kinds_have_no_such_names() {
    let text = FILE.replace("type = documents\npath = shop", "type = tables");
    let error = load_with(&format!("{text}collection = t\n"), []).unwrap_err();
    let wanted = "\
        pipeline.conf:7: [stream orders] needs one of `table`, `tables` or `query`\n\
        pipeline.conf:10: [stream orders] unknown key `collection`";
    assert_eq!(error, wanted);
    let error = load_with(&FILE.replace("path = shop", "path = shop\nfields = a"), []).unwrap_err();
    assert!(error.contains("pipeline.conf:4: [source shop] unknown key `fields`"), "no key of a source: {error}");
}

#[test]
fn two_names_of_one_key_are_refused_by_both() {
    refused(
        "collection = a\ntable = b\n",
        "pipeline.conf:12: [stream orders] `table` is another name of `collection`, which is set on line 11 already: leave \
         one of them out",
    );
    refused(
        "collection = a\n[DEFAULT]\ncolumns = a\nfields = b\n",
        "pipeline.conf:14: [DEFAULT] `fields` is another name of `columns`, which is set on line 13 already: leave one of \
         them out",
    );
    refused(
        "collection = a\ntables = b\n",
        "pipeline.conf:8: [stream orders] needs one of `collection`, `tables` or `query`",
    );
    // What the section says stands over what is said for all.
    let section = stream("collection = a\nfields = c\n[DEFAULT]\ncolumns = a\n").unwrap().section;
    assert_eq!(section.get("columns"), Some("c"));
}

#[test]
fn messages_name_what_was_written() {
    refused("collection = a\nfields =\n", "pipeline.conf:12: [stream orders] `fields` must not be empty");
    refused(
        "collection = a\nfield = b\n",
        "pipeline.conf:12: [stream orders] unknown key `field` (did you mean `fields`?)",
    );
    refused(
        "colection = a\n",
        concat!(
            "pipeline.conf:8: [stream orders] needs one of `collection`, `collections` or `query`\n",
            "pipeline.conf:11: [stream orders] unknown key `colection` (did you mean `collection`?)"
        ),
    );
}

#[test]
fn variables_have_both_names() {
    let file = format!("{FILE}collection = a\n");
    let table = |set| load_with(&file, [set]).map(|config| config.streams[0].section.text("table").unwrap().to_owned());
    assert_eq!(table(("TIDEMARK_STREAM_ORDERS_COLLECTION", "b")).unwrap(), "b");
    assert_eq!(table(("TIDEMARK_STREAM_ORDERS_TABLE", "c")).unwrap(), "c");
    let both = [("TIDEMARK_STREAM_ORDERS_COLLECTION", "b"), ("TIDEMARK_STREAM_ORDERS_TABLE", "c")];
    let error = load_with(&file, both).unwrap_err();
    let wanted = "TIDEMARK_STREAM_ORDERS_COLLECTION: [stream orders] `table` is set by another variable too";
    assert_eq!(error, wanted);
    let error = load_with(&file, [("TIDEMARK_STREAM_ORDERS_COLECTION", "b")]).unwrap_err();
    assert!(error.contains("did you mean TIDEMARK_STREAM_ORDERS_COLLECTION?"), "{error}");
    let section = load_with(&file, [("TIDEMARK_STREAM_ORDERS_FIELDS", "b")]).unwrap().streams[0].section.clone();
    let error = section.error("columns", "is wrong");
    assert_eq!(error.message(), "TIDEMARK_STREAM_ORDERS_FIELDS: [stream orders] `fields` is wrong");
}

/// A stream has the keys of its source, its destination, the formats and `[pipeline]` side by side, so that what one of them
/// takes over would be read by another.
#[test]
fn no_two_keys_of_a_stream_have_one_name() {
    let registry = tidemark::pipeline::registry();
    for source in registry.sources {
        for destination in registry.destinations {
            let groups = [
                registry.stream_keys,
                registry.source_stream_keys,
                source.stream_keys,
                destination.stream_keys,
                registry.format_keys,
                registry.pipeline_stream_keys,
            ];
            let mut names: Vec<_> = groups.into_iter().flatten().map(|key| key.name).collect();
            names.sort_unstable();
            let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
            assert!(twice.is_empty(), "{} into {}: {twice:?}", source.name, destination.name);
        }
    }
}
