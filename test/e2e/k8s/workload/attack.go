package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// How much there is of each at a time, or in all.
const (
	floodConnections  = 1000
	floodPipelined    = 200 // requests that each has sent ahead
	quotesInFlight    = 600
	churnRing         = 2000
	churnHalf         = 5   // bytes of a request that says it has six
	passedEach        = 5   // descriptors, of each connection
	passedMost        = 500 // in all
	passPause         = 20 * time.Millisecond
	lingerSeconds     = 5
	fillTime          = 10 * time.Millisecond
	pauseAfterFailure = time.Millisecond // a full queue is no reason to spin
)

// attacked is what an attack came to, the last line of the log.
type attacked struct {
	Attack      string  `json:"attack"`
	Connections int64   `json:"connections"` // that were made
	Unconnected int64   `json:"unconnected"` // for which there was no place in the queue
	Answers     int64   `json:"answers"`
	Closed      int64   `json:"closed"`   // by the helper
	Passed      int64   `json:"passed"`   // descriptors
	Unpassed    int64   `json:"unpassed"` // that the kernel did not let through
	Why         string  `json:"why"`      // the first of these
	CPUSeconds  float64 `json:"cpu_seconds"`
}

// attack is a client that means harm, for that long. A first line says that it has begun, a last one what came of it.
func attack(kind string, seconds float64) error {
	attacks := map[string]func(*attacked, time.Time) error{"flood": flood, "quotes": floodQuotes, "churn": churn, "descriptors": passDescriptors}
	act := attacks[kind]
	if act == nil {
		return fmt.Errorf("there is no attack %q", kind)
	}
	return timed(kind, func(seen *attacked) error { return act(seen, in(seconds)) })
}

func timed(what string, act func(*attacked) error) error {
	fmt.Printf("{\"begun\": %q}\n", what)
	before := cpuSeconds()
	seen := attacked{Attack: what}
	if err := act(&seen); err != nil {
		return err
	}
	seen.CPUSeconds = cpuSeconds() - before
	return json.NewEncoder(os.Stdout).Encode(seen)
}

func in(seconds float64) time.Time {
	return time.Now().Add(time.Duration(seconds * float64(time.Second)))
}

func cpuSeconds() float64 {
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}

// flood pipelines the cheapest request on many connections.
func flood(seen *attacked, end time.Time) error {
	var ahead []byte
	for range floodPipelined {
		ahead = append(ahead, cheapest...)
	}
	return onEach(floodConnections, seen, end, func(connection net.Conn) error {
		if _, err := connection.Write(ahead); err != nil {
			return err
		}
		answers := make([]byte, floodPipelined*len(cheapestAnswer))
		for rest := 0; ; {
			got, err := connection.Read(answers)
			if err != nil {
				return err
			}
			whole := (rest + got) / len(cheapestAnswer)
			rest = (rest + got) % len(cheapestAnswer)
			atomic.AddInt64(&seen.Answers, int64(whole))
			if _, err := connection.Write(ahead[:whole*len(cheapest)]); err != nil {
				return err
			}
		}
	})
}

// floodQuotes has a quote in flight on many connections, renewed as soon as it is answered.
func floodQuotes(seen *attacked, end time.Time) error {
	request, err := quoteRequest()
	if err != nil {
		return err
	}
	return onEach(quotesInFlight, seen, end, func(connection net.Conn) error {
		for {
			if _, err := connection.Write(request); err != nil {
				return err
			}
			if _, err := readFrame(connection); err != nil {
				return err
			}
			atomic.AddInt64(&seen.Answers, 1)
		}
	})
}

// onEach keeps so many connections busy until `end`; one that the helper closes is replaced.
func onEach(connections int, seen *attacked, end time.Time, act func(net.Conn) error) error {
	var open sync.WaitGroup
	for range connections {
		open.Go(func() {
			for time.Now().Before(end) {
				connection, err := net.Dial("unix", aesmSocket)
				if err != nil {
					atomic.AddInt64(&seen.Unconnected, 1)
					time.Sleep(pauseAfterFailure)
					continue
				}
				atomic.AddInt64(&seen.Connections, 1)
				connection.SetDeadline(end)
				if err := act(connection); err != nil && time.Now().Before(end) {
					atomic.AddInt64(&seen.Closed, 1)
				}
				connection.Close()
			}
		})
	}
	open.Wait()
	return nil
}

// churn has a ring of connections with half a request each, the oldest replaced as fast as possible.
func churn(seen *attacked, end time.Time) error {
	ring := make([]net.Conn, churnRing)
	for at := 0; time.Now().Before(end); at = (at + 1) % churnRing {
		if ring[at] != nil {
			ring[at].Close()
		}
		connection, err := net.Dial("unix", aesmSocket)
		if err != nil {
			seen.Unconnected++
			ring[at] = nil
			time.Sleep(pauseAfterFailure)
			continue
		}
		seen.Connections++
		connection.Write(cheapest[:churnHalf])
		ring[at] = connection
	}
	return nil
}

// passDescriptors queues descriptors in bytes that are not read yet, and goes away. They are TCP sockets whose peer takes
// nothing: who closes the last copy of one waits until SO_LINGER's time is over.
func passDescriptors(seen *attacked, end time.Time) error {
	var ahead []byte
	for range 6 * floodPipelined {
		ahead = append(ahead, cheapest...)
	}
	silent, err := listenSilently()
	if err != nil {
		return err
	}
	var lingering *os.File
	for ; time.Now().Before(end); time.Sleep(passPause) {
		connection, err := net.Dial("unix", aesmSocket)
		if err != nil {
			seen.Unconnected++
			continue
		}
		seen.Connections++
		connection.SetWriteDeadline(end)
		connection.Write(ahead)
		for range passedEach {
			if lingering == nil {
				if lingering, err = connectLingering(silent.Addr().String()); err != nil {
					return err
				}
			}
			_, _, err := connection.(*net.UnixConn).WriteMsgUnix(cheapest, syscall.UnixRights(int(lingering.Fd())), nil)
			if err != nil {
				seen.Unpassed++
				if seen.Why == "" {
					seen.Why = err.Error()
				}
			} else if seen.Passed++; seen.Passed < passedMost {
				lingering.Close() // the copy that is under way is the last one
				lingering = nil
			}
		}
		connection.Close()
	}
	return nil
}

func listenSilently() (net.Listener, error) {
	small := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(listener uintptr) {
			syscall.SetsockoptInt(int(listener), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
		})
	}}
	return small.Listen(context.Background(), "tcp", "127.0.0.1:0")
}

// connectLingering fills what the kernel keeps for a connection, so that its last close has something to wait for.
func connectLingering(address string) (*os.File, error) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	connection.SetWriteDeadline(time.Now().Add(fillTime))
	connection.Write(make([]byte, 8<<20))
	lingering, err := connection.(*net.TCPConn).File()
	if err != nil {
		return nil, err
	}
	return lingering, syscall.SetsockoptLinger(int(lingering.Fd()), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1, Linger: lingerSeconds})
}
