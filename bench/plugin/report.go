package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// percentile by nearest rank: the smallest value that at least `percent` of all are not above.
func percentile[T float64 | time.Duration](values []T, percent int) T {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}

// median is the mean of the two in the middle when there is no middle one.
func median(values []float64) float64 {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

type about struct {
	Machine     string  `json:"machine"`
	Enclayer    string  `json:"enclayer"`
	Intel       string  `json:"intel,omitempty"`
	Kubelet     string  `json:"kubelet"`
	Repetitions int     `json:"repetitions"`
	IdleSeconds float64 `json:"idle_seconds"`
	Load        string  `json:"load"`
}

func describe(o options) (about, error) {
	a := about{Repetitions: o.repetitions, IdleSeconds: o.idle.Seconds()}
	model, memory := "unknown CPU", "?"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if found := regexp.MustCompile(`model name\s*: (.*)`).FindSubmatch(text); found != nil {
			model = string(found[1])
		}
	}
	if total, err := fields("/proc/meminfo", "MemTotal"); err == nil {
		memory = fmt.Sprintf("%.0f GiB", float64(total[0])/(1<<20))
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	a.Machine = fmt.Sprintf("%d cores (%s), %s, Linux %s", runtime.NumCPU(), model, memory, strings.TrimSpace(string(kernel)))

	version, err := exec.Command(programPath(enclayerProgram), "--version").Output()
	if err != nil {
		return a, fmt.Errorf("%s --version: %w", o.enclayer, err)
	}
	a.Enclayer = fmt.Sprintf("%s, %s", strings.TrimSpace(string(version)), fileSize(enclayerProgram))
	if o.intel != "" {
		info, err := buildinfo.ReadFile(programPath(intelProgram))
		if err != nil {
			return a, fmt.Errorf("%s: %w", o.intel, err)
		}
		a.Intel = fmt.Sprintf("sgx_plugin %s, grpc-go %s, %s, %s", info.Main.Version, dependency(info, "google.golang.org/grpc"), info.GoVersion,
			fileSize(intelProgram))
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		a.Kubelet = fmt.Sprintf("played with k8s.io/kubelet %s, grpc-go %s, %s", dependency(info, "k8s.io/kubelet"),
			dependency(info, "google.golang.org/grpc"), info.GoVersion)
	}
	return a, nil
}

func dependency(info *debug.BuildInfo, path string) string {
	for _, module := range info.Deps {
		if module.Path == path {
			return module.Version
		}
	}
	return "?"
}

func fileSize(program string) string {
	info, err := os.Stat(programPath(program))
	if err != nil {
		return "binary of unknown size"
	}
	return fmt.Sprintf("binary %.1f MiB", mib(info.Size()))
}

// load tells how much the machine did besides us while we measured.
type load struct {
	at    time.Time
	stat  cpuTime
	ours  time.Duration
	start string
}

type cpuTime struct {
	busy, stolen time.Duration
}

func startLoad() load { return load{time.Now(), machineTime(), ourTime(), loadAverage()} }

func (l load) stop() string {
	wall := time.Since(l.at).Seconds() * float64(runtime.NumCPU())
	now := machineTime()
	stolen := (now.stolen - l.stat.stolen).Seconds()
	others := max(0, (now.busy-l.stat.busy).Seconds()-(ourTime()-l.ours).Seconds())
	return fmt.Sprintf("load average %s at the start, %s at the end; others used %.0f %% of the CPUs meanwhile, the hypervisor took %.1f %%",
		l.start, loadAverage(), 100*others/wall, 100*stolen/wall)
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// The first line of /proc/stat: user nice system idle iowait irq softirq steal, in 1/100 s.
func machineTime() cpuTime {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	var t cpuTime
	for i, word := range strings.Fields(line) {
		ticks, _ := strconv.ParseInt(word, 10, 64)
		switch i {
		case 1, 2, 3, 6, 7:
			t.busy += time.Duration(ticks) * 10 * time.Millisecond
		case 8:
			t.stolen += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return t
}

// Of this process and of the plugins that have ended.
func ourTime() time.Duration {
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var usage syscall.Rusage
		if syscall.Getrusage(who, &usage) == nil {
			sum += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
		}
	}
	return sum
}

type cell struct {
	Median  *float64  `json:"median"`
	Least   *float64  `json:"least,omitempty"`
	Most    *float64  `json:"most,omitempty"`
	Samples []float64 `json:"samples,omitempty"`
	Instead string    `json:"instead,omitempty"`
}

func cellOf(r *result) *cell {
	if r.instead != "" || len(r.samples) == 0 {
		return &cell{Instead: r.instead}
	}
	middle, least, most := median(r.samples), slices.Min(r.samples), slices.Max(r.samples)
	return &cell{&middle, &least, &most, r.samples, ""}
}

type row struct {
	Measure  measure  `json:"measure"`
	Unit     string   `json:"unit,omitempty"`
	Enclayer *cell    `json:"enclayer"`
	Intel    *cell    `json:"intel,omitempty"`
	Ratio    *float64 `json:"ratio,omitempty"` // enclayer's by Intel's: below 1 we are ahead
	Goal     *float64 `json:"goal,omitempty"`
	plain    bool
}

type section struct {
	Title string `json:"title"`
	Rows  []row  `json:"rows"`
}

type table struct {
	About    about     `json:"about"`
	Sections []section `json:"sections"`
	Behind   []string  `json:"behind"` // where enclayer is behind Intel's plugin
	Missed   []string  `json:"missed"` // goals that enclayer does not reach
}

func tableOf(a about, pairs []pairing, results results) table {
	t := table{About: a, Behind: []string{}, Missed: []string{}}
	missed := map[string]bool{} // a contender can be in two pairings
	for _, pair := range pairs {
		s := section{Title: pair.Title}
		for _, m := range measures {
			r := row{Measure: m.measure, Unit: m.unit, Enclayer: cellOf(results.of(pair.enclayer, m.measure)), plain: m.plain}
			if goal, ok := pair.goals[m.measure]; ok {
				r.Goal = &goal
				line := fmt.Sprintf("%s: %s: %s, the goal is <= %s", pair.enclayer.name, strings.TrimSpace(string(m.measure)), r.Enclayer.with(m.unit),
					number(goal))
				if (r.Enclayer.Median == nil || *r.Enclayer.Median > goal) && !missed[line] {
					missed[line] = true
					t.Missed = append(t.Missed, line)
				}
			}
			if pair.intel != nil {
				r.Intel = cellOf(results.of(pair.intel, m.measure))
				if r.Enclayer.Median != nil && r.Intel.Median != nil && *r.Intel.Median != 0 {
					ratio := *r.Enclayer.Median / *r.Intel.Median
					r.Ratio = &ratio
				}
				if !m.plain && r.Intel.Median != nil && (r.Enclayer.Median == nil || *r.Enclayer.Median > *r.Intel.Median) &&
					r.Enclayer.Instead != tooFewDevices {
					t.Behind = append(t.Behind, fmt.Sprintf("%s: %s: %s against %s", pair.Title, strings.TrimSpace(string(m.measure)),
						r.Enclayer.text(), r.Intel.with(m.unit)))
				}
			}
			if r.Enclayer.Instead != tooFewDevices {
				s.Rows = append(s.Rows, r)
			}
		}
		t.Sections = append(t.Sections, s)
	}
	return t
}

// Three digits that count, and all of those before the point.
func number(value float64) string {
	switch size := math.Abs(value); {
	case value == math.Trunc(value) || size >= 100:
		return strconv.FormatFloat(value, 'f', 0, 64)
	case size >= 10:
		return strconv.FormatFloat(value, 'f', 1, 64)
	default:
		return strconv.FormatFloat(value, 'f', 2, 64)
	}
}

func (c *cell) text() string {
	switch {
	case c == nil:
		return ""
	case c.Median == nil:
		return c.Instead
	default:
		return number(*c.Median)
	}
}

func (c *cell) with(unit string) string {
	if c.Median == nil {
		return c.text()
	}
	return strings.TrimSpace(c.text() + " " + unit)
}

func report(o options, a about, pairs []pairing, results results) error {
	t := tableOf(a, pairs, results)
	if o.output == "json" {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(t)
	}
	_, err := os.Stdout.WriteString(t.text())
	return err
}

func (t table) text() string {
	var text strings.Builder
	line := func(what, unit, enclayer, intel, ratio, goal string) {
		text.WriteString(strings.TrimRight(fmt.Sprintf("  %-44s %-5s %12s %12s %7s  %s", what, unit, enclayer, intel, ratio, goal), " ") + "\n")
	}
	fmt.Fprintf(&text, "machine   %s\n", t.About.Machine)
	fmt.Fprintf(&text, "noise     %s\n", t.About.Load)
	fmt.Fprintf(&text, "enclayer  %s\n", t.About.Enclayer)
	if t.About.Intel != "" {
		fmt.Fprintf(&text, "Intel     %s\n", t.About.Intel)
	}
	fmt.Fprintf(&text, "kubelet   %s\n", t.About.Kubelet)
	fmt.Fprintf(&text, "medians of %d repetitions; idle time %s s, once, for all at the same time\n\n", t.About.Repetitions, number(t.About.IdleSeconds))
	intel, ratio := "Intel", "ratio"
	if t.About.Intel == "" {
		intel, ratio = "", ""
	}
	line("", "", "enclayer", intel, ratio, "goal")
	for _, s := range t.Sections {
		text.WriteString(s.Title + "\n")
		for _, r := range s.Rows {
			ratio, goal := "", ""
			if r.Ratio != nil {
				ratio = strconv.FormatFloat(*r.Ratio, 'f', 2, 64)
			}
			if r.Goal != nil {
				goal = "<= " + number(*r.Goal)
			}
			line(string(r.Measure), r.Unit, r.Enclayer.text(), r.Intel.text(), ratio, goal)
		}
	}
	text.WriteString("\nratio: enclayer's by Intel's; below 1 enclayer is ahead\n")
	list := func(title string, lines []string) {
		if len(lines) == 0 {
			lines = []string{"nowhere"}
		}
		text.WriteString(title + "\n  " + strings.Join(lines, "\n  ") + "\n")
	}
	if t.About.Intel != "" {
		list("enclayer is behind Intel's plugin:", t.Behind)
	}
	list("enclayer misses its goals:", t.Missed)
	return text.String()
}
