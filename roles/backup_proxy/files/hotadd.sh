#!/bin/sh
# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# hotadd.sh ETC: what keeps this host from reading disks by HotAdd, one reason in a line; nothing if it is ready.
etc=$1
sys=${VDISK_SYSFS_ROOT:-/sys}

vendor=$(cat "$sys/class/dmi/id/sys_vendor" 2>/dev/null)
case $vendor in
*VMware*) ;;
*) echo "this host is no virtual machine of VMware, as far as it can be seen (its vendor: ${vendor:-unknown}); where that is wrong, as in containers, name it in proxy_vm" ;;
esac

[ "$(id -u)" = 0 ] || echo "only root may read attached disks: run the tasks with become: true"

controllers=0
for one in "$sys"/bus/pci/drivers/vmw_pvscsi/0*; do
  [ -e "$one" ] && controllers=$((controllers + 1))
done
[ "$controllers" -gt 0 ] || echo "it has no PVSCSI controller: the first disk that is attached brings one; add one while it is off"

disks=0 named=0
for one in "$sys"/block/sd*/device; do
  [ -e "$one" ] || continue
  grep -q VMware "$one/vendor" 2>/dev/null || continue
  disks=$((disks + 1))
  grep -qi 'naa.6000c29' "$one/wwid" 2>/dev/null && named=$((named + 1))
done
[ "$disks" = "$named" ] || echo "its disks have no uuids: power it off, set disk.EnableUUID = TRUE (VM Options > Advanced), and start it again"

[ -e "$etc/udev/rules.d/61-vdisk-hotadd.rules" ] || echo "udisks may touch disks that pass through: $etc/udev/rules.d/61-vdisk-hotadd.rules is missing"

if [ -e "$etc/multipath.conf" ] && [ ! -e "$etc/multipath/conf.d/vdisk-hotadd.conf" ]; then
  echo "multipath may take disks that pass through: $etc/multipath/conf.d/vdisk-hotadd.conf is missing"
fi
if [ -e "$etc/lvm/lvm.conf" ] && [ ! -s "$etc/lvm/devices/system.devices" ] && ! grep -Eq '^[[:space:]]*global_filter' "$etc/lvm/lvm.conf"; then
  echo "LVM may take disks that pass through: set global_filter in $etc/lvm/lvm.conf to the disks of this host"
fi
if [ -e "$etc/mdadm/mdadm.conf" ] && ! grep -Eq '^[[:space:]]*AUTO[[:space:]]+-all' "$etc/mdadm/mdadm.conf"; then
  echo "mdadm may take disks that pass through: write AUTO -all into $etc/mdadm/mdadm.conf, and this host's own arrays as ARRAY lines"
fi
exit 0
