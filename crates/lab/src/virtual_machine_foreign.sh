# shellcheck shell=sh
# Process 1 of a virtual machine of another architecture, before the lines that say what it is for: mounts what every machine has,
# and loads the modules of links and bridges. Its root is one of root.sh's that was only unpacked, so there is no list of modules.
set -eu
export PATH=/run/bin:/usr/sbin:/usr/bin HOME=/root
busybox=/usr/bin/busybox
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sysfs /sys
[ -c /dev/hvc0 ] || $busybox mount -t devtmpfs devtmpfs /dev
exec </dev/null >/dev/hvc0 2>&1
$busybox stty -F /dev/hvc0 -opost
for folder in /tmp /run /var/lib; do
  $busybox mount -t tmpfs tmpfs $folder
done
$busybox mkdir /run/bin
$busybox --install -s /run/bin
rm /run/bin/ip /run/bin/ping
for module in llc stp bridge veth; do
  insmod "$(find /lib/modules -name "$module.ko*")"
done
ip link set lo up
