#!/usr/bin/env bash
# mosquitto_pub and mosquitto_sub: every QoS and version, retained, sessions, wills, TLS.
set -euo pipefail

host=${TWINMQ_MQTT%:*} port=${TWINMQ_MQTT##*:}
tls_port=${TWINMQ_MQTTS##*:}
scratch=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$scratch"' EXIT

pub() { mosquitto_pub -h "$host" -p "$port" "$@"; }
sub() { mosquitto_sub -h "$host" -p "$port" -W 10 "$@"; }
ok() { echo "ok mosquitto $*"; }
expect() { # expect WHAT GOT WANTED
    [[ $2 == "$3" ]] || { echo "$1: got '$2', wanted '$3'" >&2; exit 1; }
}

# Starts a subscriber in the background and returns once its SUBACK came; its messages go to $scratch/$1.
listen() { # listen NAME OPTIONS...
    local name=$1
    shift
    mkfifo "$scratch/$name.log"
    stdbuf -oL mosquitto_sub -h "$host" -p "$port" -W 10 -d "$@" >"$scratch/$name.log" &
    listener=$!
    exec 9<"$scratch/$name.log"
    while read -r line <&9; do
        [[ $line == Subscribed* ]] && break
    done
    { grep -v '^Client ' <&9 >"$scratch/$name" || true; } &
    collector=$!
    exec 9<&-
}

for version in mqttv311 mqttv5; do
    for qos in 0 1 2; do
        listen "qos$version$qos" -V "$version" -t "mosquitto/$version/+" -q "$qos" -C 1
        pub -V "$version" -t "mosquitto/$version/$qos" -q "$qos" -m "hello at $qos"
        wait "$listener" "$collector"
        expect "QoS $qos" "$(cat "$scratch/qos$version$qos")" "hello at $qos"
    done
    ok "$version every QoS"

    pub -V "$version" -t "mosquitto/$version/retained" -m kept -r
    expect retained "$(sub -V "$version" -t "mosquitto/$version/retained" -C 1 -F '%p %r')" "kept 1"
    pub -V "$version" -t "mosquitto/$version/retained" -n -r
    if sub -V "$version" -t "mosquitto/$version/retained" -C 1 -W 1 >"$scratch/cleared" 2>/dev/null; then
        echo "a cleared retained message came back: $(cat "$scratch/cleared")" >&2
        exit 1
    fi
    ok "$version retained"

    keep=(-V "$version" -i "sleeper-$version" -c -q 1 -t "mosquitto/$version/mail")
    [[ $version == mqttv5 ]] && keep+=(-x 60)
    sub "${keep[@]}" -E
    pub -V "$version" -t "mosquitto/$version/mail" -q 1 -m "while you slept"
    expect session "$(sub "${keep[@]}" -C 1)" "while you slept"
    ok "$version session"

    listen "will$version" -V "$version" -t "mosquitto/$version/will" -q 1 -C 1
    watcher=$listener gatherer=$collector
    listen "lost$version" -V "$version" -t "mosquitto/$version/nothing" \
        --will-topic "mosquitto/$version/will" --will-payload gone --will-qos 1
    { kill -9 "$listener" && wait "$listener"; } 2>/dev/null || true
    wait "$watcher" "$gatherer"
    expect will "$(cat "$scratch/will$version")" gone
    ok "$version will"
done

tls=(-h localhost -p "$tls_port" --cafile "$TWINMQ_CERTS/ca.pem"
    --cert "$TWINMQ_CERTS/${TWINMQ_DEVICE:?}.pem" --key "$TWINMQ_CERTS/$TWINMQ_DEVICE.key")
mosquitto_pub "${tls[@]}" -i "$TWINMQ_DEVICE" -q 1 -t "\$twin/$TWINMQ_DEVICE/update" \
    -m '{"state":{"reported":{"client":"mosquitto_pub"}}}'
ok "mutual TLS"
if mosquitto_pub -h localhost -p "$tls_port" --cafile "$TWINMQ_CERTS/ca.pem" -t x -m y 2>"$scratch/refused"; then
    echo "a client without a certificate was let in" >&2
    exit 1
fi
ok "TLS without a certificate is refused"
