# shellcheck shell=bash
# Process 1 of a virtual machine, before the lines that say what it is for: mounts what is not this machine's.
# Argument: ROOT, the root `vm`, for its modules.
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
[ -c /dev/hvc0 ] || mount -t devtmpfs devtmpfs /dev
exec </dev/null >/dev/hvc0 2>&1
stty -F /dev/hvc0 -opost
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup   # for an engine's containers
# The kernel asks for modules by a program of that name, and finds them where they belong to it.
printf '#!/bin/sh\nexec chroot %s /sbin/modprobe "$@"\n' "$1" >/run/modprobe
chmod +x /run/modprobe
echo /run/modprobe >/proc/sys/kernel/modprobe
mount --bind /proc "$1/proc"
mount --bind /sys "$1/sys"
