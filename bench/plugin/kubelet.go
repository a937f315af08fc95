package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that timedCodec takes the place of
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/stats"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// kubelet plays the kubelet's part of the device plugin API v1beta1 as Kubernetes 1.36 does it: it calls back and asks for the
// options before it answers Register, then opens ListAndWatch, reads with grpc-go's default limits and keeps the stream.
type kubelet struct {
	api.UnsafeRegistrationServer
	folder     string
	server     *grpc.Server
	registered chan *registration
	appeared   time.Time // just before kubelet.sock was made
}

// registration is a plugin that has registered one resource.
type registration struct {
	resource string
	at       time.Time // when Register is answered
	list     chan list // the first list with devices, or why there is none
	client   api.DevicePluginClient
	conn     *grpc.ClientConn
	seen     *listSeen
}

type list struct {
	ids           []string
	bytes         int           // of the message
	fromCall      time.Duration // from the call to the parsed list
	fromFirstByte time.Duration // from the response's first header frame to the parsed list
	decoding      time.Duration // of it: what parsing took, the kubelet's own share
	err           error
}

// startKubelet does what a starting kubelet does in its device-plugins folder: deletes the sockets in it, then listens.
func startKubelet(folder string) (*kubelet, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if entry.Type()&os.ModeSocket == 0 {
			continue
		}
		// A plugin may be removing its own socket at the same time.
		if err := os.Remove(filepath.Join(folder, entry.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	k := &kubelet{folder: folder, server: grpc.NewServer(), registered: make(chan *registration, 16), appeared: time.Now()}
	listener, err := net.Listen("unix", filepath.Join(folder, "kubelet.sock"))
	if err != nil {
		return nil, err
	}
	api.RegisterRegistrationServer(k.server, k)
	go func() { _ = k.server.Serve(listener) }() // returns when stop() is called
	return k, nil
}

// The registrations stay usable: their connections are closed by close().
func (k *kubelet) stop() { k.server.Stop() }

func (k *kubelet) Register(ctx context.Context, request *api.RegisterRequest) (*api.Empty, error) {
	if request.Version != api.Version {
		return nil, fmt.Errorf("version %q, this kubelet speaks %q", request.Version, api.Version)
	}
	r := &registration{resource: request.ResourceName, list: make(chan list, 1), seen: &listSeen{}}
	if err := r.connect(ctx, filepath.Join(k.folder, request.Endpoint)); err != nil {
		return nil, err
	}
	r.at = time.Now()
	go r.watch()
	select {
	case k.registered <- r:
		return &api.Empty{}, nil
	default:
		r.close()
		return nil, errors.New("too many registrations")
	}
}

func (r *registration) connect(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	//nolint:staticcheck // deprecated, but the way the kubelet does it
	conn, err := grpc.DialContext(ctx, socket,
		grpc.WithAuthority("localhost"),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithBlock(),
		grpc.WithStatsHandler(r.seen),
		grpc.WithContextDialer(func(ctx context.Context, path string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}))
	if err != nil {
		return fmt.Errorf("cannot reach the plugin at %s: %w", socket, err)
	}
	r.conn, r.client = conn, api.NewDevicePluginClient(conn)
	if _, err := r.client.GetDevicePluginOptions(ctx, &api.Empty{}); err != nil {
		r.close()
		return err
	}
	return nil
}

func (r *registration) close() { _ = r.conn.Close() }

// Reads lists until the stream ends. The first one with devices in it is measured: Intel's plugin sends an empty one before it.
func (r *registration) watch() {
	called := time.Now()
	stream, err := r.client.ListAndWatch(context.Background(), &api.Empty{})
	for measured := false; err == nil; {
		var response *api.ListAndWatchResponse
		response, err = stream.Recv()
		if measured || len(response.GetDevices()) == 0 {
			decodingTime(response)
			continue
		}
		accepted := time.Now()
		measured = true
		l := list{bytes: int(r.seen.bytes.Load()), fromCall: accepted.Sub(called), fromFirstByte: accepted.Sub(r.seen.firstByte())}
		l.decoding = decodingTime(response)
		for _, device := range response.Devices {
			l.ids = append(l.ids, device.ID)
		}
		r.list <- l
	}
	select {
	case r.list <- list{err: err}:
	default: // nobody waits for this any more
	}
}

// listSeen notes when ListAndWatch's response began and how large its latest message is.
type listSeen struct {
	header atomic.Pointer[time.Time]
	bytes  atomic.Int64
}

func (s *listSeen) firstByte() time.Time { return *s.header.Load() }

type methodKey struct{}

func (s *listSeen) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, methodKey{}, info.FullMethodName)
}

func (s *listSeen) HandleRPC(ctx context.Context, event stats.RPCStats) {
	switch event := event.(type) {
	case *stats.InHeader:
		if ctx.Value(methodKey{}) == api.DevicePlugin_ListAndWatch_FullMethodName {
			now := time.Now()
			s.header.CompareAndSwap(nil, &now)
		}
	case *stats.InPayload:
		if ctx.Value(methodKey{}) == api.DevicePlugin_ListAndWatch_FullMethodName {
			s.bytes.Store(int64(event.Length))
		}
	}
}

func (s *listSeen) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (s *listSeen) HandleConn(context.Context, stats.ConnStats)                       {}

// timedCodec is grpc-go's own, but it remembers how long each list took to parse.
type timedCodec struct{ encoding.CodecV2 }

var decoding sync.Map // *api.ListAndWatchResponse to time.Duration

func init() { encoding.RegisterCodecV2(timedCodec{encoding.GetCodecV2("proto")}) }

func (c timedCodec) Unmarshal(data mem.BufferSlice, message any) error {
	before := time.Now()
	err := c.CodecV2.Unmarshal(data, message)
	if _, isList := message.(*api.ListAndWatchResponse); isList {
		decoding.Store(message, time.Since(before))
	}
	return err
}

func decodingTime(of *api.ListAndWatchResponse) time.Duration {
	took, _ := decoding.LoadAndDelete(of)
	duration, _ := took.(time.Duration)
	return duration
}
