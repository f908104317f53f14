#!/bin/bash
# root.sh NAME — prints the path of a Debian root, made first if it is not there yet.
#
#   bookworm  Docker Engine 20.10.24, and all that pretends to be the LAN: dnsmasq, Kea, ISC's and WIDE's DHCPv6 servers,
#             radvd, udhcpc, tcpdump, CNI plugins
#   trixie    Docker Engine 26.1.5, docker-compose
#   forky     Docker Engine 28.5.2, docker-compose
# and in each of these docker-registry, from which a plugin is upgraded.
#   bookworm-systemd, trixie-systemd
#             Docker Engine 20.10.24 and 26.1.5 on a machine with systemd, as forky has it anyway
#   vm        what a virtual machine needs (virtual_machine.sh): QEMU, virtiofsd, Debian's kernel 6.12
#   arm64, armv7
#             what stands in one of another architecture: Debian's kernel 6.12 for it, dnsmasq, curl, iproute2. Unpacked only: nothing of it
#             runs on this machine
#
# Roots stand in $LANDFALL_LAB_DIR (/var/tmp/landfall-lab), named by what is in them, and are only read afterwards:
# whoever uses one lays an overlay on it. A lock keeps two callers from building the same one.
# $LANDFALL_LAB_MIRROR: another Debian mirror than deb.debian.org. Needs root; installs mmdebstrap if it is missing.
set -euo pipefail

name=${1:?root.sh NAME: bookworm, trixie, forky, bookworm-systemd, trixie-systemd, vm, arm64 or armv7}
lab=${LANDFALL_LAB_DIR:-/var/tmp/landfall-lab}
mirror=${LANDFALL_LAB_MIRROR:-http://deb.debian.org/debian}
engine=docker.io,docker-registry,iptables,nftables,iproute2,ca-certificates,procps,mount,busybox-static
suite=$name foreign=()
case $name in
  bookworm)
    include=$engine,dnsmasq-base,kea-dhcp4-server,kea-dhcp6-server,isc-dhcp-server,wide-dhcpv6-server,radvd
    include=$include,udhcpc,tcpdump,iputils-ping,containernetworking-plugins ;;
  trixie | forky)
    include=$engine,docker-cli,docker-compose ;;
  bookworm-systemd | trixie-systemd)
    suite=${name%-systemd} include=$engine,systemd-sysv,dbus
    # rpm: installs what other systems are given.
    [ "$suite" = bookworm ] || include=$include,docker-cli,rpm ;;
  vm)
    # tiny-initramfs: the kernel's package wants one that makes initial RAM disks, of which none is needed.
    suite=trixie include=qemu-system-x86,qemu-system-arm,virtiofsd,linux-image-cloud-amd64,tiny-initramfs,kmod ;;
  arm64 | armv7)
    suite=trixie include=base-files,busybox-static,dash,dnsmasq-base,curl,iproute2,iputils-ping
    foreign=(--variant=extract)
    if [ "$name" = arm64 ]; then
      include=$include,linux-image-cloud-arm64 foreign+=(--architectures=arm64)
    else
      include=$include,linux-image-armmp foreign+=(--architectures=armhf)
    fi ;;
  *)
    echo "root.sh: no root is called '$name': bookworm, trixie, forky, bookworm-systemd, trixie-systemd, vm, arm64 or armv7" >&2
    exit 2 ;;
esac
say() { echo "lab: $*" >&2; }

root=$lab/$name-$(printf '%s' "$include" | cksum | cut -d ' ' -f 1)
if [ -d "$root" ]; then
  echo "$root"
  exit 0
fi
if [ "$(id -u)" != 0 ]; then
  say "making a Debian root in $lab needs root: run this with sudo"
  exit 1
fi
mkdir -p "$lab/mnt"   # $lab/mnt: where a machine mounts its own things, in its own mount namespace
exec 9>"$root.lock"
flock 9
if [ -d "$root" ]; then   # another caller built it while this one waited
  echo "$root"
  exit 0
fi

if ! command -v mmdebstrap >/dev/null; then
  say "installing the package mmdebstrap"
  apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends mmdebstrap >&2
fi
say "making a Debian $suite root with ${include//,/, } in $root (about a minute, once)"
rm -rf --one-file-system "$root.new"
# A released suite can be past its Valid-Until on a mirror snapshot; nothing here is kept up to date by it.
mmdebstrap --quiet --variant=apt "${foreign[@]}" --include="$include" \
  --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
  --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  "$suite" "$root.new" "$mirror" 9>&- >&2

if [ "$name" = vm ]; then
  mkdir "$root.new/host"   # where this machine's files are mounted
elif [ ${#foreign[@]} -gt 0 ]; then
  mkdir "$root.new/host"   # where what is run is mounted
  # What packages would have made that were only unpacked.
  echo 'root:x:0:0:root:/root:/bin/sh' >"$root.new/etc/passwd"
  echo 'root:x:0:' >"$root.new/etc/group"
else
  # The image `busybox` of the tests: nothing is pulled from a registry.
  image=$(mktemp -d)
  mkdir -p "$image/bin" "$image/etc" "$image/root" "$image/tmp" "$root.new/lab"
  cp "$root.new/bin/busybox" "$image/bin/"
  for applet in $("$image/bin/busybox" --list); do
    [ -e "$image/bin/$applet" ] || ln -s busybox "$image/bin/$applet"
  done
  tar -C "$image" --owner=0 --group=0 -cf "$root.new/lab/busybox.tar" .
  rm -r "$image"
fi

mv "$root.new" "$root"
echo "$root"
