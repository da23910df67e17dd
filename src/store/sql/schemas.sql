-- Every schema of the session's own search path that has a table of one of these names, in the
-- order of the path, and what keeps it from being the one that the migrations made.
with wanted (relation, key) as (values
    ('_sqlx_migrations'::name, '{version}'::name[]),
    ('orders', '{order_uid}'),
    ('rejected_messages', '{channel,sequence,sha256}'),
    ('erasures', '{uid_sha256}')
),
columns (relation, name, type) as (values
    ('orders'::name, 'order_uid'::name, 'text'),
    ('orders', 'document', 'bytea'),
    ('orders', 'channel_sequence', 'bigint'),
    ('orders', 'received_at', 'timestamp with time zone'),
    ('orders', 'tx', 'bigint'),
    ('orders', 'source', 'text'),
    ('rejected_messages', 'id', 'bigint'),
    ('rejected_messages', 'channel', 'text'),
    ('rejected_messages', 'sequence', 'bigint'),
    ('rejected_messages', 'sha256', 'bytea'),
    ('rejected_messages', 'reason', 'text'),
    ('rejected_messages', 'detail', 'text'),
    ('rejected_messages', 'formatting_only', 'boolean'),
    ('rejected_messages', 'payload', 'bytea'),
    ('rejected_messages', 'first_seen', 'timestamp with time zone'),
    ('erasures', 'uid_sha256', 'bytea'),
    ('erasures', 'erased_at', 'timestamp with time zone'),
    ('erasures', 'reason', 'text'),
    ('erasures', 'tx', 'bigint')
),
found as (
    select n.nspname, path.place, wanted.relation, wanted.key,
        c.oid, c.relkind, c.relispartition, c.relpersistence
    from unnest(current_setting('waybill.search_path')::name[]) with ordinality as path (name, place)
    join pg_namespace n on n.nspname = path.name
    cross join wanted
    left join pg_class c on c.relnamespace = n.oid and c.relname = wanted.relation
),
present as (select * from found where oid is not null),
fault (nspname, text) as (
    select nspname, relation || ' is missing' from found where oid is null
    union all
    select nspname, relation || ' is not an ordinary table' from present
    where relkind <> 'r' or relispartition
    union all
    select nspname, relation || ' is emptied by a crash, for it is unlogged' from present
    where relpersistence <> 'p'
    union all
    select nspname, relation || ' is part of an inheritance' from present
    where exists (select from pg_inherits where oid in (inhrelid, inhparent))
    union all
    select nspname, relation || ' has no unique index on ' || array_to_string(key, ', ')
    from present
    where relkind = 'r' and not exists (
        select from pg_index i
        where i.indrelid = oid and i.indisunique and i.indisvalid and i.indimmediate
            and i.indpred is null and i.indexprs is null
            and key = array(
                select a.attname from unnest(i.indkey) with ordinality as k (attnum, place)
                join pg_attribute a on a.attrelid = oid and a.attnum = k.attnum
                order by k.place
            )
    )
    union all
    select nspname, 'row-level security hides rows of ' || relation || ' from this role'
    from present where row_security_active(oid)
    union all
    select nspname, relation || ' has no column ' || name || ' of type ' || type
    from present join columns using (relation)
    where not exists (
        select from pg_attribute a
        where a.attrelid = oid and a.attname = name and format_type(a.atttypid, null) = type
    )
)
select nspname::text as schema,
    coalesce(
        (select string_agg(text, ', ') from fault where fault.nspname = found.nspname), ''
    ) as faults
from found
group by nspname, place
having bool_or(oid is not null)
order by place
