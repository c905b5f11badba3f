# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in the build root: makes system initramfses with the distribution's own initramfs-tools or dracut.
#   system.sh RELEASE STOCK_MODULES BUILDER FOLDER
# FOLDER has install/ (from scripts/install), kdumpkit.toml and lkdtm.ko; out come plain.img (without our hooks), hooked.img
# (with) and system.img (with, and with a crash before the root is mounted, as long as there is a capture kernel for it).
set -eu
release=$1 stock=$2 builder=$3 folder=$4

# Nothing of this stays in the build root: the mounts end with this process.
space=$(mktemp -d)
mount -t tmpfs none "$space"
for dir in /usr/sbin /usr/share/initramfs-tools /usr/lib/dracut; do
	mkdir -p "$space$dir"
	cp -a "$dir/." "$space$dir"
	mount --bind "$space$dir" "$dir"
done
mkdir -p /usr/lib/modules
mount -t tmpfs none /usr/lib/modules
mkdir "/usr/lib/modules/$release"
mount --bind "$stock" "/usr/lib/modules/$release"
mkdir -p /etc/kdumpkit
mount -t tmpfs none /etc/kdumpkit
cp "$folder/kdumpkit.toml" /etc/kdumpkit/

install_ours() {
	for dir in usr/sbin usr/share/initramfs-tools usr/lib/dracut; do cp -r "$folder/install/$dir/." "/$dir"; done
}

crash_script() { # FILE: for both builders, so nothing but the shell, and no exit, for dracut sources it
	printf '#!/bin/sh\nread -r loaded </sys/kernel/kexec_crash_loaded\n%s\n' \
		'[ "$loaded" = 0 ] || [ "${1:-}" = prereqs ] || insmod /lkdtm.ko cpoint_name=DIRECT cpoint_type=PANIC' >"$1"
	chmod +x "$1"
}

case $builder in
initramfs-tools)
	conf=$folder/conf
	rm -rf "$conf"
	cp -r /etc/initramfs-tools "$conf"
	printf 'MODULES=list\nCOMPRESS=zstd\nRESUME=none\n' >"$conf/conf.d/test"
	printf 'virtio_pci\nvirtio_blk\next4\n' >"$conf/modules"
	mkinitramfs -d "$conf" -o "$folder/plain.img" "$release"
	install_ours
	mkinitramfs -d "$conf" -o "$folder/hooked.img" "$release"
	printf '#!/bin/sh\n[ "$1" = prereqs ] || cp %s "$DESTDIR/lkdtm.ko"\n' "$folder/lkdtm.ko" >"$conf/hooks/crash"
	chmod +x "$conf/hooks/crash"
	mkdir -p "$conf/scripts/init-premount"
	crash_script "$conf/scripts/init-premount/crash"
	mkinitramfs -d "$conf" -o "$folder/system.img" "$release" ;;
dracut)
	make() { # IMAGE ARGUMENT...
		image=$1
		shift
		dracut --force --no-hostonly --modules "base kernel-modules rootfs-block udev-rules fs-lib ${ours:-}" \
			--drivers "virtio_pci virtio_blk ext4" --zstd --kver "$release" "$@" "$folder/$image"
	}
	make plain.img
	install_ours
	ours=kdumpkit
	make hooked.img
	crash_script "$folder/crash.sh"
	make system.img --include "$folder/crash.sh" /var/lib/dracut/hooks/pre-mount/00-crash.sh \
		--include "$folder/lkdtm.ko" /lkdtm.ko --install insmod ;;
esac
lsinitrd "$folder/hooked.img" 2>/dev/null | grep -e kdumpkit || lsinitramfs "$folder/hooked.img" | grep kdumpkit
