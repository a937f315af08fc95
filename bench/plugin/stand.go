package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

// The stand is what the plugins see instead of the host: a /dev with stand-in SGX nodes, and a /var/lib/kubelet that each
// plugin has for itself. All of it lies in tmpfs mounts of our own mount namespace. Intel's plugin needs this because its paths
// are constants; enclayer's gets the same for fairness.
type stand struct {
	places int
}

const (
	standFolder   = "/run/bench"
	kubeletFolder = "/var/lib/kubelet"
	enclaveNode   = "/dev/sgx_enclave"
)

// Character devices: the stand-ins have the number of /dev/fuse, which containers are not given by default, so a real container
// runtime could tell granted from not granted. The plugins only look at them.
var nodes = map[string][2]int{
	"null": {1, 3}, "zero": {1, 5}, "full": {1, 7}, "random": {1, 8}, "urandom": {1, 9},
	"sgx_enclave": {10, 229}, "sgx_provision": {10, 229},
}

// Called once, as process 1 of the namespaces. `programs` are the plugins' binaries; they stay what they are (the same file on
// the same file system) but get a path that no mount of ours hides.
func makeStand(programs map[string]string) (*stand, error) {
	steps := []struct {
		what string
		do   func() error
	}{
		{"make all mounts private", func() error { return syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "") }},
		{"mount /proc", func() error { return syscall.Mount("proc", "/proc", "proc", 0, "") }},
		{"mount a tmpfs on /run", func() error { return syscall.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755") }},
		{"place the programs", func() error { return placePrograms(programs) }},
		{"mount a tmpfs on /dev", func() error { return syscall.Mount("tmpfs", "/dev", "tmpfs", 0, "mode=755") }},
		{"make device nodes", makeNodes},
		// On /var/lib rather than below it: the folder is on every host, so nothing has to be made on the host.
		{"mount a tmpfs on /var/lib", func() error { return syscall.Mount("tmpfs", "/var/lib", "tmpfs", 0, "mode=755") }},
		{"make " + kubeletFolder, func() error { return os.Mkdir(kubeletFolder, 0o755) }},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			return nil, fmt.Errorf("cannot %s: %w", step.what, err)
		}
	}
	return &stand{}, nil
}

func programPath(name string) string { return filepath.Join(standFolder, "bin", name) }

func placePrograms(programs map[string]string) error {
	if err := os.MkdirAll(filepath.Join(standFolder, "bin"), 0o755); err != nil {
		return err
	}
	for name, path := range programs {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			return fmt.Errorf("%s is not a program", path)
		}
		if err := os.WriteFile(programPath(name), nil, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount(path, programPath(name), "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func makeNodes() error {
	for name, number := range nodes {
		path := filepath.Join("/dev", name)
		if err := syscall.Mknod(path, syscall.S_IFCHR|0o666, number[0]<<8|number[1]); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// A /var/lib/kubelet for one plugin.
type place struct {
	folder string
}

func (s *stand) newPlace() (*place, error) {
	s.places++
	p := &place{filepath.Join(standFolder, strconv.Itoa(s.places))}
	return p, os.MkdirAll(p.devicePlugins(), 0o750)
}

func (p *place) devicePlugins() string { return filepath.Join(p.folder, "device-plugins") }

func (p *place) log() string { return filepath.Join(p.folder, "log") }

func (p *place) remove() { _ = os.RemoveAll(p.folder) }

// Calls `start` where kubeletFolder is this place. A mount namespace belongs to a thread: this one gets its own, what it starts
// inherits that, and Go throws the thread away with the goroutine. So the plugin is executed directly, with no program in
// between that would be part of its start time.
func (p *place) inside(start func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := syscall.Unshare(syscall.CLONE_NEWNS)
		if err == nil {
			err = syscall.Mount(p.folder, kubeletFolder, "", syscall.MS_BIND, "")
		}
		if err != nil {
			result <- errors.Join(errors.New("cannot make a mount namespace for the plugin"), err)
			return
		}
		result <- start()
	}()
	return <-result
}
