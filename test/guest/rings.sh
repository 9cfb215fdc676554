# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the weir authors
# shellcheck shell=sh
#
# What the guest's driver and the device have agreed on.

# VIRTIO_F_RING_PACKED is bit 34, and sysfs writes bit 0 first. All virtio-fs devices must have it.
check_packed_rings()
{
	same feature 1 "$(cut -c35 /sys/bus/virtio/drivers/virtiofs/virtio*/features | sort -u)"
}
