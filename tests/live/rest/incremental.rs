//! What is new, by windows of a cursor or from a mark on.

use super::{assert_records, folder};
use crate::api::{Server, Settings, Shape};

#[test]
fn runs_go_on_where_the_one_before_ended() {
    let server = Server::with(Settings { records: 500, ..Settings::default() });
    let keys = "path = /events\nrecords = data\nmode = incremental\ncursor = updated_at\ncursor_param = updated_since\n\
                pagination = cursor\nnext_cursor = next_cursor\npage_size_param = limit\npage_size = 100";
    let folder = folder(&server, "", keys);
    folder.run("run", 0);
    assert_records(&folder, Shape::Rich, 1..=500);
    let before = server.seen().requests;
    folder.run("run", 0);
    assert_records(&folder, Shape::Rich, 1..=500);
    assert_eq!(server.seen().requests, before + 1, "from the mark on there is one page");
    server.set("records", 620);
    folder.run("run", 0);
    assert_records(&folder, Shape::Rich, 1..=620);
}
