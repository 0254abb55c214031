// Copyright (c) 2026 the vdisk.lifecycle authors
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// Machine is one virtual machine; empty names mean the root folder and the first cluster's root pool.
type Machine struct {
	Name, Folder, Pool string
	File               string // "[datastore] directory/name.vmx"
	Guest              string
	On, Template       bool
	Disks              []Disk
}

// Disk is one of a machine's disks, in the order of its SCSI units.
type Disk struct {
	File string
	Size int64
	UUID string
	Mode string
	Thin bool
}

// The keys that vSphere gives to the devices of a new machine.
const (
	controllerKey = 1000
	firstDiskKey  = 2000
	reservedUnit  = 7 // the controller's own place on its bus
)

func (b *builder) machine(m *Machine) error {
	folder, pool := b.folders[m.Folder], b.pools[m.Pool]
	if folder == nil || pool.Value == "" {
		return fmt.Errorf("no folder %q or no pool %q", m.Folder, m.Pool)
	}
	task := folder.CreateVMTask(b.own(), &types.CreateVM_Task{
		This: folder.Self, Config: m.config(), Pool: pool,
	}).(*methods.CreateVM_TaskBody).Res.Returnval
	info, err := b.finished(task)
	if err != nil {
		return err
	}
	vm := b.ctx.Map.Get(info.Result.(types.ManagedObjectReference)).(*simulator.VirtualMachine)
	m.finish(b.own(), vm)
	return nil
}

// finished waits without the simulator's own pause of ten milliseconds, which ten thousand machines would feel.
func (b *builder) finished(ref types.ManagedObjectReference) (*types.TaskInfo, error) {
	task := b.ctx.Map.Get(ref).(*simulator.Task)
	for {
		var info types.TaskInfo
		b.own().WithLock(task, func() { info = task.Info })
		switch info.State {
		case types.TaskInfoStateSuccess:
			return &info, nil
		case types.TaskInfoStateError:
			return nil, fmt.Errorf("%T", info.Error.Fault)
		}
		time.Sleep(20 * time.Microsecond)
	}
}

func (m *Machine) config() types.VirtualMachineConfigSpec {
	devices := []types.BaseVirtualDeviceConfigSpec{add(&types.ParaVirtualSCSIController{
		VirtualSCSIController: types.VirtualSCSIController{
			SharedBus: types.VirtualSCSISharingNoSharing,
			VirtualController: types.VirtualController{
				VirtualDevice: types.VirtualDevice{Key: controllerKey},
			},
		},
	}, "")}
	for n := range m.Disks {
		devices = append(devices, add(m.Disks[n].device(n), types.VirtualDeviceConfigSpecFileOperationCreate))
	}
	guest := m.Guest
	if guest == "" {
		guest = "debian12_64Guest"
	}
	return types.VirtualMachineConfigSpec{
		Name: m.Name, GuestId: guest, Version: "vmx-19", NumCPUs: 2, MemoryMB: 2048,
		Files:        &types.VirtualMachineFileInfo{VmPathName: m.File},
		DeviceChange: devices,
	}
}

func add(device types.BaseVirtualDevice, operation types.VirtualDeviceConfigSpecFileOperation) types.BaseVirtualDeviceConfigSpec {
	return &types.VirtualDeviceConfigSpec{
		Operation: types.VirtualDeviceConfigSpecOperationAdd, FileOperation: operation, Device: device,
	}
}

func (d *Disk) device(n int) *types.VirtualDisk {
	unit := int32(n)
	if unit >= reservedUnit {
		unit++
	}
	return &types.VirtualDisk{
		CapacityInBytes: d.Size, CapacityInKB: d.Size / 1024,
		VirtualDevice: types.VirtualDevice{
			Key: firstDiskKey + unit, ControllerKey: controllerKey, UnitNumber: &unit,
			DeviceInfo: &types.Description{Label: fmt.Sprintf("Hard disk %d", n+1)},
			Backing: &types.VirtualDiskFlatVer2BackingInfo{
				VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{FileName: d.File},
				DiskMode:                     d.Mode, Uuid: d.UUID, ThinProvisioned: types.NewBool(d.Thin),
			},
		},
	}
}

// finish says what CreateVM leaves out.
func (m *Machine) finish(ctx *simulator.Context, vm *simulator.VirtualMachine) {
	now := time.Now()
	changes := []types.PropertyChange{
		{Name: "config.changeVersion", Val: now.UTC().Format(time.RFC3339Nano)},
		{Name: "capability.changeTrackingSupported", Val: true},
		{Name: "runtime.consolidationNeeded", Val: false},
	}
	if m.On {
		changes = append(changes,
			types.PropertyChange{Name: "runtime.powerState", Val: types.VirtualMachinePowerStatePoweredOn},
			types.PropertyChange{Name: "summary.runtime.powerState", Val: types.VirtualMachinePowerStatePoweredOn},
			types.PropertyChange{Name: "runtime.bootTime", Val: now},
			types.PropertyChange{Name: "guest.toolsStatus", Val: types.VirtualMachineToolsStatusToolsOk},
			types.PropertyChange{Name: "guest.toolsRunningStatus", Val: "guestToolsRunning"},
		)
	}
	ctx.WithLock(vm, func() { ctx.Update(vm, changes) })
	if m.Template {
		vm.MarkAsTemplate(&types.MarkAsTemplate{This: vm.Self})
	}
}
