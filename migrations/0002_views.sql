-- The relational face of the documents, for people and reports. Each view reads `json`, not
-- `jsonb`: jsonb refuses numbers that are legal JSON. Nothing here may raise for a stored order.

-- `text::timestamptz` raises for offsets beyond 15:59 and for long fractions, and one such row
-- would make a whole report fail; this reads all of RFC 3339 and is null for anything else.
create function rfc3339_to_timestamptz(value text) returns timestamptz
language sql immutable strict parallel safe
as $$
    select case
        when part[1] = '0000' then null
        when part[3]::int > extract(
            day from make_date(part[1]::int, part[2]::int, 1) + interval '1 month - 1 day'
        ) then null
        else (
            (make_date(part[1]::int, part[2]::int, 1) + (part[3]::int - 1))::timestamp
            + make_interval(
                hours => part[4]::int, mins => part[5]::int,
                secs => (part[6] || coalesce(part[7], ''))::double precision
            )
            - make_interval(
                hours => coalesce(part[8] || part[9], '0')::int,
                mins => coalesce(part[8] || part[10], '0')::int
            )
        ) at time zone 'UTC'
    end
    from regexp_match(
        value,
        '^(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\D'
        '([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(?:(\.\d{1,6})\d*)?'
        '(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))$'
    ) as part
$$;

comment on function rfc3339_to_timestamptz(text) is 'The moment an RFC 3339 text names, or null; never raises';

create view order_details as
select
    o.order_uid, d.track_number, d.entry, d.locale, d.internal_signature, d.customer_id,
    d.delivery_service, d.shardkey, d.sm_id,
    rfc3339_to_timestamptz(d.date_created) as date_created,
    d.date_created as date_created_text,
    d.oof_shard, o.channel_sequence, o.received_at
from orders o
cross join lateral json_to_record(convert_from(o.document, 'UTF8')::json) as d(
    track_number text, entry text, locale text, internal_signature text, customer_id text,
    delivery_service text, shardkey text, sm_id bigint, date_created text, oof_shard text
);

create view order_deliveries as
select o.order_uid, d.name, d.phone, d.zip, d.city, d.address, d.region, d.email
from orders o
cross join lateral json_to_record(convert_from(o.document, 'UTF8')::json -> 'delivery') as d(
    name text, phone text, zip text, city text, address text, region text, email text
);

create view order_payments as
select
    o.order_uid, p.transaction, p.request_id, p.currency, p.provider, p.amount, p.payment_dt,
    -- Between the first and the last second that timestamptz can hold. Not to_timestamp, which
    -- counts in floating point; in days, which an interval holds exactly.
    case when p.payment_dt between -210866803200 and 9224318015999 then
        (timestamp 'epoch' + make_interval(
            days => (p.payment_dt / 86400)::int, secs => p.payment_dt % 86400
        )) at time zone 'UTC'
    end as paid_at,
    p.bank, p.delivery_cost, p.goods_total, p.custom_fee
from orders o
cross join lateral json_to_record(convert_from(o.document, 'UTF8')::json -> 'payment') as p(
    transaction text, request_id text, currency text, provider text, amount bigint,
    payment_dt bigint, bank text, delivery_cost bigint, goods_total bigint, custom_fee bigint
);

create view order_items as
select
    o.order_uid, e.position, i.chrt_id, i.track_number, i.price, i.rid, i.name, i.sale, i.size,
    i.total_price, i.nm_id, i.brand, i.status
from orders o
cross join lateral json_array_elements(convert_from(o.document, 'UTF8')::json -> 'items')
    with ordinality as e(item, position)
cross join lateral json_to_record(e.item) as i(
    chrt_id bigint, track_number text, price bigint, rid text, name text, sale bigint, size text,
    total_price bigint, nm_id bigint, brand text, status bigint
);

comment on view order_details is 'One row an order: the fields of the order itself';
comment on column order_details.date_created is 'The moment date_created_text names, or null where timestamptz cannot hold it';
comment on column order_details.date_created_text is 'date_created as published';
comment on column order_details.channel_sequence is 'Sequence in the channel of the message that was stored';
comment on column order_details.received_at is 'When the order was stored';
comment on view order_deliveries is 'One row an order: to whom it goes';
comment on view order_payments is 'One row an order: how it was paid; sums in minor units of the currency';
comment on column order_payments.payment_dt is 'When it was paid, in seconds since 1970, as published';
comment on column order_payments.paid_at is 'payment_dt as a moment, or null where timestamptz cannot hold it';
comment on view order_items is 'One row an item of an order';
comment on column order_items.position is 'Place of the item in its order, from 1';

revoke all on order_details, order_deliveries, order_payments, order_items from public;
