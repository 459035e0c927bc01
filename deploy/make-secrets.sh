#!/usr/bin/env bash
# Writes the secrets that docker-compose.yml reads, once. Existing files are left as they are:
# the stored credentials of the accounts are read with secret_key, so keep a copy of it. `hongyan rotate-key` changes it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
mkdir -p secrets
# The directory is closed to other users; the files are readable because the containers are other users.
chmod 700 secrets

put() { # FILE VALUE
  if [[ ! -e secrets/$1 ]]; then
    printf '%s' "$2" >"secrets/$1"
    chmod 444 "secrets/$1"
    echo "wrote secrets/$1"
  fi
}

random() { openssl rand -hex 24; }

put mysql_root_password "$(random)"
put mysql_password "$(random)"
put redis_password "$(random)"
put secret_key "$(openssl rand -base64 32)"
put mysql_dsn "hongyan:$(cat secrets/mysql_password)@tcp(mysql:3306)/hongyan"
put redis_url "redis://:$(cat secrets/redis_password)@redis:6379/0"
