package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"
)

const (
	aesmSocket     = "/var/run/aesmd/aesm.socket"
	recorderSocket = "/dev/shm/recorder.socket"
	largestFrame   = 1 << 20
	askPatience    = 12 * time.Second // as Intel's clients wait
	askPause       = 2 * time.Millisecond
)

var (
	// The cheapest request there is, and its answer: how many attestation keys? One. As recorded of Intel's quote_ex.
	cheapest       = []byte{6, 0, 0, 0, 0xaa, 1, 3, 0x48, 0x98, 0x75}
	cheapestAnswer = []byte{7, 0, 0, 0, 0xaa, 1, 4, 8, 0, 0x10, 1}
)

// asked is what a second of asking came to, a line of the log.
type asked struct {
	Requests int       `json:"requests"`
	Failed   int       `json:"failed"`  // no connection, no answer, closed
	Refused  int       `json:"refused"` // an answer that is not what was asked for
	Why      string    `json:"why"`     // of the last one of these
	Cheapest []float64 `json:"cheapest"`
	Quote    []float64 `json:"quote"` // milliseconds from before connect to the whole answer
}

// ask asks for the cheapest there is and for a quote in turn, until it is ended.
func ask() error {
	quote, err := quoteRequest()
	if err != nil {
		return err
	}
	for {
		var seen asked
		for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(askPause) {
			seen.Cheapest = seen.one(cheapest, func(answer []byte) bool { return bytes.Equal(answer, cheapestAnswer) }, seen.Cheapest)
			seen.Quote = seen.one(quote, isQuote, seen.Quote)
		}
		if err := json.NewEncoder(os.Stdout).Encode(seen); err != nil {
			return err
		}
	}
}

func (seen *asked) one(request []byte, good func([]byte) bool, times []float64) []float64 {
	begin := time.Now()
	answer, err := exchange(request)
	took := time.Since(begin)
	seen.Requests++
	if err != nil {
		seen.Failed++
		seen.Why = err.Error()
	} else if !good(answer) {
		seen.Refused++
		seen.Why = fmt.Sprintf("answered with %x", answer[:min(len(answer), 32)])
	}
	return append(times, float64(took.Microseconds())/1000)
}

// isQuote tells a quote from a refusal, which is an error code and no more.
func isQuote(answer []byte) bool { return len(answer) > 1000 }

// exchange is one request on a connection of its own, as AESM's clients make them.
func exchange(request []byte) ([]byte, error) {
	connection, err := net.DialTimeout("unix", aesmSocket, askPatience)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(askPatience))
	if _, err := connection.Write(request); err != nil {
		return nil, err
	}
	return readFrame(connection)
}

// readFrame gives a message of the AESM protocol with its length, four bytes, in front.
func readFrame(from io.Reader) ([]byte, error) {
	frame := make([]byte, 4)
	if _, err := io.ReadFull(from, frame); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint32(frame)
	if length > largestFrame {
		return nil, fmt.Errorf("a message of %d bytes", length)
	}
	frame = append(frame, make([]byte, length)...)
	_, err := io.ReadFull(from, frame[4:])
	return frame, err
}

// quoteRequest is what the enclayer CLI sends for a quote, to be sent again as often as one likes: a simulated report
// does not grow old. It is recorded on the way to the helper; of all that the CLI sends it is the longest.
func quoteRequest() ([]byte, error) {
	os.Remove(recorderSocket)
	listener, err := net.Listen("unix", recorderSocket)
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	var mutex sync.Mutex
	var longest []byte
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				for {
					request, err := readFrame(client)
					if err != nil {
						return
					}
					mutex.Lock()
					if len(request) > len(longest) {
						longest = request
					}
					mutex.Unlock()
					answer, err := exchange(request)
					if err != nil {
						return
					}
					client.Write(answer)
				}
			}()
		}
	}()
	output, err := exec.Command("/enclayer", "quote", "--socket", recorderSocket, "--out", quoteFile).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("no quote to begin with: %w: %s", err, output)
	}
	mutex.Lock()
	defer mutex.Unlock()
	return longest, nil
}
