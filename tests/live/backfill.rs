//! Backfills by the program itself: killed and begun again, they deliver each row of their windows once more, and no row
//! of the others.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::program::Folder;

const COUNT: usize = 40_000;
const DAYS: usize = 20;

/// Fills a table `t (id, at)`: so many rows on so many days from the first of March 2024 on.
pub fn rows() -> String {
    let per_day = COUNT / DAYS;
    let row = |id: usize| {
        let (day, second) = (id / per_day + 1, id % per_day);
        format!("({id}, '2024-03-{day:02} {:02}:{:02}:00')", second / 60 % 24, second % 60)
    };
    let rows: Vec<_> = (0..COUNT).map(row).collect();
    rows.chunks(10_000).map(|rows| format!("insert into t values {}", rows.join(", "))).collect::<Vec<_>>().join("; ")
}

/// Reads the days from the 6th to the 15th again.
const BACKFILL: &str = "run s --from 2024-03-06 --until 2024-03-16 --step 1d";

pub fn goes_on_after_kills(source: &str) {
    let folder = Folder::new(&format!(
        "[pipeline]\nname = test\n[source shop]\n{source}\n[destination lake]\ntype = local\npath = lake\nformat = csv\n\
         [stream s]\nsource = shop\ndestination = lake\ntable = t\nmode = incremental\ncursor = at\nsettle = 180s\n\
         commit_rows = 1000\n"
    ));
    folder.run("run", 0);
    let conf = std::fs::read_to_string(folder.path().join("pipeline.conf")).unwrap();
    std::fs::write(
        folder.path().join("pipeline.conf"),
        conf.replace("[source shop]", "[source shop]\nrows_per_second = 3000"),
    )
    .unwrap();
    for after in [300, 1100, 1500, 900] {
        let ended = folder.start(BACKFILL).kill(Duration::from_millis(after));
        assert!(ended.killed, "{}", ended.said);
    }
    let (_, said) = folder.run(BACKFILL, 0);
    let again = delivered(&folder);
    let is_of_backfill = |id: usize| (COUNT / DAYS * 5..COUNT / DAYS * 15).contains(&id);
    for id in 0..COUNT {
        let times = 1 + usize::from(is_of_backfill(id));
        assert_eq!(again.get(&id).copied(), Some(times), "row {id}: {said}");
    }
    assert!(said.contains("windows=10") && !said.contains("left=10"), "it goes on: {said}");
    // What has come to its end is another backfill when it is asked for again.
    folder.run(BACKFILL, 0);
    assert_eq!(delivered(&folder)[&(COUNT / 2)], 3);
    let (_, said) = folder.run("run s", 0);
    assert!(said.contains("rows=0") || said.contains("\"rows\":0"), "the mark is where it was: {said}");
}

/// How often each row is in the live files.
fn delivered(folder: &Folder) -> BTreeMap<usize, usize> {
    let mut delivered = BTreeMap::new();
    for file in folder.live_files("s") {
        let text = std::fs::read_to_string(folder.path().join(file.trim_start_matches("file://"))).unwrap();
        let mut lines = text.lines();
        let header: Vec<_> = lines.next().unwrap().split(',').collect();
        let id = header.iter().position(|name| *name == "id").unwrap();
        for line in lines {
            *delivered.entry(line.split(',').nth(id).unwrap().parse().unwrap()).or_default() += 1;
        }
    }
    delivered
}
