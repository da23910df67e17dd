-- Who read or changed what, where audit.target = postgres. The service adds records, and neither
-- reads, changes nor deletes them.
create table audit_records (
    id bigint generated always as identity primary key,
    written_at timestamptz not null default clock_timestamp(),
    record jsonb not null
);

create index audit_records_written_at on audit_records using brin (written_at);
-- "Who has seen this order?"
create index audit_records_targets on audit_records using gin ((record -> 'targets'));

comment on table audit_records is 'The audit log: who read or changed what; see docs/audit.md';
comment on column audit_records.written_at is 'When the row was written, by the clock of Postgres';
comment on column audit_records.record is 'The record as it would stand in a file';

revoke all on audit_records from public;
