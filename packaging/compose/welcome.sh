#!/bin/sh
# Makes an activation for each machine, once, and leaves it where the machine's agent finds it.
set -eu
umask 077

welcome() {
    name=$1
    shift
    file=/out/$name/welcome.toml
    if [ -s "$file" ]; then
        return
    fi
    made=$(muster activations create --limit 1 --hours 720 --name "$name" "$@" --json)
    value() {
        printf '%s' "$made" | sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"
    }
    cat > "$file.new" <<END
server = "nats://nats:4222"
ticket = "$(cat /trust/creds/boot.ticket)"
activation_id = "$(value ActivationId)"
activation_code = "$(value ActivationCode)"
END
    mv "$file.new" "$file"
}
welcome web-1 --tag Role=web --tag ServerRole=WebFrontEnd --tag Env=prod
welcome web-2 --tag Role=web --tag ServerRole=WebFrontEnd --tag Env=staging
welcome db-1 --tag Role=db --tag Env=prod
