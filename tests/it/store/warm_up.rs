//! Reading the whole table.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use testbed::Database;
use waybill::store::{Class, Progress, Store, WarmUp};

use super::{CONNECT_TIMEOUT, migrated, open, owner};

/// Four rows a page, so that there are three ranges of pages and a part of one.
const ROWS: usize = 13_000;

async fn filled() -> Database {
    let database = migrated().await;
    // What does not compress stays in the table's own pages, up to 2 kB.
    let fill = format!(
        "insert into orders (order_uid, document, channel_sequence) \
         select to_char(n, 'FM00000'), decode(rpad(md5(n::text), 3800, md5((-n)::text)), 'hex'), n \
         from generate_series(1, {ROWS}) n"
    );
    owner(&database, "alter table orders alter column document set storage plain").await;
    owner(&database, &fill).await;
    database
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_is_handed_out_once_with_its_bytes() {
    let database = filled().await;
    let store = open(&database);
    let progress = Arc::new(Progress::default());
    assert!(progress.ratio().abs() < f64::EPSILON);
    let seen = Arc::new(Mutex::new(HashMap::new()));
    let sink = {
        let seen = Arc::clone(&seen);
        move |uid: &str, document: &[u8]| {
            *seen.lock().unwrap().entry(uid.to_owned()).or_insert(0) += 1;
            assert_eq!(document.len(), 1900);
            ControlFlow::Continue(())
        }
    };
    assert_eq!(store.warm_up(Arc::clone(&progress), sink).await.unwrap(), WarmUp::Whole);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), ROWS);
    assert!(seen.values().all(|times| *times == 1));
    assert_eq!(progress.rows(), ROWS as u64);
    assert_eq!(progress.bytes(), 1900 * ROWS as u64);
    assert!((progress.ratio() - 1.0).abs() < f64::EPSILON, "{}", progress.ratio());
}

#[tokio::test]
async fn the_newest_come_first_and_a_full_sink_ends_it() {
    let database = filled().await;
    // Two connections: one for the warm-up, and one for those who ask meanwhile.
    let store = Store::new(&database.url, 2, CONNECT_TIMEOUT).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = {
        let seen = Arc::clone(&seen);
        move |uid: &str, _: &[u8]| {
            let mut seen = seen.lock().unwrap();
            seen.push(uid.parse::<usize>().unwrap());
            if seen.len() < 3000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        }
    };
    let progress = Arc::new(Progress::default());
    assert_eq!(store.warm_up(Arc::clone(&progress), sink).await.unwrap(), WarmUp::Full);
    let mut seen = std::mem::take(&mut *seen.lock().unwrap());
    seen.sort_unstable();
    assert_eq!(seen.len(), 3000);
    // Whole ranges of 1024 pages come newest first; within one, the order is that of the pages.
    assert!(seen[0] > ROWS - 1024 * 4, "{}", seen[0]);
    assert_eq!(progress.rows(), 3000);
    assert!(progress.ratio() < 1.0);
    store.find("00001").await.unwrap();
}

#[tokio::test]
async fn an_empty_table_is_whole_at_once() {
    let store = open(&migrated().await);
    let outcome = store.warm_up(Arc::default(), |_, _| panic!("there is no row")).await;
    assert_eq!(outcome.unwrap(), WarmUp::Whole);
}

#[tokio::test]
async fn a_fault_ends_the_warm_up_with_its_class() {
    let database = filled().await;
    let store = open(&database);
    owner(&database, &format!("revoke select on orders from {}", database.runtime_role)).await;
    let outcome = store.warm_up(Arc::default(), |_, _| ControlFlow::Continue(())).await;
    assert_eq!(outcome.unwrap_err().class(), Class::Configuration);
}
