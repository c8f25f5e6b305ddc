//! Values that the log leaves away, of a table that is written all the time, by runs that are killed.

use std::time::Duration;

use super::super::own::Own;
use super::super::suite::Chance;
use super::case::Case;
use crate::program::Folder;

const BIG: &str = "(SELECT string_agg(md5((n + random())::text), '') FROM generate_series(1, 100) AS n)";

/// What a row was before a transaction, another row of its key, or a null of nothing would be seen at the end.
pub fn survives_kills(name: &'static str) {
    let case = Case::new(Own::start(name, "-c logical_decoding_work_mem=64kB"), "local", "parquet");
    case.run_outside(&case.server, "CREATE DATABASE shop");
    case.run(
        &case.server,
        &format!(
            "CREATE TABLE filled (id int PRIMARY KEY, v int, big text); ALTER TABLE filled ALTER big SET STORAGE EXTERNAL; \
             INSERT INTO filled SELECT id, 0, {BIG} || id FROM generate_series(1, 200) AS id"
        ),
    );
    let stream = "tables = filled\nfill_unchanged = yes\nsnapshot = never\ncommit_interval = 300ms";
    let folder = Folder::new(&case.config(&case.server, stream));
    folder.run("check --create", 0);
    let mut chance = Chance::new();
    // So that each row comes, of which the log has no value.
    case.run(&case.server, "UPDATE filled SET v = 1");
    for round in 0..8 {
        let run = folder.start("run --continuous");
        for _ in 0..12 {
            let mut id = || 1 + chance.below(200);
            let sql = format!(
                "BEGIN; UPDATE filled SET v = v + 1 WHERE id % 7 = {round} % 7; UPDATE filled SET big = {BIG} || 'r{round}' WHERE id = {}; \
                 UPDATE filled SET v = v + 1 WHERE id < 50; COMMIT; BEGIN; DELETE FROM filled WHERE id = {a}; \
                 UPDATE filled SET id = {a} WHERE id = (SELECT max(id) FROM filled WHERE id <> {a}); COMMIT; \
                 BEGIN; UPDATE filled SET v = 0; ROLLBACK; DELETE FROM filled WHERE id = {}; \
                 INSERT INTO filled SELECT {b}, {round}, {BIG} || {b} WHERE NOT EXISTS (SELECT FROM filled WHERE id = {b}); \
                 UPDATE filled SET v = v + 1 WHERE id = {b}",
                id(),
                id(),
                a = id(),
                b = id(),
            );
            case.run(&case.server, &sql);
        }
        let ended = run.kill(Duration::from_millis(chance.below(1500) as u64));
        assert!(ended.killed, "{:?} {}", ended.code, ended.said);
    }
    case.run(&case.server, "UPDATE filled SET v = v + 1");
    let ended = folder.start("run").end();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let there = case.compare_filled(&folder);
    // The column goes, and comes back.
    for (fills, update) in [("no", "v = v + 1"), ("yes", "v = v + 1"), ("no", "big = big || 'x'")] {
        let stream = stream.replace("fill_unchanged = yes", &format!("fill_unchanged = {fills}"));
        folder.configure(&case.config(&case.server, &stream));
        case.run(&case.server, &format!("UPDATE filled SET {update}"));
        folder.run("run", 0);
        case.compare_filled(&folder);
    }
    println!("{name}: {there}; {} KiB", ended.peak);
    assert!(there["filled"].as_u64().unwrap() > 1000, "{there}");
}
