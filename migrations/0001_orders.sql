-- Orders: stored once, as published, never rewritten.
create table orders (
    order_uid text collate "C" primary key,
    document bytea not null,
    channel_sequence bigint not null,
    received_at timestamptz not null default clock_timestamp(),
    tx bigint not null default pg_current_xact_id()::text::bigint
) with (fillfactor = 100);

-- lz4 packs documents over 2 kB faster than pglz; a server built without it keeps its default.
do $$
begin
    alter table orders alter column document set compression lz4;
exception
    when feature_not_supported then
        raise notice 'this server has no lz4; documents are compressed with its default method';
end
$$;

-- A B-tree, although rows lie in the order of their transactions: BRIN does not know the newest
-- ranges until autovacuum has summarised them, so right after a burst a follower that wants the
-- last 2,000 rows read 24,000 pages by BRIN and 270 by this. All rows of a batch share one key,
-- which deduplication stores in 7 bytes a row.
create index orders_tx on orders (tx);

comment on table orders is 'Every order once, byte for byte as it was published; rows are never changed';
comment on column orders.order_uid is 'The order''s own id';
comment on column orders.document is 'The published JSON, UTF-8, unchanged; see the order_* views for its fields';
comment on column orders.channel_sequence is 'Sequence in the channel of the message that was stored';
comment on column orders.received_at is 'When the row was written';
comment on column orders.tx is 'Id of the transaction that wrote the row; replicas follow the table by it';

-- What could not become an order, whole, until somebody replays or prunes it.
create table rejected_messages (
    id bigint generated always as identity primary key,
    channel text not null,
    sequence bigint not null,
    sha256 bytea not null check (length(sha256) = 32),
    reason text not null constraint rejected_messages_reason check (reason in (
        'empty', 'too_large', 'not_utf8', 'not_json', 'not_an_object', 'trailing_data', 'too_deep',
        'duplicate_key', 'missing_field', 'wrong_type', 'number_out_of_range', 'illegal_text',
        'illegal_uid', 'illegal_date', 'conflict', 'database'
    )),
    detail text not null,
    formatting_only boolean,
    payload bytea not null,
    first_seen timestamptz not null default clock_timestamp(),
    -- A broker with a new store counts from 1 again: the sequence alone is no identity.
    unique (channel, sequence, sha256)
);

create index rejected_messages_first_seen on rejected_messages (first_seen);

comment on table rejected_messages is 'Messages that could not become an order, kept whole';
comment on column rejected_messages.id is 'Names the reject in commands and pages';
comment on column rejected_messages.channel is 'Channel the message came from';
comment on column rejected_messages.sequence is 'Sequence of the message in its channel';
comment on column rejected_messages.sha256 is 'SHA-256 of the payload';
comment on column rejected_messages.reason is 'Why, from a closed list';
comment on column rejected_messages.detail is 'Why, for people; with a JSON pointer where there is one';
comment on column rejected_messages.formatting_only is 'For a conflict: whether it differs from the stored order in formatting only; null for other reasons';
comment on column rejected_messages.payload is 'The message as it came, whole';
comment on column rejected_messages.first_seen is 'When it was first refused';

-- The personal data in here is for named roles only.
revoke all on orders, rejected_messages from public;
