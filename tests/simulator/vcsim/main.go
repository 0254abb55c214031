// Copyright (c) 2026 the vdisk.lifecycle authors
// SPDX-License-Identifier: GPL-3.0-or-later

// The inventory and the property collector of the tests' vCenter: govmomi's simulator, embedded.
// It reads one JSON document (type Inventory) from standard input, prints its address, and lives
// as long as that input stays open: so it can never outlive the process that started it, not even
// one that is killed.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"

	"github.com/vmware/govmomi/simulator"

	_ "github.com/vmware/govmomi/pbm/simulator"
	_ "github.com/vmware/govmomi/vapi/simulator"
	_ "github.com/vmware/govmomi/vslm/simulator"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "loopback address to listen on")
	home := flag.String("home", "", "directory of everything; removed at the end")
	flag.Parse()
	if err := run(*listen, *home); err != nil {
		log.Print(err)
		os.RemoveAll(*home)
		os.Exit(1)
	}
}

func run(listen, home string) error {
	var inventory Inventory
	input := json.NewDecoder(os.Stdin)
	if err := input.Decode(&inventory); err != nil {
		return fmt.Errorf("inventory on standard input: %w", err)
	}
	model := inventory.model()
	if err := model.Create(); err != nil {
		return err
	}
	defer model.Remove()
	normal := debug.SetGCPercent(400) // ten thousand machines are built of nothing that is garbage
	if err := inventory.populate(model.Service.Context); err != nil {
		return err
	}
	debug.SetGCPercent(normal)
	server := serve(model.Service, listen, &inventory)
	fmt.Println(server.URL.String())
	_, _ = io.Copy(io.Discard, os.Stdin)
	server.Close()
	return os.RemoveAll(home)
}

// serve is without TLS: nobody but the interposer on the same machine talks to it.
func serve(service *simulator.Service, listen string, inventory *Inventory) *simulator.Server {
	service.TLS = (*tls.Config)(nil)
	service.Listen = &url.URL{Host: listen, User: url.UserPassword(inventory.Username, inventory.Password)}
	service.RegisterEndpoints = true
	if service.ServeMux == nil {
		service.ServeMux = http.NewServeMux()
	}
	control{service.Context}.register(service)
	return service.NewServer()
}
