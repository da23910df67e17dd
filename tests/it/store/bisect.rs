//! What the search for the orders at fault costs.

use std::time::{Duration, Instant};

use waybill::store::Outcome;

use super::{execute, migrated, open, order, owner};

/// Refuses the orders whose uid begins with `bad`, and counts the statements that insert: a
/// sequence keeps its value when the statement is rolled back.
const COUNTING_TRAP: &str = "
    create sequence statements;
    grant usage on statements to public;
    create function count_statement() returns trigger language plpgsql as $$
    begin perform nextval('statements'); return null; end $$;
    create trigger count_statement before insert on orders
        for each statement execute function count_statement();
    alter table orders add constraint mood check (order_uid not like 'bad%')";

#[tokio::test]
async fn few_bad_orders_of_many_cost_few_statements() {
    const COUNT: u32 = 512;
    let database = migrated().await;
    owner(&database, COUNTING_TRAP).await;
    let store = open(&database);
    for bad in [1, 2, 8, 32_u32] {
        owner(&database, "alter sequence statements restart; truncate orders").await;
        let uids: Vec<String> = (0..COUNT)
            .map(|n| {
                if n % (COUNT / bad) == COUNT / bad - 7 {
                    format!("bad-{n}")
                } else {
                    format!("good-{n}")
                }
            })
            .collect();
        let batch: Vec<_> = uids.iter().map(|uid| order(uid, "{}", 1)).collect();
        let began = Instant::now();
        let outcomes = store.insert_orders(&batch).await.unwrap();
        let took = began.elapsed();
        let refused =
            outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Refused { .. })).count();
        assert_eq!(refused, bad as usize);

        // The `COPY` that is tried first, the whole batch, both halves at each level of the way down
        // to each, and each alone once more.
        let most = bad * (2 * COUNT.ilog2() + 1) + 2;
        let too_many = format!(
            "do $$ begin if nextval('statements') > {} then \
             raise exception '% statements', currval('statements') - 1; end if; end $$",
            most + 1
        );
        execute(&database.owner_url, &too_many).await.expect("not too many statements");
        assert!(took < Duration::from_secs(20), "{bad} of {COUNT} took {took:?}");
    }
}
