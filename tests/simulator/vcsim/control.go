// Copyright (c) 2026 the vdisk.lifecycle authors
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

// control gives the interposer what no vSphere API has: a task of its own, and any property of
// any object. Whoever waits with the property collector sees both like the real ones.
type control struct {
	ctx *simulator.Context
}

func (c control) register(service *simulator.Service) {
	service.Handle("/interposer/task", http.HandlerFunc(c.task))
	service.Handle("/interposer/properties", http.HandlerFunc(c.properties))
}

func reference(r *http.Request) types.ManagedObjectReference {
	q := r.URL.Query()
	return types.ManagedObjectReference{Type: q.Get("type"), Value: q.Get("id")}
}

// task makes a running task on an object and answers its id; Task.SetTaskState ends it.
func (c control) task(w http.ResponseWriter, r *http.Request) {
	entity := reference(r)
	if c.ctx.Map.Get(entity) == nil {
		http.Error(w, entity.String()+" is not there", http.StatusNotFound)
		return
	}
	task := simulator.CreateTask(entity, r.URL.Query().Get("name"), nil)
	task.Info.Key = r.URL.Query().Get("key")
	task.Self = types.ManagedObjectReference{Type: "Task", Value: task.Info.Key}
	task.Info.Task = task.Self
	task.Info.State = types.TaskInfoStateRunning
	now := time.Now()
	task.Info.StartTime = &now
	task.Info.Cancelable = true
	c.ctx.Map.Put(task)
	fmt.Fprint(w, task.Self.Value)
}

// properties assigns the changes in the body: <changes><change><name/><op/><val/></change></changes>.
func (c control) properties(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Change []types.PropertyChange `xml:"change"`
	}
	decoder := xml.NewDecoder(r.Body)
	decoder.TypeFunc = types.TypeFunc()
	if err := decoder.Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	object, ok := c.ctx.Map.Get(reference(r)).(mo.Reference)
	if !ok {
		http.Error(w, reference(r).String()+" is not there", http.StatusNotFound)
		return
	}
	own := *c.ctx
	own.WithLock(object, func() { own.Update(object, body.Change) })
}
