# shellcheck shell=sh
# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Each line that this prints is a reason not to keep the guest as it is.
if [ -f /var/lib/dpkg/status ]; then dpkg --audit 2>&1; fi
if command -v rpm >/dev/null && ls /var/lib/rpm/* /usr/lib/sysimage/rpm/* >/dev/null 2>&1; then
  rpm --query --all >/dev/null || echo "the database of rpm cannot be read"
fi
if [ -f /etc/fstab ]; then
  while read -r device target _kind options rest; do
    case "$device,$target,$options" in "#"*|",,"*|*,none,*|*,swap,*|*noauto*) continue ;; esac
    target="$(printf '%b' "$target")" # a blank is \040 there
    [ -d "$target" ] || [ -f "$target" ] || echo "/etc/fstab wants $target, and it is not there"
  done </etc/fstab
fi
initial=""
for file in /boot/initrd* /boot/initramfs*; do [ -f "$file" ] && initial=yes; done
for kernel in /boot/vmlinuz-*; do
  version="${kernel#/boot/vmlinuz-}"
  case "$version" in "*"|*rescue*) continue ;; esac
  [ -s "$kernel" ] || echo "$kernel is empty"
  [ -d "/lib/modules/$version" ] || echo "kernel $version has no modules"
  [ -z "$initial" ] && continue
  found=""
  for file in "/boot/initrd.img-$version" "/boot/initramfs-$version.img" "/boot/initrd-$version" "/boot/initramfs-${version##*-}"; do
    [ -s "$file" ] && found=yes
  done
  [ -n "$found" ] || echo "kernel $version has no initial RAM disk"
done
exit 0
