# shellcheck shell=bash
# The first process of a machine: makes its file system, says that it is ready, and then only holds the namespaces.
# Arguments: ROOT MOUNTPOINT HOSTNAME CGROUP INIT [FOLDER INSIDE]…; CGROUP may be empty. INIT: `hold`, or `systemd`, which
# wants a CGROUP.
# It runs in new mount, pid, uts and ipc namespaces, nothing of which is seen outside.
set -eu
root=$1 mnt=$2 name=$3 cgroup=$4 init=$5
shift 5
hostname "$name"

# The whole machine lives in memory, above the root that others use at the same time.
mount -t tmpfs -o mode=755 landfall-lab "$mnt"
mkdir "$mnt/upper" "$mnt/work" "$mnt/root" "$mnt/docker"
mount -t overlay -o "lowerdir=$root,upperdir=$mnt/upper,workdir=$mnt/work" landfall-lab "$mnt/root"
cd "$mnt/root"
mkdir -p var/lib/docker .old
mount -t proc proc proc
mount -t sysfs sysfs sys
if [ "$init" = systemd ]; then
  # It would take the devices of this machine for its own.
  mount -t tmpfs -o mode=755,nosuid tmpfs dev
  for device in null zero full random urandom tty; do
    : >"dev/$device"
    mount --bind "/dev/$device" "dev/$device"
  done
  mkdir dev/pts dev/shm
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
  mount -t tmpfs -o mode=1777 tmpfs dev/shm
  ln -s pts/ptmx dev/ptmx
  ln -s /proc/self/fd dev/fd
  # A unit that fails on kernels without modules.
  ln -s /dev/null etc/systemd/system/systemd-modules-load.service
else
  mount --rbind /dev dev
fi
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
mount --bind "$mnt/docker" var/lib/docker   # overlay2 does not stand on an overlay
while [ $# -gt 0 ]; do
  mkdir -p ".$2"
  mount --bind "$1" ".$2"
  shift 2
done
printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$name" >etc/hosts
: >etc/resolv.conf
: >run/lab-cgroups                           # the files by which a process joins the machine's cgroups

# With a cgroup: the machine sees its own as the root of each hierarchy, and cannot leave anything behind elsewhere.
if [ "$init" = systemd ]; then
  # systemd knows version 2 only, and takes what controllers there are.
  at=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
  mkdir "$at/$cgroup"
  echo 0 >"$at/$cgroup/cgroup.procs"
elif [ -n "$cgroup" ]; then
  while read -r _ at type options _; do
    case $type:$at in
      cgroup:/sys/fs/cgroup/* | cgroup2:/sys/fs/cgroup*) ;;
      *) continue ;;
    esac
    mkdir "$at/$cgroup"
    if [ -e "$at/$cgroup/cpuset.cpus" ] && [ "$type" = cgroup ]; then
      cat "$at/cpuset.cpus" >"$at/$cgroup/cpuset.cpus"
      cat "$at/cpuset.mems" >"$at/$cgroup/cpuset.mems"
      echo 1 >"$at/$cgroup/cgroup.clone_children"
    fi
    echo 0 >"$at/$cgroup/cgroup.procs"
    controllers=
    for option in ${options//,/ }; do
      case $option in
        rw | ro | nosuid | nodev | noexec | relatime | xattr | clone_children | release_agent=*) ;;
        name=*) controllers=$controllers,none,$option ;;
        *) controllers=$controllers,$option ;;
      esac
    done
    echo "$type $at ${controllers#,}"
  done </proc/mounts >run/cgroups
fi

pivot_root . .old
# shellcheck disable=SC2016  # expanded by the inner shell, in the new cgroup namespace
exec ${cgroup:+unshare --cgroup --} bash -euc '
  if [ "$2" = systemd ]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
  elif [ -n "$1" ]; then
    grep -q "^cgroup2 /sys/fs/cgroup " /run/cgroups || mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
    while read -r type at controllers; do
      mkdir -p "$at"
      if [ "$type" = cgroup2 ]; then
        mount -t cgroup2 cgroup2 "$at"
        mkdir "$at/init"                  # a cgroup with processes of its own cannot hand controllers down
        at=$at/init
        echo 0 >"$at/cgroup.procs"
      else
        mount -t cgroup -o "$controllers" cgroup "$at"
      fi
      echo "$at/cgroup.procs" >>/run/lab-cgroups
    done </run/cgroups
  fi
  umount -l /.old
  mount --make-rshared /                  # as systemd leaves it: managed plugins need it
  echo lab: started
  if [ "$2" = systemd ]; then
    exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system >/dev/null 2>&1
  fi
  # pid 1: with SIGCHLD ignored the kernel reaps the orphans that it inherits.
  exec env -i --ignore-signal=CHLD sleep infinity >/dev/null 2>&1' machine "$cgroup" "$init"
