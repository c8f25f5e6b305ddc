//! Who must not run a part, and when.

use std::time::Duration;

use serde_json::json;
use tidemark::error::{Error, Kind};
use tidemark::pipeline::{Planned, Session, StreamReport, run_part};

use super::{Chunked, Shared, World};

async fn part_of(world: &World, planned: &Planned, change: impl FnOnce(&mut Session)) -> StreamReport {
    let mut session = world.session();
    change(&mut session);
    run_part(&session, &Shared(world.source.clone()), 0, planned, 0).await.unwrap()
}

#[track_caller]
fn conflict(report: &StreamReport, words: &str) -> Error {
    let error = report.error.clone().expect("it was to be refused");
    assert_eq!(error.kind(), Kind::Conflict, "{error}");
    assert!(error.message().contains(words), "{error}");
    error
}

#[tokio::test]
async fn a_plan_for_something_else_is_refused() {
    let world = World::new(Chunked::new(2, 10));
    let mut planned = world.plan().await;
    let report = part_of(&world, &planned, |session| session.definition = "other".to_owned()).await;
    conflict(&report, "another definition");
    let report = part_of(&world, &planned, |session| session.resume_within = Duration::ZERO).await;
    conflict(&report, "older than `resume_within`");
    planned.streams[0].identity = json!({ "table": "other" });
    let report = part_of(&world, &planned, |session| session.opening.identity = json!({ "table": "this" })).await;
    conflict(&report, "its table is \"other\", ours is \"this\"");
    assert!(world.newest().await.is_none(), "a refused part leaves nothing");
}

#[tokio::test]
async fn a_part_of_an_older_plan_gives_way_to_a_newer_load() {
    let world = World::new(Chunked::new(2, 10));
    let (older, newer) = (world.plan().await, world.plan().await);
    world.expect_done(&world.part(&newer, 0).await);
    conflict(&world.part(&older, 0).await, "a newer load of the stream was begun");
    world.expect_done(&world.part(&newer, 1).await);
    world.expect_done(&world.part(&older, 0).await);
    world.check().await;
    assert_eq!(world.source.opened(), [0, 10]);
}

#[tokio::test]
async fn a_newer_plan_gives_up_what_an_older_one_began() {
    let world = World::new(Chunked::new(2, 10));
    let (older, newer) = (world.plan().await, world.plan().await);
    world.expect_done(&world.part(&older, 0).await);
    world.expect_done(&world.part(&newer, 0).await);
    conflict(&world.part(&older, 1).await, "a newer load of the stream was begun");
    world.expect_done(&world.part(&newer, 1).await);
    world.check().await;
}

#[tokio::test]
async fn a_plan_that_goes_on_with_what_is_gone_is_refused() {
    let world = World::new(Chunked::new(3, 10));
    world.part(&world.plan().await, 0).await;
    let planned = world.plan().await;
    let elsewhere = World::new(Chunked::new(3, 10));
    conflict(&elsewhere.part(&planned, 0).await, "is not at the destination");
}

/// While a part is at work, nobody else reads its chunk, or gives its load up.
#[tokio::test(start_paused = true)]
async fn whoever_comes_while_a_part_is_at_work_is_refused() {
    let world = World::new(Chunked { takes: 30, ..Chunked::new(2, 10) });
    let older = world.plan().await;
    let (planned, newer) = (world.plan().await, world.plan().await);
    let others = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        conflict(&world.part(&planned, 0).await, "held");
        conflict(&world.run().await, "is being read by process 1 on test");
        conflict(&world.part(&newer, 0).await, "is being read by process 1 on test");
        conflict(&world.part(&older, 0).await, "a newer load");
    };
    let (report, ()) = tokio::join!(world.part(&planned, 0), others);
    world.expect_done(&report);
    world.expect_done(&world.run().await);
    world.check().await;
    assert_eq!(world.source.opened(), [0, 10]);
}

/// A run that goes on with the load holds the stream for as long as it takes, and is waited for a while.
#[tokio::test(start_paused = true)]
async fn a_part_waits_for_a_run_that_ends_soon() {
    for (takes, is_done) in [(30, true), (600, false)] {
        let world = World::new(Chunked { takes, ..Chunked::new(2, 10) });
        let planned = world.plan().await;
        world.expect_done(&world.part(&planned, 0).await);
        let part = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            world.part(&planned, 1).await
        };
        let (run, part) = tokio::join!(world.run(), part);
        world.expect_done(&run);
        match is_done {
            true => world.expect_done(&part),
            false => drop(conflict(&part, "held")),
        }
        assert_eq!(world.source.opened(), [0, 10]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_gives_way_to_a_newer_run_at_once() {
    let world = World::new(Chunked { takes: 600, ..Chunked::new(2, 10) });
    let planned = world.plan().await;
    let part = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.part(&planned, 1).await
    };
    let (run, part) = tokio::join!(world.run(), part);
    world.expect_done(&run);
    conflict(&part, "a newer load of the stream was begun");
    world.expect_done(&world.part(&planned, 1).await);
    assert_eq!(world.source.opened(), [0, 10]);
}
