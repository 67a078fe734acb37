#!/usr/bin/env bash
# mosquitto_pub and mosquitto_sub over TCP and TLS: every QoS and version, retained, sessions, wills, groups, certificates.
# They speak WebSocket from 2.1 on, and Debian 12 has 2.0.11.
set -euo pipefail

host=localhost
scratch=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$scratch"' EXIT

ok() { echo "ok mosquitto $*"; }
expect() { # expect WHAT GOT WANTED
    [[ $2 == "$3" ]] || { echo "$1: got '$2', wanted '$3'" >&2; exit 1; }
}

# Set for each transport and version, and used by what follows.
server=() version= topic=
pub() { mosquitto_pub "${server[@]}" -V "$version" "$@"; }
sub() { mosquitto_sub "${server[@]}" -V "$version" -W 10 "$@"; }

# Starts a subscriber in the background and returns once its SUBACK came; its messages go to $scratch/NAME.
listen() { # listen NAME OPTIONS...
    local name=$1
    shift
    rm -f "$scratch/pipe"
    mkfifo "$scratch/pipe"
    stdbuf -oL mosquitto_sub "${server[@]}" -V "$version" -W 10 -d "$@" >"$scratch/pipe" &
    listener=$!
    exec 9<"$scratch/pipe"
    while read -r line <&9; do
        [[ $line == Subscribed* ]] && break
    done
    { grep -v '^Client ' <&9 >"$scratch/$name" || true; } &
    collector=$!
    exec 9<&-
}

every_qos_arrives() {
    local qos
    for qos in 0 1 2; do
        listen qos -t "$topic/+" -q "$qos" -C 1
        pub -t "$topic/$qos" -q "$qos" -m "hello at $qos"
        wait "$listener" "$collector"
        expect "QoS $qos" "$(<"$scratch/qos")" "hello at $qos"
    done
}

retained_message_waits_for_subscribers() {
    pub -t "$topic/retained/a" -m kept -r
    expect retained "$(sub -t "$topic/retained/#" -C 1 -F '%p %r')" "kept 1"
    pub -t "$topic/retained/a" -n -r
    listen retained -t "$topic/retained/#" -C 1 -F '%p %r'
    pub -t "$topic/retained/b" -m mark
    wait "$listener" "$collector"
    expect "after the retained message was cleared" "$(<"$scratch/retained")" "mark 0"
}

session_keeps_what_came_meanwhile() {
    local keep=(-i "sleeper-${topic//\//-}" -c -q 1 -t "$topic/mail")
    [[ $version == mqttv5 ]] && keep+=(-x 60)
    sub "${keep[@]}" -E
    pub -t "$topic/mail" -q 1 -m "while you slept"
    expect session "$(sub "${keep[@]}" -C 1)" "while you slept"
}

will_is_published_when_the_client_is_killed() {
    listen will -t "$topic/will" -q 1 -C 1
    local watcher=$listener gatherer=$collector
    listen lost -t "$topic/nothing" --will-topic "$topic/will" --will-payload gone --will-qos 1
    { kill -9 "$listener" && wait "$listener"; } 2>/dev/null || true
    wait "$watcher" "$gatherer"
    expect will "$(<"$scratch/will")" gone
}

group_members_take_turns() {
    listen first -t "\$share/group/$topic/work" -q 1 -C 1
    local first=$listener gatherer=$collector
    listen second -t "\$share/group/$topic/work" -q 1 -C 1
    printf 'one\ntwo\n' | pub -t "$topic/work" -q 1 -l
    wait "$first" "$gatherer" "$listener" "$collector"
    expect group "$(sort "$scratch/first" "$scratch/second" | paste -sd' ')" "one two"
}

properties_travel() {
    listen properties -t "$topic/properties" -q 1 -C 1 -D subscribe subscription-identifier 7 -F '%p %P %R %C %S'
    pub -t "$topic/properties" -q 1 -m with -D publish user-property site north -D publish response-topic answers \
        -D publish content-type text/plain
    wait "$listener" "$collector"
    expect properties "$(<"$scratch/properties")" "with site:north answers text/plain 7"
}

certificate_names_the_device() {
    local server=(-h "$host" -p "${TWINMQ_MQTTS_MUTUAL##*:}" --cafile "$TWINMQ_CERTS/ca.pem")
    pub --cert "$TWINMQ_CERTS/$TWINMQ_DEVICE.pem" --key "$TWINMQ_CERTS/$TWINMQ_DEVICE.key" -i "some-$version" -q 1 \
        -t "\$twin/$TWINMQ_DEVICE/update" -m '{"state":{"reported":{"client":"mosquitto_pub"}}}'
    if pub -t x -m y 2>"$scratch/refused"; then
        echo "a client without a certificate was let in" >&2
        exit 1
    fi
}

server_of_another_authority_is_not_trusted() {
    local server=(-h "$host" -p "${TWINMQ_MQTTS##*:}" --cafile "$TWINMQ_STRANGERS/ca.pem")
    if pub -t x -m y 2>"$scratch/mistrusted"; then
        echo "mosquitto_pub trusted a server of another authority" >&2
        exit 1
    fi
}

stories=(every_qos_arrives retained_message_waits_for_subscribers session_keeps_what_came_meanwhile
    will_is_published_when_the_client_is_killed group_members_take_turns)
stories_of_v5=(properties_travel)
stories_of_tls=(certificate_names_the_device server_of_another_authority_is_not_trusted)

for transport in mqtt mqtts; do
    server=(-h "$host" -p "${TWINMQ_MQTT##*:}")
    [[ $transport == mqtts ]] && server=(-h "$host" -p "${TWINMQ_MQTTS##*:}" --cafile "$TWINMQ_CERTS/ca.pem")
    for version in mqttv311 mqttv5; do
        topic=mosquitto/$transport/$version
        todo=("${stories[@]}")
        [[ $version == mqttv5 ]] && todo+=("${stories_of_v5[@]}")
        [[ $transport == mqtts ]] && todo+=("${stories_of_tls[@]}")
        for story in "${todo[@]}"; do
            "$story" || { echo "FAILED $transport $version $story" >&2; exit 1; }
        done
        ok "$transport $version: ${#todo[@]} stories"
    done
done
