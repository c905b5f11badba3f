# SPDX-License-Identifier: GPL-2.0-or-later
# Sourced by tests that need a guest with a real disk and systemd: a Debian root with our modules, to which a test adds what it
# wants, and the disk made of it.
#
# Needs scripts/lib.sh. Sets root (the folder to add to), release.

# guest_root FOLDER [PACKAGE...]: the root in FOLDER/root, vmlinuz and initrd beside it
guest_root() {
	local work=$1 original kdir module
	shift
	need_root "copying a guest's root"
	original=$(scripts/guest-root "$@")
	kdir=$(scripts/kdir)
	release=$(cat "$kdir/release")
	scripts/build-modules >/dev/null
	root=$work/root
	rm -rf --one-file-system "$work"
	mkdir -p "$work"
	# Hard links: nothing of the original is written to, only added beside.
	cp -al "$original" "$root" 2>/dev/null || {
		# Another file system.
		rm -rf --one-file-system "$root"
		cp -a "$original" "$root"
	}
	for module in build/"$release"/*.ko; do
		put "$module" "/usr/lib/modules/$release/updates/${module##*/}" 644
	done
	# depmod writes new files and renames them into place.
	rm -f "$root/usr/lib/modules/$release"/modules.{dep,alias,symbols,builtin.alias}*
	chroot "$root" depmod "$release"
	cp "$root/boot/initrd.img-$release" "$work/initrd"
	cp "$kdir/vmlinuz" "$work/vmlinuz"
}

# put FROM TO MODE: a file into the root
put() {
	mkdir -p "$root$(dirname -- "$2")"
	install -m "$3" "$1" "$root$2"
}

# guest_disk FOLDER: FOLDER/disk.img, labelled kdumpkit-root; the root is gone then
guest_disk() {
	rm -f "$root/.complete"
	truncate -s 4G "$1/disk.img"
	scripts/in-buildroot mke2fs -q -F -t ext4 -L kdumpkit-root -d "$root" "$1/disk.img"
	rm -rf --one-file-system "$root"
}
