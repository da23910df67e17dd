-- The servers that have been the primary of these tables, and the repairs that a change of them calls
-- for: a new primary may lack commits of the one before. Both are written by the service.
create table primaries (
    system_identifier text not null,
    timeline bigint not null,
    noticed_at timestamptz not null default now(),
    primary key (system_identifier, timeline)
);

comment on table primaries is 'Servers that have been the primary; a fail-over begins a new timeline, and a restore into a new cluster a new system';
comment on column primaries.system_identifier is 'Of the cluster, as pg_control_system() tells it';
comment on column primaries.timeline is 'Of the write-ahead log, from 1';

create table repairs (
    id bigint generated always as identity primary key,
    requested_at timestamptz not null default now(),
    requested_by text not null,
    progress jsonb not null default '{}',
    finished_at timestamptz
);

comment on table repairs is 'Comparisons of the sources with these tables that were asked for when the primary changed; each puts back what is missing';
comment on column repairs.requested_by is 'The replica that noticed the change';
comment on column repairs.progress is 'By source, the first sequence that is not compared yet; of the newest request that a run is for';

create index repairs_unfinished on repairs (id) where finished_at is null;
