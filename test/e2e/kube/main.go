// Command kube is the whole of Kubernetes in one program, so that it is linked once: it is what it is called, or what its first
// argument says. `kube kubelet --version` and a link named kubelet do the same.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	_ "time/tzdata" // time zones of CronJobs, as in upstream's own programs

	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// Each makes its own flags and feature gates when it is called, so only the one that is asked for may be.
var programs = map[string]func() int{
	"kube-apiserver":          func() int { return cli.Run(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() int { return cli.Run(controllers.NewControllerManagerCommand()) },
	"kube-scheduler":          func() int { return cli.Run(scheduler.NewSchedulerCommand()) },
	"kubelet":                 func() int { return cli.Run(kubelet.NewKubeletCommand(context.Background())) },
	"kubectl":                 kubectl,
}

func main() {
	name := filepath.Base(os.Args[0])
	if programs[name] == nil && len(os.Args) > 1 {
		name = os.Args[1]
		os.Args = os.Args[1:] // each of them reads os.Args itself
	}
	run := programs[name]
	if run == nil {
		names := make([]string, 0, len(programs))
		for known := range programs {
			names = append(names, known)
		}
		fmt.Fprintln(os.Stderr, "usage: kube NAME ARGUMENTS..., with one of", strings.Join(names, ", "))
		os.Exit(2)
	}
	os.Exit(run())
}

func kubectl() int {
	logs.GlogSetter(cmd.GetLogVerbosity(os.Args)) // before the flags are read, so that plugins and .kuberc are seen with -v too
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err) // prints it as kubectl does, and exits
	}
	return 0
}
