//! In whatever order parts come, and however often.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use tidemark::destination::files::store::Store;
use tidemark::error::Kind;

use super::{Chunked, World};

#[tokio::test]
async fn a_plan_writes_nothing() {
    let world = World::new(Chunked::new(3, 20));
    world.plan().await;
    assert_eq!(world.store.list("", None).await.unwrap(), Vec::<String>::new());
    let planned = world.plan().await;
    world.part(&planned, 1).await;
    let before = world.store.list("", None).await.unwrap();
    let again = world.plan().await;
    assert_eq!(world.store.list("", None).await.unwrap(), before);
    assert_eq!(world.log.recorded("s"), [0, 1]);
    assert_eq!(again.streams[0].generation, planned.streams[0].generation);
}

#[tokio::test]
async fn parts_in_any_order_are_the_table() {
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]] {
        let world = World::new(Chunked::new(4, 25));
        let planned = world.plan().await;
        assert_eq!(planned.parts.len(), 4);
        for (before, number) in order.into_iter().enumerate() {
            assert!(before == 0 || world.live_files().await.is_empty(), "live before all chunks are there");
            let report = world.part(&planned, number).await;
            world.expect_done(&report);
            assert_eq!(report.rows, 25);
            assert_eq!(report.high_water_mark.is_some(), before == 3, "told as published");
        }
        world.check().await;
        assert_eq!(world.source.opened(), [0, 25, 50, 75]);
    }
}

#[tokio::test(start_paused = true)]
async fn parts_side_by_side_publish_once() {
    for takes in [0, 1, 7] {
        let world = World::new(Chunked { takes, ..Chunked::new(9, 12) });
        let planned = world.plan().await;
        let reports = join_all((0..9).map(|number| world.part(&planned, number))).await;
        reports.iter().for_each(|report| world.expect_done(report));
        world.check().await;
        assert_eq!(world.source.opened(), (0..9).map(|chunk| chunk * 12).collect::<Vec<_>>());
        assert_eq!(world.newest().await.unwrap().generations.kept.len(), 1);
    }
}

#[tokio::test]
async fn a_part_that_is_run_twice_is_not_read_twice() {
    let world = World::new(Chunked::new(3, 20));
    let planned = world.plan().await;
    for number in [1, 1, 0, 1, 2, 2, 0] {
        let report = world.part(&planned, number).await;
        world.expect_done(&report);
    }
    assert_eq!(world.source.opened(), [0, 20, 40]);
    world.check().await;
    let live = world.live_files().await;
    // Also where a later load has taken its place.
    world.expect_done(&world.run().await);
    assert_eq!(world.source.opened().len(), 6);
    world.expect_done(&world.part(&planned, 0).await);
    assert_eq!(world.source.opened().len(), 6);
    assert_ne!(world.live_files().await, live);
}

#[tokio::test]
async fn a_table_that_is_not_cut_is_one_part() {
    let world = World::new(Chunked::new(1, 20));
    let planned = world.plan().await;
    assert_eq!(planned.parts.len(), 1);
    for _ in 0..2 {
        world.expect_done(&world.part(&planned, 0).await);
        world.check().await;
    }
    assert_eq!(world.source.opened(), [0]);
}

#[tokio::test]
async fn a_plan_goes_on_with_what_was_begun() {
    let world = World::new(Chunked::new(4, 10));
    let first = world.plan().await;
    world.part(&first, 2).await;
    let second = world.plan().await;
    assert!(second.streams[0].is_begun && second.streams[0].what.ends_with("3 of 4 chunks left"), "{second:?}");
    let chunks: Vec<_> = second.parts.iter().map(|part| part.chunk.clone().unwrap()).collect();
    assert_eq!(chunks, ["0", "1", "3"]);
    // Both plans are of the same load.
    world.expect_done(&world.part(&second, 2).await);
    world.expect_done(&world.part(&first, 0).await);
    world.expect_done(&world.part(&second, 1).await);
    world.check().await;
    assert_eq!(world.source.opened(), [0, 10, 20, 30]);
}

#[tokio::test]
async fn a_run_goes_on_with_the_parts_of_a_plan() {
    let world = World::new(Chunked::new(4, 10));
    let planned = world.plan().await;
    world.part(&planned, 3).await;
    world.expect_done(&world.run().await);
    world.check().await;
    for number in 0..4 {
        world.expect_done(&world.part(&planned, number).await);
    }
    assert_eq!(world.source.opened(), [0, 10, 20, 30]);
}

#[tokio::test]
async fn a_load_whose_source_cannot_go_on_is_given_up() {
    let world = World::new(Chunked::new(3, 10));
    let planned = world.plan().await;
    world.expect_done(&world.part(&planned, 0).await);
    world.source.is_lost.store(true, Ordering::SeqCst);
    assert_eq!(world.part(&planned, 1).await.error.unwrap().kind(), Kind::Lost);
    world.source.is_lost.store(false, Ordering::SeqCst);
    let error = world.part(&planned, 2).await.error.unwrap();
    assert!(error.kind() == Kind::Lost && error.to_string().contains("new plan"), "{error}");
    let anew = world.plan().await;
    assert_eq!(anew.parts.len(), 3);
    for number in 0..3 {
        world.expect_done(&world.part(&anew, number).await);
    }
    world.check().await;
}
