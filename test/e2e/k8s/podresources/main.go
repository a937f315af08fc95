// Command podresources prints, as JSON, what the kubelet's pod-resources socket says: how many devices of each resource
// can be allocated on the node, and which pods hold which.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	podresources "k8s.io/kubelet/pkg/apis/podresources/v1"
)

type answer struct {
	Allocatable map[string]int                 `json:"allocatable"` // resource -> devices
	Pods        map[string]map[string][]string `json:"pods"`        // pod -> resource -> device ids
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: podresources SOCKET")
		os.Exit(1)
	}
	got, err := ask(os.Args[1])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(got)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func ask(socket string) (*answer, error) {
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	lister := podresources.NewPodResourcesListerClient(connection)

	got := answer{Allocatable: map[string]int{}, Pods: map[string]map[string][]string{}}
	allocatable, err := lister.GetAllocatableResources(ctx, &podresources.AllocatableResourcesRequest{})
	if err != nil {
		return nil, err
	}
	for _, devices := range allocatable.Devices {
		got.Allocatable[devices.ResourceName] += len(devices.DeviceIds)
	}
	list, err := lister.List(ctx, &podresources.ListPodResourcesRequest{})
	if err != nil {
		return nil, err
	}
	for _, pod := range list.PodResources {
		held := map[string][]string{}
		for _, container := range pod.Containers {
			for _, devices := range container.Devices {
				held[devices.ResourceName] = append(held[devices.ResourceName], devices.DeviceIds...)
			}
		}
		got.Pods[pod.Name] = held
	}
	return &got, nil
}
