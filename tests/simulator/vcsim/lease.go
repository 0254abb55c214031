// Copyright (c) 2026 the vdisk.lifecycle authors
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"net/http"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// leases lets the interposer put NFC leases of its own beside vcsim's objects: any property
// collector can watch them, and /interposer/properties moves them on. Their methods never get here.
func init() {
	simulator.RegisterEndpoint(func(service *simulator.Service, registry *simulator.Registry) {
		service.Handle("/interposer/lease", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			lease := mo.HttpNfcLease{
				Self:  types.ManagedObjectReference{Type: "HttpNfcLease", Value: r.URL.Query().Get("id")},
				State: types.HttpNfcLeaseStateInitializing,
			}
			registry.Put(&simulator.HttpNfcLease{HttpNfcLease: lease})
		}))
	})
}
