// Copyright (c) 2026 the vdisk.lifecycle authors
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// Inventory is what the interposer asks for; world.py writes it.
type Inventory struct {
	Username   string
	Password   string
	Clusters   int
	Hosts      int // in each cluster; one more stands alone
	Datastores []Datastore
	Folders    []string
	Pools      []string // in the first cluster
	VMs        []Machine
}

// Datastore is a directory on this machine: kind is vmfs, nfs or vsan.
type Datastore struct {
	Name, Kind, Path string
}

func (i *Inventory) model() *simulator.Model {
	model := simulator.VPX()
	model.Cluster, model.ClusterHost, model.Host = i.Clusters, i.Hosts, 1
	model.Datastore, model.Machine = 0, 0
	about := &model.ServiceContent.About
	about.Name, about.FullName = "VMware vCenter Server", "VMware vCenter Server 8.0.3 build-24322831"
	about.Version, about.Build, about.ApiVersion = "8.0.3", "24322831", "8.0.3.0"
	return model
}

// modern makes the hosts as old as the vCenter: the simulator's are of version 6.5.
func modern(ctx *simulator.Context) {
	for _, entity := range ctx.Map.All("HostSystem") {
		host := entity.(*simulator.HostSystem)
		for _, product := range []*types.AboutInfo{host.Summary.Config.Product, &host.Config.Product} {
			product.Version, product.ApiVersion, product.Build = "8.0.3", "8.0.3.0", "24280767"
			product.FullName = "VMware ESXi 8.0.3 build-24280767"
		}
	}
}

// builder remembers by name what populate has made.
type builder struct {
	ctx     *simulator.Context
	folders map[string]*simulator.Folder
	pools   map[string]types.ManagedObjectReference
	network types.BaseVirtualDeviceBackingInfo
}

func (i *Inventory) populate(ctx *simulator.Context) error {
	ctx.Map.AddHandler(&defaults{datacenter: ctx.Map.Any("Datacenter").Reference()})
	modern(ctx)
	for _, ds := range i.Datastores {
		if err := ds.mount(ctx); err != nil {
			return err
		}
	}
	b := &builder{ctx: ctx, folders: map[string]*simulator.Folder{}, pools: map[string]types.ManagedObjectReference{}}
	b.places(i)
	for n := range i.VMs {
		if err := b.machine(&i.VMs[n]); err != nil {
			return fmt.Errorf("%s: %w", i.VMs[n].Name, err)
		}
	}
	return nil
}

// own is a context that shares no locks with any other.
func (b *builder) own() *simulator.Context {
	ctx := *b.ctx
	return &ctx
}

// places makes folders and resource pools; "" is the root of each, and a cluster's name its root pool.
func (b *builder) places(i *Inventory) {
	dc := b.ctx.Map.Any("Datacenter").(*simulator.Datacenter)
	root := b.ctx.Map.Get(dc.VmFolder).(*simulator.Folder)
	b.folders[""] = root
	for _, name := range i.Folders {
		made := root.CreateFolder(b.own(), &types.CreateFolder{This: root.Self, Name: name})
		b.folders[name] = b.ctx.Map.Get(made.(*methods.CreateFolderBody).Res.Returnval).(*simulator.Folder)
	}
	for _, cluster := range b.ctx.Map.All("ClusterComputeResource") {
		c := cluster.(*simulator.ClusterComputeResource)
		b.pools[c.Name] = *c.ResourcePool
	}
	b.pools[""] = b.pools["DC0_C0"]
	first := b.ctx.Map.Get(b.pools[""]).(*simulator.ResourcePool)
	for _, name := range i.Pools {
		made := first.CreateResourcePool(b.own(), &types.CreateResourcePool{
			This: first.Self, Name: name, Spec: types.DefaultResourceConfigSpec(),
		})
		b.pools[name] = made.(*methods.CreateResourcePoolBody).Res.Returnval
	}
}

// mount gives the datastore to every host, and makes it look like its kind.
func (d *Datastore) mount(ctx *simulator.Context) error {
	var made *simulator.Datastore
	for _, entity := range ctx.Map.All("HostSystem") {
		host := entity.(*simulator.HostSystem)
		system := ctx.Map.Get(*host.ConfigManager.DatastoreSystem).(*simulator.HostDatastoreSystem)
		body := system.CreateLocalDatastore(ctx, &types.CreateLocalDatastore{Name: d.Name, Path: d.Path})
		if fault := body.Fault(); fault != nil {
			return fmt.Errorf("datastore %s: %s", d.Name, fault.String)
		}
	}
	for _, entity := range ctx.Map.All("Datastore") {
		if ds := entity.(*simulator.Datastore); ds.Name == d.Name {
			made = ds
		}
	}
	info := made.Info.GetDatastoreInfo()
	switch d.Kind {
	case "nfs":
		made.Summary.Type = "NFS"
		made.Info = &types.NasDatastoreInfo{DatastoreInfo: *info, Nas: &types.HostNasVolume{
			HostFileSystemVolume: types.HostFileSystemVolume{Type: "NFS", Name: d.Name},
			RemoteHost:           "nfs.example.com", RemotePath: "/export/" + d.Name,
		}}
	case "vsan":
		made.Summary.Type = "vsan"
		made.Info = &types.VsanDatastoreInfo{DatastoreInfo: *info, MembershipUuid: "52e0d5f6-5a3b-4bd1-a7c0-5c1f1c0b6d11"}
	default:
		made.Summary.Type = "VMFS"
		made.Info = &types.VmfsDatastoreInfo{DatastoreInfo: *info, Vmfs: &types.HostVmfsVolume{
			HostFileSystemVolume: types.HostFileSystemVolume{Type: "VMFS", Name: d.Name},
			BlockSizeMb:          1, MajorVersion: 6, Version: "6.82", Uuid: "5f0c2b7a-1d9e4f60-8a31-005056a1b2c3",
			Extent: []types.HostScsiDiskPartition{{DiskName: "naa.600000000000000000000000" + "00000001", Partition: 1}},
		}}
	}
	made.Summary.MultipleHostAccess = types.NewBool(true)
	return nil
}
