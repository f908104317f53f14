# shellcheck shell=sh
# A life of one endpoint on a machine of another architecture: a LAN of network namespaces, dnsmasq, `/host/program serve`, and the
# calls of an engine. It says each step, and ends at the first that fails.
PLUGIN=/run/docker/plugins/landfall.sock
SANDBOX=/run/docker/netns/web
MAC=02:00:00:00:00:01

call() { # call METHOD JSON: what the daemon answers is in $answer, and is no refusal
  answer=$(curl -sS --max-time 60 --unix-socket $PLUGIN -d "$2" "http://landfall/NetworkDriver.$1")
  case $answer in
    *'"Err"'*)
      echo "$1: $answer"
      exit 1 ;;
  esac
}
field() { echo "$answer" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
eventually() { # eventually WHAT COMMAND…: says WHAT once it succeeds, which nothing else tells
  what=$1 patience=600
  shift
  until "$@" >/dev/null 2>&1; do
    patience=$((patience - 1))
    [ $patience -gt 0 ] || {
      echo "not within a minute: $what"
      cat /tmp/landfall /tmp/dnsmasq
      exit 1
    }
    sleep 0.1
  done
  echo "$what"
}
count() { grep -c "$1" /tmp/dnsmasq || true; }
logged() { [ "$(count "$1")" -ge "$2" ]; }
serve() {
  /host/program serve >>/tmp/landfall 2>&1 &
  daemon=$!
  eventually 'it answers' curl -sSf --unix-socket $PLUGIN -d '' http://landfall/Plugin.Activate
}

ip netns add router
ip link add br0 type bridge forward_delay 0
ip link set br0 up
ip link add router type veth peer name eth0 netns router
ip link set router master br0 up
ip -n router addr add 10.77.0.1/16 dev eth0
ip -n router link set eth0 up
ip netns exec router dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --port=0 --interface=eth0 --no-ping \
  --dhcp-range=10.77.1.1,10.77.1.9,120 --dhcp-option=option:T1,4 --dhcp-authoritative --log-facility=- \
  --dhcp-leasefile=/tmp/leases --pid-file= >/tmp/dnsmasq 2>&1 &
eventually 'a server' logged 'DHCP, IP range' 1
serve

network='"NetworkID":"lan"'
null='{"AddressSpace":"null","Pool":"0.0.0.0/0","Gateway":"0.0.0.0/0"}'
call CreateNetwork "{$network,\"Options\":{\"com.docker.network.generic\":{\"bridge\":\"br0\",\"release_delay\":\"0\"}},\"IPv4Data\":[$null],\"IPv6Data\":[]}"
endpoint="$network,\"EndpointID\":\"web\""
call CreateEndpoint "{$endpoint,\"Interface\":{\"Address\":\"\",\"AddressIPv6\":\"\",\"MacAddress\":\"$MAC\"},\"Options\":{}}"
address=$(field Address)
mkdir -p /run/docker/netns
ip netns add web
: >$SANDBOX
mount --bind /run/netns/web $SANDBOX
call Join "{$endpoint,\"SandboxKey\":\"$SANDBOX\",\"Options\":{}}"
ip link set "$(field SrcName)" netns web name eth0
ip -n web addr add "$address" dev eth0
ip -n web link set eth0 up
eventually 'the router is reached' ip netns exec web ping -c 1 -W 1 10.77.0.1
eventually 'renewed' logged "DHCPACK.* $MAC" 2
/host/program status
grep Seccomp: /proc/$daemon/status

kill -KILL $daemon
wait $daemon || true
before=$(count "DHCPACK.* $MAC")
serve
eventually 'renewed after a kill' logged "DHCPACK.* $MAC" $((before + 1))
ip netns exec web ping -c 1 -W 1 10.77.0.1 >/dev/null
echo 'pinged'
call Leave "{$endpoint}"
echo 'left'
call DeleteEndpoint "{$endpoint}"
eventually 'given back' logged "DHCPRELEASE.* $MAC" 1
call DeleteNetwork "{$network}"
kill $daemon
wait $daemon
echo "$(count "DHCPDISCOVER.* $MAC") DISCOVER"
grep -E 'WARN|ERROR' /tmp/landfall || true
