# shellcheck shell=bash
# Boots a virtual machine whose file system is this machine's, read-only, and whose kernel is Debian's; ends with it.
# Arguments: ROOT INIT. ROOT: the root `vm` of root.sh. INIT: the path of the program that is process 1 there.
# It runs in new mount and pid namespaces, so that nothing of it is seen outside or outlives it. What INIT writes to /dev/hvc0
# goes to stdout; what the kernel said follows on stderr.
set -eu
root=$1 init=$2
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --rbind / "$root/host"
mount -t tmpfs tmpfs "$root/tmp"
cp "$root"/boot/vmlinuz-* "$root/tmp/vmlinuz"
# Emulated (TCG): whether this machine could lend its processor to a guest is not asked. A guest that waits for its processor may
# count too few ticks of its timer, and panic: it is told not to count (no_timer_check). The kernel has virtiofs built in, so
# there is no initial RAM disk.
# shellcheck disable=SC2016  # expanded by the inner shell
exec chroot "$root" /bin/sh -euc '
  /usr/libexec/virtiofsd --socket-path=/tmp/files --shared-dir=/host --sandbox=none --readonly --cache=always 2>/tmp/virtiofsd &
  while ! [ -S /tmp/files ]; do
    kill -0 $! || { cat /tmp/virtiofsd >&2; exit 1; }
    sleep 0.02
  done
  qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 1024 -nodefaults -no-user-config -nographic -no-reboot \
    -object memory-backend-memfd,id=memory,size=1024M,share=on -machine q35,memory-backend=memory \
    -kernel /tmp/vmlinuz -append "rootfstype=virtiofs root=files ro console=ttyS0 quiet panic=-1 mitigations=off no_timer_check init=$1" \
    -chardev socket,id=files,path=/tmp/files -device vhost-user-fs-pci,chardev=files,tag=files \
    -device virtio-serial-pci -chardev stdio,id=out -device virtconsole,chardev=out -serial file:/tmp/console </dev/null
  cat /tmp/console /tmp/virtiofsd >&2' sh "$init"
