# shellcheck shell=bash
# Boots a virtual machine with Debian's kernel, whose file system is one of this machine's folders, read-only; ends with it.
# Arguments: ROOT INIT FILES [ARCH OWN]. ROOT: the root `vm` of root.sh. INIT: the path of the program that is process 1 there. FILES: the
# folder that is its file system, with its kernel but for this machine's architecture. ARCH: another than that, arm64 or armv7; OWN: a
# folder that is seen there as /host.
# It runs in new mount and pid namespaces, so that nothing of it is seen outside or outlives it. What INIT writes to /dev/hvc0
# goes to stdout; what the kernel said follows on stderr.
set -eu
root=$1 init=$2 files=$3 arch=${4:-amd64} own=${5:-}
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --rbind "$files" "$root/host"
[ -z "$own" ] || mount --bind "$own" "$root/host/host"
mount -t tmpfs tmpfs "$root/tmp"
boot=$root/boot
[ "$arch" = amd64 ] || boot=$files/boot
cp "$boot"/vmlinuz-* "$root/tmp/vmlinuz"
# Emulated (TCG): whether this machine could lend its processor to a guest is not asked. A guest that waits for its processor may
# count too few ticks of its timer, and panic: it is told not to count (no_timer_check). The kernel has virtiofs built in, so
# there is no initial RAM disk.
case $arch in
  amd64) machine=(x86_64 -cpu max -machine 'q35,memory-backend=memory') console='ttyS0 no_timer_check' ;;
  arm64) machine=(aarch64 -cpu cortex-a72 -machine 'virt,memory-backend=memory') console=ttyAMA0 ;;
  armv7) machine=(arm -cpu cortex-a15 -machine 'virt,memory-backend=memory,highmem=off') console=ttyAMA0 ;;
esac
# shellcheck disable=SC2016  # expanded by the inner shell
exec chroot "$root" /bin/sh -euc '
  /usr/libexec/virtiofsd --socket-path=/tmp/files --shared-dir=/host --sandbox=none --readonly --cache=always 2>/tmp/virtiofsd &
  while ! [ -S /tmp/files ]; do
    kill -0 $! || { cat /tmp/virtiofsd >&2; exit 1; }
    sleep 0.02
  done
  init=$1 console=$2 emulator=qemu-system-$3
  shift 3
  "$emulator" "$@" -accel tcg,thread=multi -smp 2 -m 1024 -nodefaults -no-user-config -nographic -no-reboot \
    -object memory-backend-memfd,id=memory,size=1024M,share=on \
    -kernel /tmp/vmlinuz -append "rootfstype=virtiofs root=files ro console=$console quiet panic=-1 mitigations=off init=$init" \
    -chardev socket,id=files,path=/tmp/files -device vhost-user-fs-pci,chardev=files,tag=files \
    -device virtio-serial-pci -chardev stdio,id=out -device virtconsole,chardev=out -serial file:/tmp/console </dev/null
  cat /tmp/console /tmp/virtiofsd >&2' sh "$init" "$console" "${machine[@]}"
