// The benchmark of the device plugin: plays the kubelet towards enclayer's plugin and towards Intel's, in one run on the same
// stand-in devices, and prints both side by side. README.md says what is measured how; `run` builds and starts this.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

type options struct {
	enclayer    string
	intel       string
	repetitions int
	idle        time.Duration
	output      string
}

// The first argument of the same program when it is process 1 of its own namespaces.
const insideWord = "inside"

func main() {
	arguments := os.Args[1:]
	inside := len(arguments) > 0 && arguments[0] == insideWord
	if inside {
		arguments = arguments[1:]
	}
	o, err := parse(arguments)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench/plugin:", err)
		os.Exit(2)
	case !inside:
		os.Exit(runInside(arguments))
	}
	if err := bench(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench/plugin:", err)
		os.Exit(1)
	}
}

func parse(arguments []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench/plugin/run PLUGIN", flag.ContinueOnError)
	flags.StringVar(&o.enclayer, "enclayer", "", "path of `enclayer-device-plugin` (run passes it)")
	flags.StringVar(&o.intel, "intel", "", "path of Intel's `sgx_plugin` (run passes it); empty: without it")
	flags.IntVar(&o.repetitions, "repetitions", 5, "how often everything but the idle time is measured; the table has medians")
	seconds := flags.Int("idle-seconds", 60, "how long the plugins idle, all at the same time, while context switches are counted")
	flags.StringVar(&o.output, "output", "table", "table or json")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	o.idle = time.Duration(*seconds) * time.Second
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("%q is not an option; --help lists them", flags.Arg(0))
	case !filepath.IsAbs(o.enclayer):
		return o, fmt.Errorf("--enclayer: %q is not an absolute path", o.enclayer)
	case o.intel != "" && !filepath.IsAbs(o.intel):
		return o, fmt.Errorf("--intel: %q is not an absolute path", o.intel)
	case o.repetitions < 1:
		return o, fmt.Errorf("--repetitions: %d is less than 1", o.repetitions)
	case *seconds < 1:
		return o, fmt.Errorf("--idle-seconds: %d is less than 1", *seconds)
	case o.output != "table" && o.output != "json":
		return o, fmt.Errorf("--output: %q is neither table nor json", o.output)
	}
	return o, nil
}

// Runs the same program as the first process of new mount and PID namespaces; gives its exit code. When that process ends, for
// whatever reason, the kernel ends every other process in there and the mounts go with them: nothing is left to clean up, not
// even after a kill -9 of this one.
func runInside(arguments []string) int {
	runtime.LockOSThread() // the death signal is sent when this thread ends
	inside := exec.Command("/proc/self/exe", append([]string{insideWord}, arguments...)...)
	inside.Stdin, inside.Stdout, inside.Stderr = nil, os.Stdout, os.Stderr
	inside.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true, // Ctrl-C comes to us alone
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if err := inside.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "bench/plugin: cannot make namespaces (this takes root with CAP_SYS_ADMIN):", err)
		return 1
	}
	ended := make(chan error, 1)
	go func() { ended <- inside.Wait() }()
	select {
	case <-ended:
		if code := inside.ProcessState.ExitCode(); code >= 0 {
			return code
		}
		fmt.Fprintln(os.Stderr, "bench/plugin: ended by", inside.ProcessState)
		return 1
	case s := <-signals:
		_ = inside.Process.Kill()
		<-ended
		number, _ := s.(syscall.Signal)
		fmt.Fprintln(os.Stderr, "\nbench/plugin: interrupted, nothing is left running (signal "+strconv.Itoa(int(number))+")")
		return 128 + int(number)
	}
}
