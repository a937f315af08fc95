package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a plugin that we started.
type process struct {
	command  *exec.Cmd
	started  time.Time // just before fork and exec
	exited   chan struct{}
	logPath  string
	errorLog *os.File
}

func startPlugin(p *place, program string, arguments []string) (*process, error) {
	log, err := os.Create(p.log())
	if err != nil {
		return nil, err
	}
	command := exec.Command(program, arguments...)
	// Neither GOGC, GODEBUG nor PODS_PER_CORE of whoever runs this may change what is measured.
	command.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	command.Dir = "/"
	command.Stdout, command.Stderr = log, log
	running := &process{command: command, exited: make(chan struct{}), logPath: p.log(), errorLog: log}
	err = p.inside(func() error {
		running.started = time.Now()
		return command.Start()
	})
	if err != nil {
		_ = log.Close()
		return nil, err
	}
	go func() {
		_ = command.Wait()
		close(running.exited)
	}()
	return running, nil
}

// stop ends it as Kubernetes would, and by force when it takes longer than a moment.
func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(5 * time.Second):
		_ = p.command.Process.Kill()
		<-p.exited
	}
	_ = p.errorLog.Close()
}

func (p *process) hasExited() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// said is the end of what the plugin wrote, for messages.
func (p *process) said() string {
	text, err := os.ReadFile(p.logPath)
	if err != nil || len(text) == 0 {
		return "it wrote nothing"
	}
	return "it wrote at the end:\n" + string(bytes.TrimSpace(text[max(0, len(text)-2000):]))
}

func (p *process) proc(name string) string {
	return filepath.Join("/proc", strconv.Itoa(p.command.Process.Pid), name)
}

// memory in bytes.
type memory struct {
	resident  int64
	anonymous int64 // of it
	peak      int64 // the most that was resident since exec
	threads   int64
}

func (p *process) memory() (memory, error) {
	// smaps_rollup counts pages; VmRSS in status can be off by some pages per thread.
	rollup, err := fields(p.proc("smaps_rollup"), "Rss", "Anonymous")
	if err != nil {
		return memory{}, err
	}
	status, err := fields(p.proc("status"), "VmHWM", "Threads")
	if err != nil {
		return memory{}, err
	}
	return memory{resident: rollup[0] << 10, anonymous: rollup[1] << 10, peak: max(status[0]<<10, rollup[0]<<10), threads: status[1]}, nil
}

// fields gives the first number after each name in a file of "Name: 123 kB" lines.
func fields(path string, names ...string) ([]int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	found := map[string]int64{}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		if words := strings.Fields(rest); len(words) > 0 {
			if number, err := strconv.ParseInt(words[0], 10, 64); err == nil {
				found[name] = number
			}
		}
	}
	numbers := make([]int64, len(names))
	for i, name := range names {
		number, ok := found[name]
		if !ok {
			return nil, fmt.Errorf("%s has no number for %s", path, name)
		}
		numbers[i] = number
	}
	return numbers, nil
}

// switches are the context switches of each thread so far, by thread ID.
func (p *process) switches() (map[string]int64, error) {
	tasks, err := os.ReadDir(p.proc("task"))
	if err != nil {
		return nil, err
	}
	switches := map[string]int64{}
	for _, task := range tasks {
		numbers, err := fields(p.proc("task/"+task.Name()+"/status"), "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")
		switch {
		case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ESRCH): // the thread has just ended
		case err != nil:
			return nil, err
		default:
			switches[task.Name()] = numbers[0] + numbers[1]
		}
	}
	return switches, nil
}

// switchesSince sums over the threads that are there now; one that came and went in between is not seen.
func switchesSince(before, now map[string]int64) int64 {
	var sum int64
	for thread, switches := range now {
		sum += switches - before[thread]
	}
	return sum
}

const (
	quietTime  = 1500 * time.Millisecond // longer than any pause that Intel's plugin makes while it starts (one second)
	quietLimit = 6 * time.Second         // a plugin that is never quiet is taken as it is
)

// awaitQuiet returns when no thread has run for quietTime, when quietLimit has passed, or when the process has ended (see
// hasExited()). So a plugin has done what it does on its own, and waits.
func (p *process) awaitQuiet() error {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	limit := time.After(quietLimit)
	var before map[string]int64
	var since time.Time
	for {
		now, err := p.switches()
		switch {
		case errors.Is(err, os.ErrNotExist):
			<-p.exited
			return nil
		case err != nil:
			return err
		case before == nil || len(now) != len(before) || switchesSince(before, now) != 0:
			before, since = now, time.Now()
		case time.Since(since) >= quietTime:
			return nil
		}
		select {
		case <-p.exited:
			return nil
		case <-limit:
			return nil
		case <-look.C:
		}
	}
}
