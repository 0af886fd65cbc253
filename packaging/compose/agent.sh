#!/bin/sh
# Registers the machine, unless it is registered, and runs its agent.
set -eu
state=/var/lib/muster-agent
muster-agent register --state-dir "$state" --token-file "$state/welcome.toml"
exec muster-agent run --state-dir "$state"
