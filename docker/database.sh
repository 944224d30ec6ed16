#!/bin/sh
# Run once, by PostgreSQL's image over an empty volume: the database, its owner, who is no superuser, and the extensions
# that only a superuser may add. APP_NAME, APP_PASSWORD: of database and owner.
set -eu

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set name="$APP_NAME" --set password="$APP_PASSWORD" \
    --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT, TEMPORARY ON DATABASE :"name" FROM PUBLIC;
\connect :"name"
SELECT format('CREATE EXTENSION %I', name) FROM pg_available_extensions WHERE name IN ('vector', 'pg_trgm', 'unaccent')
\gexec
SQL
