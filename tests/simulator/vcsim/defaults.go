// Copyright (c) 2026 the vdisk.lifecycle authors
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// defaults mends what the simulator leaves out and strict clients, pyVmomi among them, stumble over.
type defaults struct {
	datacenter types.ManagedObjectReference
}

func (d *defaults) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "Interposer", Value: "defaults"}
}

func (d *defaults) PutObject(ctx *simulator.Context, object mo.Reference) {
	switch o := object.(type) {
	case *simulator.VirtualMachine:
		// enumerations that must have a value
		for _, runtime := range []*types.VirtualMachineRuntimeInfo{&o.Runtime, &o.Summary.Runtime} {
			runtime.FaultToleranceState = types.VirtualMachineFaultToleranceStateNotConfigured
			runtime.RecordReplayState = types.VirtualMachineRecordReplayStateInactive
		}
	case *simulator.Task:
		// a reference to a managed entity, which VirtualDiskManager and its like are not
		if _, ok := ctx.Map.Get(*o.Info.Entity).(mo.Entity); !ok {
			o.Info.Entity = &d.datacenter
		}
	}
}

func (d *defaults) UpdateObject(*simulator.Context, mo.Reference, []types.PropertyChange) {}

func (d *defaults) RemoveObject(*simulator.Context, types.ManagedObjectReference) {}
