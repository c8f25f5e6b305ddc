-- The test users, for MariaDB and MySQL. docker-compose.yml loads this file too.
SET sql_log_bin = 0;
CREATE DATABASE IF NOT EXISTS test;
-- repl may do everything; cdc may read and follow the log; reader may only read the database test;
-- cert may do everything, with a client certificate only.
CREATE USER IF NOT EXISTS 'repl'@'%' IDENTIFIED BY 'replpw';
GRANT ALL PRIVILEGES ON *.* TO 'repl'@'%' WITH GRANT OPTION;
CREATE USER IF NOT EXISTS 'cdc'@'%' IDENTIFIED BY 'cdcpw';
GRANT SELECT, RELOAD, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'cdc'@'%';
CREATE USER IF NOT EXISTS 'reader'@'%' IDENTIFIED BY 'readerpw';
GRANT SELECT ON test.* TO 'reader'@'%';
CREATE USER IF NOT EXISTS 'cert'@'%' IDENTIFIED BY 'certpw' REQUIRE X509;
GRANT ALL PRIVILEGES ON *.* TO 'cert'@'%';
