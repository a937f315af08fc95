// Command podsize prints how many bytes a pod (JSON, on stdin) takes in the forms that the API server limits: its status
// as JSON, which is what the kubelet sends, and the whole pod as protobuf, which is what etcd stores.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
)

type sizes struct {
	StatusJSON  int `json:"status_json"`
	PodProtobuf int `json:"pod_protobuf"`
	Devices     int `json:"devices"`          // entries in all lists of allocatedResourcesStatus
	DevicesJSON int `json:"devices_json"`     // bytes of those lists, as JSON
	DevicesPB   int `json:"devices_protobuf"` // and as protobuf
}

func main() {
	var pod corev1.Pod
	if err := json.NewDecoder(os.Stdin).Decode(&pod); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	got := sizes{StatusJSON: jsonSize(pod.Status), PodProtobuf: pod.Size()}
	for _, container := range pod.Status.ContainerStatuses {
		for _, resource := range container.AllocatedResourcesStatus {
			got.Devices += len(resource.Resources)
			got.DevicesJSON += jsonSize(resource.Resources)
		}
	}
	for i := range pod.Status.ContainerStatuses {
		pod.Status.ContainerStatuses[i].AllocatedResourcesStatus = nil
	}
	got.DevicesPB = got.PodProtobuf - pod.Size()
	json.NewEncoder(os.Stdout).Encode(got)
}

func jsonSize(value any) int {
	text, err := json.Marshal(value)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return len(text)
}
