#!/bin/sh
# Makes the keys and the credentials of the bus, and gives each container what it needs and nothing else.
# Run again, after an upgrade, it gives what has changed.
set -eu
trust=/trust
owner=10001

muster init "$trust" --listen 0.0.0.0:4222 --host nats --insecure-without-tls --server-folder /var/lib/nats

# Into the volume of a container: whole, or not there.
give() {
    install -m 0600 "$trust/$1" "/out/$2.new"
    mv "/out/$2.new" "/out/$2"
}
for service in gateway fleet documents run-command fan-out access parameter-store; do
    give "creds/muster-$service.creds" "$service/bus.creds"
done
give keys/nodes.seed fleet/nodes.seed
give nodes.account fleet/nodes.account
give work/keys.json fleet/keys.json
mkdir -p /out/fan-out/work
keys=work
for file in "$trust/$keys"/*; do
    give "$keys/${file##*/}" "fan-out/$keys/${file##*/}"
done
give nats.conf nats/nats.conf
for service in documents parameter-store; do
    give "answers/$service.key" "$service/answers.key"
done
chown -R "$owner:$owner" "$trust" /out
