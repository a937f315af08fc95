// Command workload is the program in the pods' images: the sandbox's pause, the pod that wants enclave memory and a
// quote, and the pod that tries a device it was never given. What it saw goes to its log, as one line of JSON.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// On a tmpfs that every container has and every user may write to: a quote needs no volume.
const quoteFile = "/dev/shm/quote.bin"

// What the pod saw, for the runner to judge.
type result struct {
	User         int      `json:"user"`
	Devices      []device `json:"devices"`
	Platform     string   `json:"platform"`      // ENCLAYER_PLATFORM
	AesmAddr     string   `json:"sgx_aesm_addr"` // SGX_AESM_ADDR
	QuoteCommand string   `json:"quote_command"` // empty when no quote was asked for
	QuoteExit    int      `json:"quote_exit"`    // -1: could not be started
	QuoteOutput  string   `json:"quote_output"`  // stdout and stderr
	Quote        []byte   `json:"quote"`         // base64
}

type device struct {
	Path  string `json:"path"`
	Kind  string `json:"kind"`  // "c 10:229"
	Error string `json:"error"` // errno of open(2), as "EPERM"; empty: it opened for reading and writing
}

func main() {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "pause":
	case len(os.Args) > 2 && os.Args[1] == "open":
		report(result{Devices: open(os.Args[2:])})
	case len(os.Args) > 3 && os.Args[1] == "attest":
		report(attest(os.Args[2], os.Args[3:]))
	default:
		fmt.Fprintln(os.Stderr, "usage: workload pause | open DEVICE... | attest REPORT_DATA DEVICE...")
		os.Exit(1)
	}
	untilTold()
}

// attest opens the devices, then lets the enclayer CLI ask the socket where AESM clients look for one.
func attest(reportData string, paths []string) result {
	seen := result{Devices: open(paths), Platform: os.Getenv("ENCLAYER_PLATFORM"), AesmAddr: os.Getenv("SGX_AESM_ADDR")}
	command := exec.Command("/enclayer", "quote", "--socket", "/var/run/aesmd/aesm.socket", "--out", quoteFile, "--report-data", reportData)
	seen.QuoteCommand = command.String()
	output, err := command.CombinedOutput()
	seen.QuoteOutput = string(output)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		seen.QuoteExit = exit.ExitCode()
	} else if err != nil {
		seen.QuoteExit = -1
		seen.QuoteOutput += err.Error()
	} else if seen.Quote, err = os.ReadFile(quoteFile); err != nil {
		seen.QuoteExit = -1
		seen.QuoteOutput += err.Error()
	}
	return seen
}

func open(paths []string) []device {
	var devices []device
	for _, path := range paths {
		seen := device{Path: path}
		var stat syscall.Stat_t
		if err := syscall.Stat(path, &stat); err != nil {
			seen.Error = name(err)
			devices = append(devices, seen)
			continue
		}
		if stat.Mode&syscall.S_IFMT == syscall.S_IFCHR {
			seen.Kind = fmt.Sprintf("c %d:%d", stat.Rdev>>8&0xfff, stat.Rdev&0xff|stat.Rdev>>12&0xfff00)
		}
		descriptor, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
		if err != nil {
			seen.Error = name(err)
		} else {
			syscall.Close(descriptor)
		}
		devices = append(devices, seen)
	}
	return devices
}

func name(err error) string {
	switch err {
	case syscall.EPERM:
		return "EPERM"
	case syscall.EACCES:
		return "EACCES"
	case syscall.ENOENT:
		return "ENOENT"
	}
	return err.Error()
}

func report(seen result) {
	seen.User = os.Getuid()
	if err := json.NewEncoder(os.Stdout).Encode(seen); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func untilTold() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT)
	<-told
}
