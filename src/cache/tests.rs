//! Orders come, go and stay.

use std::fmt::Display;

use super::*;

fn order(uid: impl Display, document: &[u8]) -> Prepared {
    Prepared::from_row(&format!("{uid}"), document).expect("a short id")
}

#[test]
fn an_order_comes_back_byte_for_byte() {
    let cache = Cache::new(1 << 20);
    cache.insert(order("a", b"{ \"x\" :1}\n"));
    cache.insert(order("b", b""));
    assert_eq!(cache.get("a").expect("just put").document(), b"{ \"x\" :1}\n");
    assert_eq!(cache.get("b").expect("just put").document(), b"");
    assert!(cache.get("c").is_none());
    assert_eq!(cache.size().entries, 2);
    cache.insert(order("b", b"[]"));
    assert_eq!(cache.get("b").expect("just put").document(), b"[]");
    assert_eq!(cache.size().entries, 2);
}

#[test]
fn the_bound_in_bytes_holds_and_is_used() {
    let max_bytes = 1 << 20;
    let cache = Cache::new(max_bytes);
    for n in 0..5_000 {
        cache.insert(order(n, &[b'x'; 1000]));
        // The table may grow by a few kilobytes with an order; the next one makes up for it.
        assert!(cache.size().bytes <= max_bytes + 2048, "{:?}", cache.size());
    }
    let fit = max_bytes / 1048;
    assert!((fit * 9 / 10..fit).contains(&cache.size().entries), "{:?}", cache.size());
    cache.insert(order("huge", &vec![b'x'; 2 << 20]));
    assert!(cache.get("huge").is_none() && cache.size().entries > fit * 9 / 10);
}

#[test]
fn orders_in_demand_stay_when_others_pour_in() {
    let cache = Cache::new(1 << 20);
    let wanted = || (0..100).map(|n| format!("wanted-{n}"));
    wanted().for_each(|uid| cache.insert(order(uid, &[b'x'; 1000])));
    for n in 0..5_000 {
        cache.insert(order(n, &[b'x'; 1000]));
        let _ = cache.get(&format!("wanted-{}", n % 100));
    }
    let stayed = wanted().filter(|uid| cache.contains(uid)).count();
    assert!(stayed >= 95, "{stayed} of 100 stayed");
}

#[test]
fn a_full_cache_takes_no_order_for_which_another_has_to_go() {
    let cache = Cache::new(16 << 20);
    let fitted = (0..20_000).take_while(|n| cache.insert_if_room(order(n, &[b'x'; 1000])));
    let fitted = fitted.count() as u64;
    assert!((15_000..16_000).contains(&fitted), "{fitted} orders");
    assert_eq!(cache.size().entries, fitted);
    assert!(!cache.insert_if_room(order("one more", &[b'x'; 1000])));
}

#[test]
fn what_is_erased_goes_and_does_not_come_back() {
    let cache = Cache::new(1 << 20);
    (0..1_000).for_each(|n| cache.insert(order(n, b"{}")));
    let before = cache.size();
    let digest = |uid: &str| Sha256Digest::of(uid.as_bytes());
    assert_eq!(cache.erase([digest("7"), digest("500"), digest("nobody")]), 2);
    assert_eq!(cache.size().entries, 998);
    assert!(cache.size().bytes < before.bytes, "{:?}", cache.size());
    assert!(cache.get("7").is_none() && cache.is_erased("7") && cache.is_erased("nobody"));
    assert!(cache.get("8").is_some() && !cache.is_erased("8"));

    // What was read before and arrives now.
    let bytes = cache.size().bytes;
    cache.insert(order("7", b"{}"));
    assert!(cache.insert_if_room(order("nobody", b"{}")), "there is room");
    assert!(cache.get("7").is_none() && cache.get("nobody").is_none());
    assert_eq!((cache.size().entries, cache.size().bytes), (998, bytes));
    assert_eq!(cache.erase([digest("7")]), 0);

    cache.erase_one("8");
    cache.erase_one("8");
    cache.insert(order("8", b"{}"));
    assert!(cache.get("8").is_none() && cache.is_erased("8"));
    assert_eq!(cache.size().entries, 997);
}

#[test]
fn an_order_kept_while_it_is_erased_is_never_found_afterwards() {
    let cache = Cache::new(64 << 20);
    std::thread::scope(|scope| {
        for n in 0..200 {
            let uid = format!("order-{n}");
            let keeper = scope.spawn({
                let (cache, uid) = (&cache, uid.clone());
                move || (0..50).for_each(|_| cache.insert(order(&uid, b"{}")))
            });
            cache.erase([Sha256Digest::of(uid.as_bytes())]);
            assert!(cache.get(&uid).is_none(), "{uid} right after its erasure");
            keeper.join().expect("no panic");
            assert!(cache.get(&uid).is_none(), "{uid} came back");
        }
    });
    assert_eq!(cache.size().entries, 0);
}

#[test]
fn an_order_of_an_earlier_generation_is_not_kept() {
    let cache = Cache::new(1 << 20);
    let before = cache.generation();
    cache.insert_of(before, &order("a", b"{}"));
    assert_eq!(cache.take_all().len(), 1);
    cache.insert_of(before, &order("a", b"{}"));
    assert!(cache.get("a").is_none());
    cache.insert_of(cache.generation(), &order("a", b"{}"));
    assert!(cache.get("a").is_some());
}

#[test]
fn no_order_outlives_its_generation_behind_those_that_are_taken_out() {
    let cache = Cache::new(64 << 20);
    for _ in 0..200 {
        let generation = cache.generation();
        std::thread::scope(|scope| {
            let keeper = scope.spawn(|| {
                (0..50).for_each(|n| cache.insert_of(generation, &order(n, b"{}")));
            });
            let _ = cache.take_all();
            keeper.join().expect("no panic");
        });
        assert_eq!(cache.size().entries, 0);
    }
    assert_eq!(cache.size().bytes, Cache::new(1).size().bytes, "nothing is left behind");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_found_while_erasures_are_not_known() {
    let cache = Cache::with_max_staleness(1 << 20, Duration::from_secs(10));
    cache.insert(order("a", b"{}"));
    assert!(cache.get("a").is_none(), "nothing is known of erasures yet");
    let asked = Instant::now();
    tokio::time::advance(Duration::from_secs(3)).await;
    cache.erasures_known_at(asked);
    assert!(cache.get("a").is_some());
    tokio::time::advance(Duration::from_secs(7)).await;
    assert!(cache.get("a").is_some(), "10 s after the question");
    tokio::time::advance(Duration::from_millis(2)).await;
    assert!(cache.get("a").is_none(), "later than that");
    cache.erasures_known_at(Instant::now());
    assert!(cache.get("a").is_some());
}

#[test]
fn it_is_whole_after_writers_and_readers_at_once() {
    let cache = Cache::new(1 << 20);
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let cache = &cache;
            scope.spawn(move || {
                for n in 0..5_000 {
                    let uid = (n * 7 + writer) % 2_000;
                    cache.insert(order(uid, uid.to_string().as_bytes()));
                    if let Some(found) = cache.get(&(n % 2_000).to_string()) {
                        assert_eq!(found.document(), (n % 2_000).to_string().as_bytes());
                    }
                }
            });
        }
    });
    let there = (0..2_000).filter(|n| cache.contains(&n.to_string())).count() as u64;
    assert_eq!(cache.size().entries, there);
    assert!(cache.size().bytes <= 1 << 20, "{:?}", cache.size());
}
