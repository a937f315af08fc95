// Command podresources prints, as JSON, what the kubelet's pod-resources socket says: how many devices of each resource
// can be allocated on the node, and which pods hold which.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	podresources "k8s.io/kubelet/pkg/apis/podresources/v1"
)

type answer struct {
	Allocatable map[string]int                 `json:"allocatable"` // resource -> devices
	Pods        map[string]map[string][]string `json:"pods"`        // pod -> resource -> device ids
	Bytes       sizes                          `json:"bytes"`       // of the two replies
}

type sizes struct {
	Allocatable int `json:"allocatable"`
	List        int `json:"list"`
}

func main() {
	// A client that sets nothing reads at most 4 MiB; a node with 256 GiB of EPC answers with more.
	limit := flag.Int("max-reply", 64<<20, "largest reply that is read, in bytes")
	flag.Usage = func() { fmt.Fprintln(os.Stderr, "usage: podresources [-max-reply BYTES] SOCKET") }
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(1)
	}
	got, err := ask(flag.Arg(0), *limit)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(got)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func ask(socket string, limit int) (*answer, error) {
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(limit)))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	lister := podresources.NewPodResourcesListerClient(connection)

	got := answer{Allocatable: map[string]int{}, Pods: map[string]map[string][]string{}}
	allocatable, err := lister.GetAllocatableResources(ctx, &podresources.AllocatableResourcesRequest{})
	if err != nil {
		return nil, err
	}
	got.Bytes.Allocatable = proto.Size(allocatable)
	for _, devices := range allocatable.Devices {
		got.Allocatable[devices.ResourceName] += len(devices.DeviceIds)
	}
	list, err := lister.List(ctx, &podresources.ListPodResourcesRequest{})
	if err != nil {
		return nil, err
	}
	got.Bytes.List = proto.Size(list)
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
