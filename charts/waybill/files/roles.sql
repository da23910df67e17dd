-- The service's own database and its two roles: one owns the tables and migrates them, the other
-- may only do what the migrations grant it. Runs once, when the volume is new.
\set owner_password `cat /etc/postgres/passwords/owner-password`
\set password `cat /etc/postgres/passwords/password`

create role waybill_owner login password :'owner_password';
create role waybill login password :'password';
create database waybill owner waybill_owner;
revoke all on database waybill from public;
grant connect on database waybill to waybill;
\connect waybill
alter schema public owner to waybill_owner;
revoke create on schema public from public;
