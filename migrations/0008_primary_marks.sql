-- Of two standbys of one primary that are promoted one after the other, each begins the same
-- timeline. So a primary is also told by a mark, which it is given when it is noticed first. A
-- repair begins where the last one of the same primary ended.
alter table primaries add column mark uuid not null default gen_random_uuid();
alter table repairs add column primary_mark uuid;
alter table repairs add column gone jsonb not null default '{}';

comment on column primaries.mark is 'Given when it was noticed first: another one of the same timeline has none, or another';
comment on column repairs.primary_mark is 'Of the primary that is repaired';
comment on column repairs.gone is 'By source, the sequences that it has no more, so that what was in them cannot be put back';
comment on column repairs.progress is 'By source, the first sequence that is not compared yet; empty where it begins as far as the last finished repair of the same primary has come';
