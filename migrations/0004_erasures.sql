-- Orders that were erased: known by the SHA-256 of their ids alone, and never stored again.
create table erasures (
    uid_sha256 bytea primary key check (length(uid_sha256) = 32),
    erased_at timestamptz not null default clock_timestamp(),
    reason text not null check (length(reason) between 1 and 500),
    tx bigint not null default pg_current_xact_id()::text::bigint
);

create index erasures_tx on erasures (tx);

comment on table erasures is 'Orders that were erased and must never be stored again; rows are never changed';
comment on column erasures.uid_sha256 is 'SHA-256 of the order''s id in UTF-8';
comment on column erasures.erased_at is 'When it was erased';
comment on column erasures.reason is 'Why, as the operator put it; no place for personal data';
comment on column erasures.tx is 'Id of the transaction that wrote the row; replicas follow the table by it';

revoke all on erasures from public;

-- Takes out of an insertion what was erased, whoever inserts: an older version of the service, a
-- restore of data alone, a person. A session of this version asks to be told instead, and then
-- inserts the others.
create function remove_erased_orders() returns trigger
language plpgsql security definer
as $$
declare
    erased text[];
begin
    select array_agg(f.order_uid) into erased
    from fresh f
    where exists (select from erasures e where e.uid_sha256 = sha256(convert_to(f.order_uid, 'UTF8')));
    if erased is null then
        return null;
    end if;
    if current_setting('waybill.erased_orders', true) = 'refuse' then
        raise integrity_constraint_violation using message = 'an order among these was erased';
    end if;
    delete from orders where order_uid = any(erased);
    return null;
end
$$;

-- Keeps writers off until the end of the transaction: whoever has inserted has committed by then,
-- and whoever inserts afterwards sees what this transaction has erased.
--
-- The trigger is made with the first erasure: it costs a batch of new orders about a tenth, and
-- nothing where nothing was ever erased.
create function lock_for_erasure() returns void
language plpgsql security definer
as $$
begin
    lock table orders, rejected_messages in share row exclusive mode;
    if not exists (
        select from pg_trigger where tgrelid = 'orders'::regclass and tgname = 'orders_erased'
    ) then
        create trigger orders_erased after insert on orders referencing new table as fresh
            for each statement execute function remove_erased_orders();
    end if;
end
$$;

-- Writes erasures, and deletes orders and rejects. An order is deleted only with its erasure on
-- record. Tells the erasures that are new, the orders that were there, and how many rejects.
create function erase_orders(
    digests bytea[], moments timestamptz[], reasons text[], uids text[], rejects bigint[],
    out recorded bytea[], out deleted text[], out deleted_rejects bigint
)
language plpgsql security definer
as $$
begin
    perform lock_for_erasure();
    with new as (
        insert into erasures (uid_sha256, erased_at, reason)
        select distinct on (digest) digest, coalesce(moment, clock_timestamp()), why
        from unnest(digests, moments, reasons) as given (digest, moment, why)
        order by digest, moment
        on conflict do nothing
        returning uid_sha256
    )
    select coalesce(array_agg(uid_sha256), '{}') into recorded from new;
    with gone as (
        delete from orders o
        where o.order_uid = any(uids)
            and exists (select from erasures e where e.uid_sha256 = sha256(convert_to(o.order_uid, 'UTF8')))
        returning o.order_uid
    )
    select coalesce(array_agg(order_uid), '{}') into deleted from gone;
    with gone as (
        delete from rejected_messages where id = any(rejects) returning 1
    )
    select count(*) into deleted_rejects from gone;
end
$$;

comment on function remove_erased_orders() is 'Keeps erased orders out of the table of orders';
comment on function lock_for_erasure() is 'Keeps writers of orders and rejects off until the transaction ends';
comment on function erase_orders(bytea[], timestamptz[], text[], text[], bigint[]) is 'Erases orders, on record';

-- They run with the rights of their owner, so nobody else may choose which tables they find.
do $$
declare
    name text;
begin
    foreach name in array array[
        'remove_erased_orders()', 'lock_for_erasure()',
        'erase_orders(bytea[], timestamptz[], text[], text[], bigint[])'
    ] loop
        execute format(
            'alter function %s set search_path = pg_catalog, %I, pg_temp', name, current_schema()
        );
        execute format('revoke all on function %s from public', name);
    end loop;
end
$$;
