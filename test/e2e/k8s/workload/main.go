// Command workload is the program in the pods' images: the sandbox's pause, the pod that wants enclave memory and a
// quote, and the pod that tries a device it was never given. What it saw goes to its log, as one line of JSON.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
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
	case len(os.Args) == 2 && os.Args[1] == "quotes":
		askForQuotes()
	case len(os.Args) == 2 && os.Args[1] == "ask":
		must(ask())
	case len(os.Args) == 4 && os.Args[1] == "attack":
		must(attack(os.Args[2], number(os.Args[3])))
	case len(os.Args) > 2 && os.Args[1] == "api":
		must(askAPI(os.Args[2], os.Args[3:]))
		return
	default:
		fmt.Fprintln(os.Stderr, "usage: workload pause | open DEVICE... | attest REPORT_DATA DEVICE... | quotes | ask | attack KIND SECONDS | "+
			"api PATH [BODY]")
		os.Exit(1)
	}
	untilTold()
}

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func number(text string) float64 {
	value, err := strconv.ParseFloat(text, 64)
	must(err)
	return value
}

// attest opens the devices, then lets the enclayer CLI ask the socket where AESM clients look for one.
func attest(reportData string, paths []string) result {
	seen := result{Devices: open(paths), Platform: os.Getenv("ENCLAYER_PLATFORM"), AesmAddr: os.Getenv("SGX_AESM_ADDR")}
	command := exec.Command("/enclayer", "quote", "--socket", aesmSocket, "--out", quoteFile, "--report-data", reportData)
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

// askForQuotes asks for one after the other until it is ended, and prints a line for each: what it got and how long that took.
func askForQuotes() {
	for {
		begin := time.Now()
		output, err := exec.Command("/enclayer", "quote", "--socket", aesmSocket, "--out", quoteFile).CombinedOutput()
		took := time.Since(begin).Round(time.Millisecond)
		if err != nil {
			fmt.Printf("failed after %s: %s: %s\n", took, err, strings.TrimSpace(string(output)))
		} else {
			fmt.Printf("quote after %s\n", took)
		}
	}
}

// askAPI prints what the API server answers to the pod's own account: to a GET, or to a POST when there is a body.
func askAPI(path string, body []string) error {
	const account = "/var/run/secrets/kubernetes.io/serviceaccount/"
	token, err := os.ReadFile(account + "token")
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		return err
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(authority)
	method := http.MethodGet
	if len(body) > 0 {
		method = http.MethodPost
	}
	server := net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	request, err := http.NewRequest(method, "https://"+server+path, strings.NewReader(strings.Join(body, "")))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	request.Header.Set("Content-Type", "application/json")
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
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
