package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// standIn is a device plugin of the tests' own: it sends these lists and keeps the stream open.
type standIn struct {
	api.UnimplementedDevicePluginServer
	lists [][]string
}

func (s *standIn) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

func (s *standIn) ListAndWatch(_ *api.Empty, stream api.DevicePlugin_ListAndWatchServer) error {
	for _, ids := range s.lists {
		response := &api.ListAndWatchResponse{}
		for _, id := range ids {
			response.Devices = append(response.Devices, &api.Device{ID: id, Health: api.Healthy})
		}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
	<-stream.Context().Done()
	return nil
}

func registerStandIn(t *testing.T, lists ...[]string) *registration {
	t.Helper()
	folder := t.TempDir()
	kubelet, err := startKubelet(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kubelet.stop)
	listener, err := net.Listen("unix", filepath.Join(folder, "stand-in.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	api.RegisterDevicePluginServer(server, &standIn{lists: lists})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)

	conn, err := grpc.NewClient("unix:"+filepath.Join(folder, "kubelet.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request := &api.RegisterRequest{Version: api.Version, Endpoint: "stand-in.sock", ResourceName: "example.com/thing"}
	if _, err := api.NewRegistrationClient(conn).Register(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	registration := <-kubelet.registered
	t.Cleanup(registration.close)
	return registration
}

func firstList(t *testing.T, r *registration) list {
	t.Helper()
	select {
	case l := <-r.list:
		return l
	case <-time.After(30 * time.Second):
		t.Fatal("no list in 30 s")
		return list{}
	}
}

func TestTheFirstListWithDevicesIsMeasured(t *testing.T) {
	l := firstList(t, registerStandIn(t, []string{}, []string{"a", "bc"}))
	if l.err != nil || !slices.Equal(l.ids, []string{"a", "bc"}) {
		t.Errorf("got %v, %v", l.ids, l.err)
	}
	if l.bytes != 2*13+3 {
		t.Errorf("the list has %d bytes", l.bytes)
	}
	if l.decoding <= 0 || l.fromFirstByte < l.decoding || l.fromCall < l.fromFirstByte {
		t.Errorf("from call %v, from first byte %v, decoding %v", l.fromCall, l.fromFirstByte, l.decoding)
	}
}

func TestAListOf4194304BytesIsAcceptedAndOneMoreByteIsNot(t *testing.T) {
	ids := make([]string, 262_144)
	for i := range ids {
		ids[i] = "abc"
	}
	if l := firstList(t, registerStandIn(t, ids)); l.err != nil || l.bytes != 4_194_304 {
		t.Errorf("got %d bytes, %v", l.bytes, l.err)
	}
	ids[0] = "abcd"
	if l := firstList(t, registerStandIn(t, ids)); status.Code(l.err) != codes.ResourceExhausted {
		t.Errorf("got %v", l.err)
	}
}

func TestAStartingKubeletDeletesSocketsButNotFilesNorSubfolders(t *testing.T) {
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"old.sock", "sub/kept.sock"} {
		listener, err := net.Listen("unix", filepath.Join(folder, path))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
	}
	if err := os.WriteFile(filepath.Join(folder, "checkpoint"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	kubelet, err := startKubelet(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer kubelet.stop()
	for path, want := range map[string]bool{"old.sock": false, "sub/kept.sock": true, "checkpoint": true, "kubelet.sock": true} {
		if _, err := os.Lstat(filepath.Join(folder, path)); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestSwitchesOfNewThreadsCountAndThoseOfEndedOnesDoNot(t *testing.T) {
	before := map[string]int64{"1": 10, "2": 5}
	if sum := switchesSince(before, map[string]int64{"1": 12, "3": 4}); sum != 6 {
		t.Errorf("got %d", sum)
	}
}

func TestPercentilesAreValuesThatWereMeasured(t *testing.T) {
	values := make([]float64, 1000)
	for i := range values {
		values[i] = float64(1000 - i)
	}
	if p50, p99 := percentile(values, 50), percentile(values, 99); p50 != 500 || p99 != 990 {
		t.Errorf("p50 %v, p99 %v", p50, p99)
	}
	if only := percentile([]float64{7}, 99); only != 7 {
		t.Errorf("got %v", only)
	}
	if odd, even := median([]float64{3, 1, 2}), median([]float64{4, 1, 2, 3}); odd != 2 || even != 2.5 {
		t.Errorf("medians %v, %v", odd, even)
	}
}

func TestTheTableSaysWhereWeAreBehindAndWhichGoalsAreMissed(t *testing.T) {
	ours, theirs := &contender{name: "ours"}, &contender{name: "theirs"}
	pairs := []pairing{{"pair", ours, theirs, map[measure]float64{residentIdle: 12, registeredWaiting: 50, listFirstByte: 150}}}
	r := results{}
	r.add(ours, residentIdle, 13)
	r.add(theirs, residentIdle, 26)
	r.add(ours, contextSwitches, 3)
	r.add(theirs, contextSwitches, 0)
	r.add(ours, threads, 9) // described only
	r.add(theirs, threads, 4)
	r.cannot(ours, noList, listFirstByte)
	r.add(theirs, listFirstByte, 5)
	r.add(ours, registeredWaiting, 1)
	r.cannot(theirs, exitsWithout, registeredWaiting)

	got := tableOf(about{Intel: "there"}, pairs, r)
	behind := []string{"pair: list: first byte to accepted: list refused against 5 ms", "pair: context switches in the idle time: 3 against 0"}
	if !slices.Equal(got.Behind, behind) {
		t.Errorf("behind: %q", got.Behind)
	}
	missed := []string{"ours: list: first byte to accepted: list refused, the goal is <= 150", "ours: resident after the idle time: 13 MiB, the goal is <= 12"}
	if !slices.Equal(got.Missed, missed) {
		t.Errorf("missed: %q", got.Missed)
	}
	for _, cells := range [][]string{{"resident after the idle time", "MiB", "13", "26", "0.50", "<= 12"}, {"kubelet.sock appears to registered", "ms", "1", "exits", "<= 50"}} {
		line := strings.Join(cells, " ")
		if !slices.ContainsFunc(strings.Split(got.text(), "\n"), func(l string) bool { return strings.Join(strings.Fields(l), " ") == line }) {
			t.Errorf("no line %q in\n%s", line, got.text())
		}
	}
}
