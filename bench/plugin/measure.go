package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

type measure string

const (
	registeredStart   measure = "exec to registered"
	registeredWaiting measure = "kubelet.sock appears to registered"
	registeredRestart measure = "kubelet restart: kubelet.sock to registered"
	listCall          measure = "list: call to accepted"
	listFirstByte     measure = "list: first byte to accepted"
	listDecoding      measure = "  of it the kubelet's decoding"
	listBytes         measure = "list: size"
	allocateMedian    measure = "Allocate 10 IDs, p50 of 1,000"
	allocateTail      measure = "Allocate 10 IDs, p99 of 1,000"
	allocateMany      measure = "Allocate 65,536 IDs at once"
	residentListed    measure = "resident once listed"
	anonymousListed   measure = "  of it anonymous"
	residentAllocated measure = "resident after 1,000 Allocates"
	residentPeak      measure = "resident at most"
	residentIdle      measure = "resident after the idle time"
	anonymousIdle     measure = "  of it anonymous (idle)"
	contextSwitches   measure = "context switches in the idle time"
	threads           measure = "threads"
)

// In the order of the table. Smaller is better in all of them; `plain` ones describe and are not won or lost.
var measures = []struct {
	measure measure
	unit    string
	plain   bool
}{
	{registeredStart, "ms", false},
	{registeredWaiting, "ms", false},
	{registeredRestart, "ms", false},
	{listCall, "ms", false},
	{listFirstByte, "ms", false},
	{listDecoding, "ms", true},
	{listBytes, "bytes", true},
	{allocateMedian, "us", false},
	{allocateTail, "us", false},
	{allocateMany, "ms", false},
	{residentListed, "MiB", false},
	{anonymousListed, "MiB", true},
	{residentAllocated, "MiB", false},
	{residentPeak, "MiB", false},
	{residentIdle, "MiB", false},
	{anonymousIdle, "MiB", true},
	{contextSwitches, "", false},
	{threads, "", true}, // at the end of the idle time
}

// result is what one measure of one contender gave.
type result struct {
	samples []float64
	instead string // why there is no number: the plugin cannot do it
}

type results map[*contender]map[measure]*result

func (r results) of(c *contender, m measure) *result {
	if r[c] == nil {
		r[c] = map[measure]*result{}
	}
	if r[c][m] == nil {
		r[c][m] = &result{}
	}
	return r[c][m]
}

func (r results) add(c *contender, m measure, value float64) {
	of := r.of(c, m)
	of.samples = append(of.samples, value)
}

func (r results) cannot(c *contender, why string, all ...measure) {
	for _, m := range all {
		r.of(c, m).instead = why
	}
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
func mib(bytes int64) float64    { return float64(bytes) / (1 << 20) }

const (
	stepLimit     = 30 * time.Second // for anything that a plugin is waited for
	calls         = 1000
	idsPerCall    = 10
	manyIDs       = 65_536
	noList        = "list refused"
	exitsWithout  = "exits"
	tooFewDevices = "-"
)

type harness struct {
	stand   *stand
	results results
}

// running is one plugin in one place, with the kubelet that it sees.
type running struct {
	contender     *contender
	place         *place
	process       *process
	kubelet       *kubelet
	registrations map[string]*registration
}

func (h *harness) start(c *contender, withKubelet bool) (*running, error) {
	runtime.GC()
	place, err := h.stand.newPlace()
	if err != nil {
		return nil, err
	}
	r := &running{contender: c, place: place, registrations: map[string]*registration{}}
	if withKubelet {
		if r.kubelet, err = startKubelet(place.devicePlugins()); err != nil {
			return nil, err
		}
	}
	if r.process, err = startPlugin(place, programPath(c.program), c.arguments); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *running) stop() {
	r.process.stop()
	r.stopKubelet()
	r.place.remove()
}

func (r *running) stopKubelet() {
	for _, registration := range r.registrations {
		registration.close()
	}
	clear(r.registrations)
	if r.kubelet != nil {
		r.kubelet.stop()
		r.kubelet = nil
	}
}

func (r *running) failed(what string) error {
	return fmt.Errorf("%s: %s; %s", r.contender.name, what, r.process.said())
}

// awaitRegistered gives the moment in which the last of the contender's resources was registered.
func (r *running) awaitRegistered() (time.Time, error) {
	limit := time.After(stepLimit)
	var last time.Time
	for range r.contender.resources {
		select {
		case registration := <-r.kubelet.registered:
			if !slices.Contains(r.contender.resources, registration.resource) || r.registrations[registration.resource] != nil {
				registration.close()
				return last, r.failed("registered " + registration.resource + ", which was not expected")
			}
			r.registrations[registration.resource] = registration
			last = registration.at
		case <-r.process.exited:
			return last, r.failed("has ended: " + r.process.command.ProcessState.String())
		case <-limit:
			return last, r.failed(fmt.Sprintf("has not registered %v in %v", r.contender.resources, stepLimit))
		}
	}
	return last, nil
}

// awaitList gives the list of the measured resource; its err says ResourceExhausted when the list is more than a kubelet takes.
func (r *running) awaitList() (list, error) {
	select {
	case l := <-r.registrations[r.contender.measured].list:
		if l.err != nil && status.Code(l.err) != codes.ResourceExhausted {
			return l, r.failed("its list: " + l.err.Error())
		}
		return l, nil
	case <-time.After(stepLimit):
		return list{}, r.failed(fmt.Sprintf("has sent no list in %v", stepLimit))
	}
}

// freshStart measures a plugin that starts while a kubelet is there: registered, listed, memory, Allocate.
func (h *harness) freshStart(c *contender) error {
	r, err := h.start(c, true)
	if err != nil {
		return err
	}
	defer r.stop()
	registered, err := r.awaitRegistered()
	if err != nil {
		return err
	}
	h.results.add(c, registeredStart, ms(registered.Sub(r.process.started)))
	l, err := r.awaitList()
	if err != nil {
		return err
	}
	if l.err != nil {
		h.results.cannot(c, noList, listCall, listFirstByte, listDecoding, listBytes, allocateMedian, allocateTail, allocateMany, residentListed, anonymousListed,
			residentAllocated, residentPeak)
		return nil
	}
	h.results.add(c, listCall, ms(l.fromCall))
	h.results.add(c, listFirstByte, ms(l.fromFirstByte))
	h.results.add(c, listDecoding, ms(l.decoding))
	h.results.add(c, listBytes, float64(l.bytes))

	if err := r.process.awaitQuiet(); err != nil {
		return err
	}
	listed, err := r.process.memory()
	if err != nil {
		return r.failed("its memory: " + err.Error())
	}
	h.results.add(c, residentListed, mib(listed.resident))
	h.results.add(c, anonymousListed, mib(listed.anonymous))

	took, err := r.allocateOften(l.ids)
	if err != nil {
		return err
	}
	h.results.add(c, allocateMedian, 1000*ms(percentile(took, 50)))
	h.results.add(c, allocateTail, 1000*ms(percentile(took, 99)))
	allocated, err := r.process.memory()
	if err != nil {
		return r.failed("its memory: " + err.Error())
	}
	h.results.add(c, residentAllocated, mib(allocated.resident))

	if len(l.ids) < manyIDs {
		h.results.cannot(c, tooFewDevices, allocateMany)
	} else {
		once, err := r.allocate(l.ids[:manyIDs])
		if err != nil {
			return err
		}
		h.results.add(c, allocateMany, ms(once))
	}
	most, err := r.process.memory()
	if err != nil {
		return r.failed("its memory: " + err.Error())
	}
	h.results.add(c, residentPeak, mib(most.peak))
	return nil
}

// allocateOften makes the calls one after the other, as the kubelet does, over the whole list.
func (r *running) allocateOften(ids []string) ([]time.Duration, error) {
	took := make([]time.Duration, calls)
	for i := range took {
		first := i * idsPerCall % (len(ids) - idsPerCall + 1)
		var err error
		if took[i], err = r.allocate(ids[first : first+idsPerCall]); err != nil {
			return nil, err
		}
	}
	return took, nil
}

func (r *running) allocate(ids []string) (time.Duration, error) {
	client := r.registrations[r.contender.measured].client
	request := &api.AllocateRequest{ContainerRequests: []*api.ContainerAllocateRequest{{DevicesIds: ids}}}
	ctx, cancel := context.WithTimeout(context.Background(), stepLimit)
	defer cancel()
	before := time.Now()
	response, err := client.Allocate(ctx, request)
	took := time.Since(before)
	if err != nil {
		return took, r.failed(fmt.Sprintf("Allocate of %d IDs: %v", len(ids), err))
	}
	if len(response.ContainerResponses) != 1 || !slices.ContainsFunc(response.ContainerResponses[0].Devices, func(d *api.DeviceSpec) bool {
		return d.ContainerPath == enclaveNode && d.HostPath == enclaveNode
	}) {
		return took, r.failed(fmt.Sprintf("Allocate of %d IDs gave no %s", len(ids), enclaveNode))
	}
	return took, nil
}

// kubeletComes measures a plugin that waits for a kubelet, once it is quiet.
func (h *harness) kubeletComes(c *contender, r *running, row measure) error {
	if err := r.process.awaitQuiet(); err != nil {
		return err
	}
	if r.process.hasExited() {
		h.results.cannot(c, exitsWithout, row)
		return nil
	}
	kubelet, err := startKubelet(r.place.devicePlugins())
	if err != nil {
		return err
	}
	r.kubelet = kubelet
	registered, err := r.awaitRegistered()
	if err != nil {
		return err
	}
	h.results.add(c, row, ms(registered.Sub(r.kubelet.appeared)))
	_, err = r.awaitList()
	return err
}

// kubeletComesLate measures a plugin that is there before the kubelet.
func (h *harness) kubeletComesLate(c *contender) error {
	r, err := h.start(c, false)
	if err != nil {
		return err
	}
	defer r.stop()
	return h.kubeletComes(c, r, registeredWaiting)
}

// kubeletRestarts measures a plugin that is registered and then sees the kubelet go and come back.
func (h *harness) kubeletRestarts(c *contender) error {
	r, err := h.start(c, true)
	if err != nil {
		return err
	}
	defer r.stop()
	if _, err := r.awaitRegistered(); err != nil {
		return err
	}
	if l, err := r.awaitList(); err != nil {
		return err
	} else if l.err != nil {
		h.results.cannot(c, noList, registeredRestart)
		return nil
	}
	if err := r.process.awaitQuiet(); err != nil {
		return err
	}
	r.stopKubelet()
	return h.kubeletComes(c, r, registeredRestart)
}

// allIdle lets all contenders idle in the same time window, each registered and listed, so that they have the same noise.
func (h *harness) allIdle(contenders []*contender, window time.Duration) error {
	var idle []*running
	defer func() {
		for _, r := range idle {
			r.stop()
		}
	}()
	for _, c := range contenders {
		r, err := h.start(c, true)
		if err != nil {
			return err
		}
		idle = append(idle, r)
		if _, err := r.awaitRegistered(); err != nil {
			return err
		}
		if l, err := r.awaitList(); err != nil {
			return err
		} else if l.err != nil {
			h.results.cannot(c, noList, contextSwitches, residentIdle, anonymousIdle, threads)
			idle = idle[:len(idle)-1]
			r.stop()
		}
	}
	for _, r := range idle {
		if err := r.process.awaitQuiet(); err != nil {
			return err
		}
	}
	before := make([]map[string]int64, len(idle))
	for i, r := range idle {
		var err error
		if before[i], err = r.process.switches(); err != nil {
			return err
		}
	}
	<-time.After(window)
	after := make([]map[string]int64, len(idle))
	for i, r := range idle {
		var err error
		if after[i], err = r.process.switches(); err != nil {
			return r.failed("while idle: " + err.Error())
		}
	}
	for i, r := range idle {
		m, err := r.process.memory()
		if err != nil {
			return err
		}
		c := r.contender
		h.results.add(c, contextSwitches, float64(switchesSince(before[i], after[i])))
		h.results.add(c, residentIdle, mib(m.resident))
		h.results.add(c, anonymousIdle, mib(m.anonymous))
		h.results.add(c, threads, float64(m.threads))
	}
	return nil
}

func bench(o options) error {
	programs := map[string]string{enclayerProgram: o.enclayer}
	if o.intel != "" {
		programs[intelProgram] = o.intel
	}
	stand, err := makeStand(programs)
	if err != nil {
		return err
	}
	about, err := describe(o)
	if err != nil {
		return err
	}
	h := harness{stand, results{}}
	pairs := pairings()
	var contenders []*contender
	for i := range pairs {
		if o.intel == "" {
			pairs[i].intel = nil
		}
		for _, c := range []*contender{pairs[i].enclayer, pairs[i].intel} {
			if c != nil && !slices.Contains(contenders, c) {
				contenders = append(contenders, c)
			}
		}
	}
	if o.intel == "" {
		pairs = pairs[1:] // the first differs from the second in Intel's part only
	}
	// Our garbage is collected between measurements, never during one.
	debug.SetGCPercent(-1)
	load := startLoad()
	for repetition := range o.repetitions {
		fmt.Fprintf(os.Stderr, "repetition %d of %d\n", repetition+1, o.repetitions)
		for i := range contenders {
			c := contenders[(i+repetition)%len(contenders)] // nobody is always first
			for _, step := range []func(*contender) error{h.freshStart, h.kubeletComesLate, h.kubeletRestarts} {
				if err := step(c); err != nil {
					return err
				}
			}
		}
	}
	fmt.Fprintf(os.Stderr, "all idle for %v\n", o.idle)
	if err := h.allIdle(contenders, o.idle); err != nil {
		return err
	}
	about.Load = load.stop()
	return report(o, about, pairs, h.results)
}
