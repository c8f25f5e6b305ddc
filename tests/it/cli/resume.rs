//! A full load that died before its publication, and a configuration that was changed since.

use std::path::Path;

use super::Folder;

const SHOP: &str = "
create table orders (id integer primary key, region text, day date);
insert into orders values (1, 'EU', '2026-01-02'), (2, 'US', '2026-01-02'), (3, 'EU', null);
";

const STREAM: &str = "table = orders\nwhere = region = 'EU'\ncolumns = id, region, day\n";

fn config(stream: &str) -> String {
    format!(
        "[pipeline]\nname = test\n[source shop]\ntype = sqlite\npath = shop.db\n\
         [destination lake]\ntype = local\npath = lake\nformat = csv\n\
         [stream orders]\nsource = shop\ndestination = lake\n{stream}"
    )
}

/// A load of [`STREAM`] whose process died after its chunk's last commit and before the publication.
fn unpublished() -> Folder {
    let folder = Folder::new(&config(STREAM));
    folder.shop(SHOP);
    folder.run("run").expect(0);
    let publication = folder.join("lake/_commits/orders/00000000000000000002.json");
    assert!(std::fs::read_to_string(&publication).unwrap().contains("\"publishes\""));
    std::fs::remove_file(publication).unwrap();
    // The job log, which would miss that entry.
    for name in ["tidemark.db", "tidemark.db-wal", "tidemark.db-shm"] {
        let _ = std::fs::remove_file(folder.join(name));
    }
    folder
}

/// What the next run says and publishes, with its stream defined so.
fn next_run(stream: &str) -> (String, String) {
    let folder = unpublished();
    std::fs::write(folder.join("pipeline.conf"), config(stream)).unwrap();
    let said = folder.run("run --take-over -v").expect(0).err;
    let files = folder.run("files orders").expect(0).out;
    let published: Vec<_> = files.lines().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    // Of a load that was given up nothing stays.
    let folders = |path: &Path| std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let tables = folders(&folder.join("lake")).filter(|path| !path.ends_with("_commits"));
    assert_eq!(tables.flat_map(|table| folders(&table)).count(), 1, "{stream}: {files}");
    (said, published.concat())
}

#[test]
fn rows_of_another_definition_are_never_published() {
    let (said, published) = next_run(&STREAM.replace("'EU'", "'US'"));
    assert_eq!(published, "id,region,day\n2,US,2026-01-02\n");
    assert!(said.contains("giving up a full load that was begun under another definition"), "{said}");
}

#[test]
fn whatever_decides_rows_columns_or_files_begins_anew() {
    for (stream, published) in [
        (
            "table = orders\ncolumns = id, region, day\n".to_owned(),
            "id,region,day\n1,EU,2026-01-02\n2,US,2026-01-02\n3,EU,\n",
        ),
        (STREAM.replace("id, region, day", "region, id"), "region,id\nEU,1\nEU,3\n"),
        (STREAM.replace("id, region, day", "id, region"), "id,region\n1,EU\n3,EU\n"),
        ("query = select id from orders where id > 1\ncolumn_types = id integer\n".to_owned(), "\"id\"\n2\n3\n"),
        (format!("{STREAM}exclude_columns = day\n"), "id,region\n1,EU\n3,EU\n"),
        (
            format!("{STREAM}read_as_text = id\ncsv_quote = all\n"),
            "\"id\",\"region\",\"day\"\n\"1\",\"EU\",\"2026-01-02\"\n\"3\",\"EU\",\n",
        ),
        (format!("{STREAM}column_types = day text\n"), "id,region,day\n1,EU,2026-01-02\n3,EU,\n"),
        (
            format!("{STREAM}format = json\n"),
            "{\"id\":1,\"region\":\"EU\",\"day\":\"2026-01-02\"}\n{\"id\":3,\"region\":\"EU\",\"day\":null}\n",
        ),
        (format!("{STREAM}csv_delimiter = ;\n"), "id;region;day\n1;EU;2026-01-02\n3;EU;\n"),
        (format!("{STREAM}as = sales\n"), "id,region,day\n1,EU,2026-01-02\n3,EU,\n"),
    ] {
        let (said, found) = next_run(&stream);
        assert_eq!(found, published, "{stream}");
        assert!(said.contains("under another definition"), "{stream}: {said}");
    }
}

#[test]
fn what_decides_none_of_these_goes_on() {
    for stream in [
        STREAM.to_owned(),
        // Written in other words.
        format!("{}csv_header = true\nmode = full\n", STREAM.replace("id, region, day", "id,region,  day")),
        format!("{STREAM}part_bytes = 1 MiB\ncommit_rows = 5\nretries = 2\nkeep_generations = 3\n"),
        // Of another format.
        format!("{STREAM}json_numbers = text\nrow_group_bytes = 1 MiB\n"),
    ] {
        let (said, published) = next_run(&stream);
        assert_eq!(published, "id,region,day\n1,EU,2026-01-02\n3,EU,\n", "{stream}");
        assert!(said.contains("continuing the full load"), "{stream}: {said}");
        assert!(said.contains("published as an earlier run read it, at 20"), "{stream}: {said}");
    }
}
