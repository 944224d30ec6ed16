#!/bin/sh
# PostgreSQL's image runs this once, with an empty volume. It creates the database, its owner, which is no superuser, and
# the extensions that only a superuser may add. APP_NAME: name of database and owner. APP_PASSWORD: of the owner.
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
