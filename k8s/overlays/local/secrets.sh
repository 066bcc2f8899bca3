#!/bin/sh
# Makes the namespace and its Secrets, of random values that stand in no file; once, since it replaces nothing.
set -eu
kubectl apply -f "$(dirname "$0")/namespace.yaml"

secret() {
  name=$1
  shift
  kubectl --namespace=tailorbird create secret generic "tailorbird-$name" "$@"
}

password=$(openssl rand -hex 16)
url=postgresql://tailorbird:$password@tailorbird-postgres/tailorbird # on one node, one login does all
secret postgres --from-literal=password="$password"
secret ray --from-literal=auth_token="$(openssl rand -hex 32)"
secret migrator --from-literal=TAILORBIRD_DATABASE_URL="$url"
secret sweep --from-literal=TAILORBIRD_DATABASE_URL="$url"
secret watch --from-literal=TAILORBIRD_DATABASE_URL="$url"
secret serving --from-literal=TAILORBIRD_DATABASE_URL="$url" \
  --from-literal=TAILORBIRD_RECEIPT_KEY="$(openssl rand -base64 24)"
