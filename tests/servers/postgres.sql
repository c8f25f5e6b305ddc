-- The test users, for PostgreSQL. docker-compose.yml loads this file too.
-- repl may do everything; cdc may read and follow the log; reader may only read the database test;
-- cert may do everything, and over TCP with a client certificate only (pg_hba.conf).
create role repl login superuser replication password 'replpw';
create role cdc login replication password 'cdcpw';
create role reader login password 'readerpw';
create role cert login superuser;
create database test owner repl;
\connect test
-- whatever repl creates later, cdc and reader may read
alter default privileges for role repl grant usage on schemas to cdc, reader;
alter default privileges for role repl grant select on tables to cdc, reader;
alter default privileges for role repl grant select on sequences to cdc, reader;
