-- Where the message of an order came from, for sequences of two sources mean different messages.
-- Rows that were there, and those of replicas that do not know the column, are of the channel of
-- NATS Streaming. Without a default nothing is rewritten, and a null takes no room.
alter table orders add column source text;

comment on column orders.source is 'The stream of JetStream that the message was in, such as jetstream:ORDERS; null for the channel of NATS Streaming';
comment on column orders.channel_sequence is 'Sequence in the channel or stream of the message that was stored';
comment on column rejected_messages.channel is 'Channel of NATS Streaming that the message came from, or stream of JetStream, as in orders.source';
comment on column rejected_messages.sequence is 'Sequence of the message in its channel or stream';

create or replace view order_details as
select
    o.order_uid, d.track_number, d.entry, d.locale, d.internal_signature, d.customer_id,
    d.delivery_service, d.shardkey, d.sm_id,
    rfc3339_to_timestamptz(d.date_created) as date_created,
    d.date_created as date_created_text,
    d.oof_shard, o.channel_sequence, o.received_at, o.source
from orders o
cross join lateral json_to_record(convert_from(o.document, 'UTF8')::json) as d(
    track_number text, entry text, locale text, internal_signature text, customer_id text,
    delivery_service text, shardkey text, sm_id bigint, date_created text, oof_shard text
);

comment on column order_details.channel_sequence is 'Sequence in the channel or stream of the message that was stored';
comment on column order_details.source is 'The stream of JetStream that the message was in; null for the channel of NATS Streaming';
