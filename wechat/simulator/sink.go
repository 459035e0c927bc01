package simulator

import (
	"bytes"
	"encoding/json"
	"hash/maphash"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hongyan/internal/clock"
)

// SinkOptions say how a Sink answers.
type SinkOptions struct {
	// Latency is how long every answer is held back.
	Latency time.Duration
	// Bodies counts how often each body arrived, to find messages sent twice. It costs a
	// map entry per message.
	Bodies bool
	// Clock is nil for the wall clock.
	Clock clock.Clock
}

// Sink accepts every customer-service message and counts, exactly and cheaply: the other
// end of a benchmark, where the simulator's rules would be what is measured.
type Sink struct {
	o      SinkOptions
	seed   maphash.Seed
	mux    *http.ServeMux
	shards [sinkShards]sinkShard

	inFlight, maxInFlight, tokens atomic.Int64
}

const sinkShards = 64

type sinkShard struct {
	mu     sync.Mutex
	total  int
	fans   map[string]int
	bodies map[uint64]int
	first  int64 // unix ms
	last   int64
	_      [24]byte
}

// SinkStats is what a Sink counted since the start or the last reset.
type SinkStats struct {
	Total    int `json:"total"`    // messages accepted
	Distinct int `json:"distinct"` // fans who got one or more
	MostPer  int `json:"most_per"` // messages of the fan who got most
	// Duplicates is how many messages had a body, openid included, that had come before;
	// 0 unless SinkOptions.Bodies.
	Duplicates  int       `json:"duplicates"`
	Tokens      int       `json:"tokens"` // token requests
	MaxInFlight int       `json:"max_in_flight"`
	First       time.Time `json:"first,omitzero"` // arrival of the first message
	Last        time.Time `json:"last,omitzero"`  // arrival of the last
}

// The paths of a Sink beside the platform's.
const (
	PathSinkStats = "/_sink/stats" // GET: SinkStats
	PathSinkReset = "/_sink/reset" // POST
)

// NewSink returns an empty Sink.
func NewSink(o SinkOptions) *Sink {
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	k := &Sink{o: o, seed: maphash.MakeSeed(), mux: http.NewServeMux()}
	k.Reset()
	k.mux.HandleFunc("GET "+PathSinkStats, k.serveStats)
	k.mux.HandleFunc("POST "+PathSinkReset, func(w http.ResponseWriter, _ *http.Request) {
		k.Reset()
		w.WriteHeader(http.StatusNoContent)
	})
	k.mux.HandleFunc(PathStableToken, k.serveToken)
	k.mux.HandleFunc(PathToken, k.serveToken)
	return k
}

// ServeHTTP implements http.Handler.
func (k *Sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == PathSend {
		k.serveSend(w, r)
		return
	}
	k.mux.ServeHTTP(w, r)
}

func (k *Sink) serveSend(w http.ResponseWriter, r *http.Request) {
	raise(&k.maxInFlight, k.inFlight.Add(1))
	defer k.inFlight.Add(-1)
	body, err := readRequest(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	k.count(body)
	if !k.hold(r) {
		panic(http.ErrAbortHandler)
	}
	header := w.Header()
	header["Content-Type"] = []string{contentType}
	header["Date"] = nil // nobody reads it, and making it costs
	writeOrAbort(w, []byte(`{"errcode":0,"errmsg":"ok"}`))
}

// hold waits for the latency and reports whether the caller waited as well.
func (k *Sink) hold(r *http.Request) bool {
	if k.o.Latency <= 0 {
		return true
	}
	return wait(r.Context(), nil, k.o.Clock.NewTimer(k.o.Latency))
}

func writeOrAbort(w http.ResponseWriter, body []byte) {
	if _, err := w.Write(body); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// count notes a message when it arrives, before its answer is held back.
func (k *Sink) count(body []byte) {
	openID := touser(body)
	ms := k.o.Clock.Now().UnixMilli()
	shard := &k.shards[maphash.Bytes(k.seed, openID)%sinkShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.total++
	shard.fans[string(openID)]++
	if k.o.Bodies {
		shard.bodies[maphash.Bytes(k.seed, body)]++
	}
	if shard.first == 0 || ms < shard.first {
		shard.first = ms
	}
	shard.last = max(shard.last, ms)
}

// touser finds the receiver without decoding the body: its string ends at the next quote,
// as openids have no letters that JSON escapes.
func touser(body []byte) []byte {
	_, rest, ok := bytes.Cut(body, []byte(`"touser"`))
	if !ok {
		return nil
	}
	rest = bytes.TrimLeft(rest, " \t\r\n:")
	rest, ok = bytes.CutPrefix(rest, []byte(`"`))
	if !ok {
		return nil
	}
	id, _, _ := bytes.Cut(rest, []byte(`"`))
	return id
}

func (k *Sink) serveToken(w http.ResponseWriter, r *http.Request) {
	k.tokens.Add(1)
	if !k.hold(r) {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", contentType)
	writeOrAbort(w, []byte(`{"access_token":"81_`+strings.Repeat("sink", tokenLetters/4)+`","expires_in":7200}`))
}

func (k *Sink) serveStats(w http.ResponseWriter, _ *http.Request) {
	body, err := json.Marshal(k.Stats())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	writeOrAbort(w, body)
}

// Stats returns what was counted.
func (k *Sink) Stats() SinkStats {
	out := SinkStats{MaxInFlight: int(k.maxInFlight.Load()), Tokens: int(k.tokens.Load())}
	var first, last int64
	for i := range k.shards {
		shard := &k.shards[i]
		shard.mu.Lock()
		out.Total += shard.total
		out.Distinct += len(shard.fans)
		for _, n := range shard.fans {
			out.MostPer = max(out.MostPer, n)
		}
		for _, n := range shard.bodies {
			out.Duplicates += n - 1
		}
		if shard.first != 0 && (first == 0 || shard.first < first) {
			first = shard.first
		}
		last = max(last, shard.last)
		shard.mu.Unlock()
	}
	out.First, out.Last = clock.FromMillis(first), clock.FromMillis(last)
	return out
}

// Reset forgets all counts.
func (k *Sink) Reset() {
	for i := range k.shards {
		shard := &k.shards[i]
		shard.mu.Lock()
		shard.total, shard.first, shard.last = 0, 0, 0
		shard.fans, shard.bodies = map[string]int{}, map[uint64]int{}
		shard.mu.Unlock()
	}
	k.tokens.Store(0)
	k.maxInFlight.Store(k.inFlight.Load())
}
